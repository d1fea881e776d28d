"""What an update changes: images that a new system gets wrong and the old model got right.

A negative flip is an image that the old model gets right and the new system wrong, a positive flip
the other way round (Yan et al. 2021, "Positive-congruent training"). As shares of all images, their
sum is the error inconsistency of both, and positive less negative flips the gain in accuracy.
"""

import numpy as np

from workflow.lib.measures.statistics import mcnemar, paired_gain, share, wilson

NEW = "new"
"""The system that is the new model alone."""

WORSE, BETTER = "worse", "better"
"""Verdicts on a part of the images."""

MEASURED = [
    "examples",
    *(
        name + end
        for name in ("accuracy", "gain", "negative_flips", "positive_flips", "of_errors", "left")
        for end in ("", "_low", "_high")
    ),
    "p",
]
"""What `flips` gives, in order."""


def flips(old: np.ndarray, now: np.ndarray, new: np.ndarray) -> dict[str, float]:
    """Compare what answers after an update with the old model.

    Parameters
    ----------
    old, now, new : ndarray of bool, shape (examples,)
        What is right of the old model, of what answers now, and of the new model alone. They may be
        those of a part of the images.

    Returns
    -------
    dict
        `examples`; `accuracy`; its `gain` over the old model's, with Wald's 95 % interval of paired
        differences; `negative_flips` and `positive_flips`, as shares of the examples; `of_errors`,
        negative flips as a share of what is wrong now; `left`, negative flips of the new model that
        are still some, as a share of its own; and `p`, of McNemar's exact two-sided test that there
        are as many flips of either kind. Shares have Wilson's 95 % intervals. NaN of nothing.
    """
    examples = len(old)
    lost, won = int((old & ~now).sum()), int((now & ~old).sum())
    before = old & ~new
    counts = {
        "accuracy": (int(now.sum()), examples),
        "negative_flips": (lost, examples),
        "positive_flips": (won, examples),
        "of_errors": (lost, int((~now).sum())),
        "left": (int((before & ~now).sum()), int(before.sum())),
    }
    found: dict[str, float] = {
        "examples": examples,
        "p": mcnemar(lost, won) if examples else np.nan,
    }
    for name, (successes, trials) in counts.items():
        ends = wilson(successes, trials)
        values = (share(successes, trials), *ends)
        found |= {n: float(v) for n, v in zip(_ends(name), values, strict=True)}
    found |= dict(zip(_ends("gain"), paired_gain(now, old), strict=True))
    return {name: found[name] for name in MEASURED}


def _ends(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"
