"""The axes along which a model's training differs from the base's, in order of divergence."""

CATEGORIES = ("reinit", "hparam", "arch", "fwork", "dataset")
BASE = "base"


def more_divergent(a: str, b: str) -> str:
    """Give the category of a pair: the more divergent of its two models' categories.

    Parameters
    ----------
    a, b : str
        Categories of the two models, or `BASE`, which diverges least.

    Returns
    -------
    str
    """
    return max(a, b, key=(BASE, *CATEGORIES).index)
