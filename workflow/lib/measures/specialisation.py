"""Who is the more confident on which examples: pure functions of their confidences.

A model's confidence c is its calibrated maximum probability, max softmax(logits / temperature). The
specialisation angle of a pair is that of the point (c2, c1) above the diagonal,
atan2(c1, c2) - pi/4: from -pi/4 (model 2 is by far the more confident) to pi/4 (model 1 is).
"""

import numpy as np
import pandas as pd
from scipy import stats

from workflow.lib.measures.statistics import mcnemar, paired_gain, share, wilson

OUTCOMES = ("both_right", "both_wrong", "only_1", "only_2")
PREVAILING = 0.99  # share of examples on which a model's top class must be that of the ensemble
SIGNIFICANCE = 0.05  # of the corrected test that one model is right more often


def angle(log_confidence_1, log_confidence_2) -> np.ndarray:
    """Specialisation angle atan2(c1, c2) - pi/4 in radians; positive where c1 is the larger.

    Its tangent is (c1 - c2) / (c1 + c2), which is tanh((log c1 - log c2) / 2). So written, nothing
    is lost of confidences near 1, and swapping the models changes the sign and nothing else.

    Parameters
    ----------
    log_confidence_1, log_confidence_2 : float or ndarray of float64
        Natural logarithms of the confidences.
    """
    difference = np.subtract(log_confidence_1, log_confidence_2, dtype=np.float64)
    return np.arctan(np.tanh(difference / 2))


def outcome(right_1: np.ndarray, right_2: np.ndarray) -> np.ndarray:
    """Say of each example who gets it right: one of `OUTCOMES`."""
    cases = [right_1 & right_2, ~(right_1 | right_2), right_1, right_2]
    return np.select(cases, OUTCOMES, default="")


def prevailing(theta: np.ndarray, prevails: np.ndarray, least: float = PREVAILING) -> float:
    """Find the angle from which on a model's top class is almost always that of the ensemble.

    Parameters
    ----------
    theta : ndarray of float64, shape (examples,)
        Angles of the examples on which the top classes of both models differ; negative ones to ask
        about model 2.
    prevails : ndarray of bool, shape (examples,)
        Whether the ensemble predicts the model's top class.
    least : float
        Share of the examples on which it must.

    Returns
    -------
    float
        The smallest of the angles such that `prevails` holds for a share of at least `least` of
        the examples with this angle or a larger one. NaN if there is none.
    """
    order = np.argsort(-theta, kind="stable")
    theta, followed = theta[order], np.cumsum(prevails[order])
    last = np.append(theta[1:] != theta[:-1], True)[: len(theta)]  # equal angles come together
    enough = last & (followed >= least * np.arange(1, len(theta) + 1) - 1e-9)
    return float(theta[enough][-1]) if enough.any() else np.nan


def histogram(theta: np.ndarray, outcomes: np.ndarray, edges: np.ndarray) -> pd.DataFrame:
    """Count angles by outcome and bin.

    Parameters
    ----------
    theta : ndarray of float64, shape (examples,)
    outcomes : ndarray of str, shape (examples,)
    edges : ndarray of float64, shape (bins + 1,)
        They must span all angles.

    Returns
    -------
    DataFrame
        `outcome`, `bin_low`, `bin_high`, `count`, and `share` of that outcome's examples, which is
        NaN for an outcome without any.
    """
    tables = []
    for name in OUTCOMES:
        count, _ = np.histogram(theta[outcomes == name], edges)
        columns = {"outcome": name, "bin_low": edges[:-1], "bin_high": edges[1:], "count": count}
        tables.append(pd.DataFrame(columns | {"share": share(count, count.sum())}))
    return pd.concat(tables, ignore_index=True)


def odds_test(only_1: int, only_2: int, rest_1: int, rest_2: int) -> float:
    """Two-sided p of Fisher's (1922) exact test that a class is like the rest.

    Of the examples that exactly one of two models gets right, the stronger model gets the larger
    share everywhere. In a class, one of them specialises if its share there is another than among
    all other examples.

    Parameters
    ----------
    only_1, only_2 : int
        Examples of the class that one model alone gets right, of either model.
    rest_1, rest_2 : int
        The same of all other examples.

    Returns
    -------
    float
        1 if either has no such example.
    """
    if not only_1 + only_2 or not rest_1 + rest_2:
        return 1.0
    return float(stats.fisher_exact([[only_1, only_2], [rest_1, rest_2]]).pvalue)


def summarise(theta: np.ndarray, outcomes: np.ndarray) -> dict[str, float]:
    """Compare two models on the examples of a class, or of a group of classes.

    Parameters
    ----------
    theta : ndarray of float64, shape (examples,)
    outcomes : ndarray of str, shape (examples,)

    Returns
    -------
    dict
        `examples`; the mean `theta` with its 95 % interval from Student's t-distribution over
        examples; `only_1` and `only_2`, shares of the examples; `advantage`, the accuracy of model
        1 minus that of model 2, with Wald's 95 % interval of paired differences; both accuracies
        with Wilson's 95 % intervals; and `p`, of McNemar's exact two-sided test that both models
        are right equally often (McNemar 1947): the examples that exactly one gets right are then
        tosses of a fair coin. Without examples all but their number are NaN, with one the interval
        of theta is.
    """
    examples = len(theta)
    only_1, only_2 = (int((outcomes == name).sum()) for name in ("only_1", "only_2"))
    both = int((outcomes == "both_right").sum())
    mean = theta.mean() if examples else np.nan
    half = np.nan
    if examples > 1:
        half = stats.t.ppf(0.975, examples - 1) * theta.std(ddof=1) / np.sqrt(examples)
    row = {"examples": examples, "theta": mean, "theta_low": mean - half, "theta_high": mean + half}
    row |= {"only_1": share(only_1, examples), "only_2": share(only_2, examples)}
    right = (np.isin(outcomes, ["both_right", only]) for only in ("only_1", "only_2"))
    names = ("advantage", "advantage_low", "advantage_high")
    row |= dict(zip(names, paired_gain(*right), strict=True))
    for member, only in ((1, only_1), (2, only_2)):
        row[f"accuracy_{member}"] = share(both + only, examples)
        row[f"accuracy_{member}_low"], row[f"accuracy_{member}_high"] = wilson(
            both + only, examples
        )
    row["p"] = mcnemar(only_1, only_2) if examples else np.nan
    return {name: value if name == "examples" else float(value) for name, value in row.items()}
