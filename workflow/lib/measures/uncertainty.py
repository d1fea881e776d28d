"""How good confidences are: likelihood, calibration, and risk against coverage.

Packages differ in their conventions. Here a confidence is the probability of the answer, the risk
of a set of examples is the share of wrong answers in it, and coverages are those of the first
1, 2, … examples by falling confidence. Equal confidences share their errors evenly.

Intervals come from the jackknife over groups of examples (Efron and Tibshirani 1993, section 11.5):
a score is computed once without each of `GROUPS` groups drawn at random. Two ensembles on the same
images have the same groups, so that the interval of their difference is one of paired differences.
"""

from typing import NamedTuple

import numba
import numpy as np
from scipy.stats import t as student

GROUPS = 20
BINS = 15
RISK, COVERAGE = 0.05, 0.8

compiled = numba.njit(nogil=True, cache=True)


class Score(NamedTuple):
    """What a number says, and which way it is better.

    Attributes
    ----------
    label : str
        As figures and tables call it.
    higher : bool
        Whether a higher value is better.
    whole : bool
        Whether it needs the probabilities of all classes.
    """

    label: str
    higher: bool
    whole: bool = False


SCORES = {
    "accuracy": Score("Accuracy", True),
    "nll": Score("Negative log-likelihood (nats)", False, True),
    "brier": Score("Brier score, summed over classes", False, True),
    "ece": Score("Expected calibration error, 15 equal bins", False),
    "auroc": Score("AUROC of right against wrong", True),
    "aurc": Score("Area under risk and coverage", False),
    "augrc": Score("Area under generalised risk and coverage", False),
    "coverage_at_risk": Score("Coverage at 5 % risk", True),
    "risk_at_coverage": Score("Risk at 80 % coverage", False),
}
"""All scores, in the order of `confidence_scores` but for `nll` and `brier`."""

OF_CONFIDENCES = [name for name, score in SCORES.items() if not score.whole]


def groups(examples: int, seed: int = 0) -> np.ndarray:
    """Draw the group of each example, all of about the same size: int64, (examples,)."""
    return np.random.default_rng(seed).permutation(examples) % GROUPS


def confidence_scores(
    log_confidence: np.ndarray, right: np.ndarray, group: np.ndarray | None = None
) -> np.ndarray:
    """Compute the scores that need no more than each answer's confidence.

    Parameters
    ----------
    log_confidence : ndarray of float, shape (examples,)
        Natural logarithm of each answer's probability: near 1 it tells apart what the probability
        itself would round to 1.
    right : ndarray of bool, shape (examples,)
    group : ndarray of int, shape (examples,), optional
        Of `groups`.

    Returns
    -------
    ndarray of float64, shape (1 + GROUPS, 7)
        `OF_CONFIDENCES`: accuracy; ECE (Guo et al. 2017, eq. 3; a confidence on the border of two
        bins belongs to the lower one); AUROC of right against wrong answers by confidence (NaN if
        all are right or all wrong); AURC, the mean of the risks over coverages (Geifman, Uziel and
        El-Yaniv 2019); AUGRC, the mean over coverages of the share of all examples that are
        accepted and wrong (Traub et al. 2024); the greatest coverage at a risk of at most 5 %; the
        risk at 80 % coverage. First of all examples, then without each group; NaN where none is
        left.
    """
    order = np.argsort(-log_confidence)
    sorted_group = np.full(len(order), -2) if group is None else group[order]
    found = np.full((1 + GROUPS, len(OF_CONFIDENCES)), np.nan)
    error = 1.0 - right[order]
    sorted_log = np.asarray(log_confidence, np.float64)[order]
    _share_ties(sorted_log, error)
    _walk(sorted_log, error, sorted_group, found, GROUPS if group is not None else 0)
    return found


@compiled
def _share_ties(log_confidence, error):
    """Give equal confidences their mean error."""
    start = 0
    for i in range(1, len(error) + 1):
        if i == len(error) or log_confidence[i] != log_confidence[start]:
            if i > start + 1:
                error[start:i] = error[start:i].mean()
            start = i


@compiled
def _walk(log_confidence, error, group, found, groups):
    """Go down the confidences once, and again without each group."""
    gaps = np.zeros((groups + 1, BINS))
    for i in range(len(error)):
        confidence = np.exp(log_confidence[i])
        place = min(max(int(np.ceil(confidence * BINS)) - 1, 0), BINS - 1)
        gap = 1 - error[i] - confidence
        gaps[0, place] += gap
        if groups:
            gaps[1 + group[i], place] += gap
    sizes = np.zeros(groups + 1, np.int64)
    for i in range(len(error) * (groups > 0)):
        sizes[1 + group[i]] += 1
    for left_out in range(-1, groups):
        count = len(error) - (sizes[left_out + 1] if left_out >= 0 else 0)
        if count == 0:
            continue
        at_coverage = int(np.ceil(COVERAGE * count - 1e-9))
        seen, wrong, rights, pairs, risks, areas, covered, risk = 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0.0
        for i in range(len(error)):
            if group[i] == left_out:
                continue
            e = error[i]
            seen += 1
            pairs += e * (rights + (1 - e) / 2)
            rights += 1 - e
            wrong += e
            risks += wrong / seen
            areas += wrong
            if wrong <= RISK * seen + 1e-9:
                covered = seen
            if seen == at_coverage:
                risk = wrong / seen
        row = found[left_out + 1]
        row[0] = rights / count
        total = 0.0
        for place in range(BINS):
            gap = gaps[0, place]
            if left_out >= 0:
                gap -= gaps[left_out + 1, place]
            total += abs(gap)
        row[1] = total / count
        row[2] = pairs / (rights * wrong) if rights * wrong > 0 else np.nan
        row[3] = risks / count
        row[4] = areas / count / count
        row[5] = covered / count
        row[6] = risk


def group_means(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Mean of all values, then without each group: float64, (1 + GROUPS,)."""
    return left_out_means(
        np.bincount(group, weights=values, minlength=GROUPS),
        np.bincount(group, minlength=GROUPS),
    )


def left_out_means(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The same from each group's sum, (…, GROUPS), and size, (GROUPS,): (…, 1 + GROUPS)."""
    sums = np.concatenate([np.zeros_like(sums[..., :1]), sums], axis=-1)
    counts = np.concatenate([[0], counts]).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (sums.sum(axis=-1, keepdims=True) - sums) / (counts.sum() - counts)


def jackknife(values: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Interval of a score from its values without each group.

    Parameters
    ----------
    values : ndarray of float64, shape (…, 1 + GROUPS)
        Of all examples, then without each group; or differences of two such arrays.
    level : float

    Returns
    -------
    low, high : ndarray of float64, shape (…)
        Student's interval of GROUPS - 1 degrees of freedom; NaN if a value is.
    """
    left = values[..., 1:]
    spread = np.square(left - left.mean(axis=-1, keepdims=True)).sum(axis=-1)
    error = np.sqrt((GROUPS - 1) / GROUPS * spread)
    half = student.ppf((1 + level) / 2, GROUPS - 1) * error
    return values[..., 0] - half, values[..., 0] + half


def risk_by_coverage(log_confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Risk of the first 1, 2, … examples by falling confidence: float64, (examples,)."""
    order = np.argsort(-log_confidence, kind="stable")
    error = 1.0 - right[order]
    _share_ties(np.asarray(log_confidence, np.float64)[order], error)
    return error.cumsum() / np.arange(1, len(error) + 1)
