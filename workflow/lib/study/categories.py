"""The axes along which a model's training differs from the base's, in order of divergence."""

CATEGORIES = ("reinit", "hparam", "arch", "fwork", "dataset")
BASE = "base"

CONTROL, UNKNOWN = "control", "unknown"
"""The weights of another model, evaluated in another way; and models whose training is not known.
Neither has a place among the others: no mean is of them."""

ORDER = (BASE, CONTROL, *CATEGORIES, UNKNOWN)
"""All that a model can be, in order of divergence as far as there is one."""


def more_divergent(a: str, b: str) -> str:
    """Give the category of a pair: the more divergent of its two models' categories.

    Parameters
    ----------
    a, b : str
        Of `ORDER`: `BASE` diverges least.

    Returns
    -------
    str
    """
    return max(a, b, key=ORDER.index)
