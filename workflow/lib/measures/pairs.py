"""What two models have in common and gain together: pure functions of counts of examples.

Every function takes counts as numbers or arrays and works on each element. Of a pair's examples,
`both_right`, `only_1`, `only_2` and `both_wrong` are right for both, one, or neither; of those that
exactly one gets right their ensemble gets `converted` right too, and of those that both get wrong
`rescued`. An ensemble is right wherever both members are: their common top class has the highest
score of both, so no other class has a higher sum, and among equal ones it has the lowest index.

Counts may be numbers or arrays of one shape; results are float64 of that shape, fractions, and NaN
where nothing is to be divided.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import norm

from workflow.lib.measures.statistics import share, wilson

LEAST = 20
"""Examples that exactly one of a pair gets right, below which intervals of its kappa and of its
ensemble's improvement are left out: they would hold the true value far less often than they say."""


@dataclass(frozen=True)
class PairCounts:
    """How often what happened, by model or by pair of models.

    Attributes
    ----------
    examples : int
    correct : ndarray of int64, shape (models,)
        Examples that each model gets right.
    both_right : ndarray of int64, shape (models, models)
        Symmetric, with `correct` on its diagonal.
    converted : dict of str to ndarray of int64, shape (models, models)
        For each combination, examples that exactly one of a pair and their ensemble get right.
    rescued : dict of str to ndarray of int64, shape (models, models)
        For each combination, examples that both of a pair get wrong and their ensemble gets right.
    """

    examples: int
    correct: np.ndarray
    both_right: np.ndarray
    converted: dict[str, np.ndarray]
    rescued: dict[str, np.ndarray]


def error_inconsistency(both_right, only_1, only_2, both_wrong) -> np.ndarray:
    """Fraction of examples that exactly one of a pair gets right (Gontijo-Lopes et al. 2022)."""
    return share(only_1 + only_2, both_right + only_1 + only_2 + both_wrong)


def error_consistency(both_right, only_1, only_2, both_wrong) -> np.ndarray:
    """Cohen's kappa of who is right (Geirhos et al. 2020, eq. 2); NaN if chance explains all."""
    observed, expected = _agreement(both_right, only_1, only_2, both_wrong)
    return share(observed - expected, 1 - expected)


def error_consistency_bounds(both_right, only_1, only_2, both_wrong):
    """Least and greatest kappa that two models of these accuracies can have.

    The observed agreement lies between |1 - a1 - a2| and 1 - |a1 - a2| (Geirhos et al. 2020,
    section 2 of the appendix).

    Returns
    -------
    low, high : ndarray of float64
    """
    examples = both_right + only_1 + only_2 + both_wrong
    first, second = share(both_right + only_1, examples), share(both_right + only_2, examples)
    _, expected = _agreement(both_right, only_1, only_2, both_wrong)
    low = share(np.abs(1 - first - second) - expected, 1 - expected)
    high = share(1 - np.abs(first - second) - expected, 1 - expected)
    return low, high


def error_consistency_interval(both_right, only_1, only_2, both_wrong, level: float = 0.95):
    """Interval of kappa by its large-sample variance (Fleiss, Cohen and Everitt 1969, eq. 13).

    Returns
    -------
    low, high : ndarray of float64
    """
    examples = both_right + only_1 + only_2 + both_wrong
    kappa = error_consistency(both_right, only_1, only_2, both_wrong)
    _, expected = _agreement(both_right, only_1, only_2, both_wrong)
    right, wrong = share(both_right, examples), share(both_wrong, examples)
    first, second = share(both_right + only_1, examples), share(both_right + only_2, examples)
    # Rows and columns of the table, (right, wrong): p(i.) and p(.i).
    diagonal = sum(
        p * (1 - (a + b) * (1 - kappa)) ** 2
        for p, a, b in ((right, first, second), (wrong, 1 - first, 1 - second))
    )
    off = (1 - kappa) ** 2 * (
        share(only_1, examples) * (second + 1 - first) ** 2
        + share(only_2, examples) * (1 - second + first) ** 2
    )
    rest = (kappa - expected * (1 - kappa)) ** 2
    variance = share(diagonal + off - rest, examples * (1 - expected) ** 2)
    half = norm.ppf((1 + level) / 2) * np.sqrt(np.clip(variance, 0, None))
    return np.clip(kappa - half, -1, 1), np.clip(kappa + half, -1, 1)


def ensemble_accuracy(both_right, only_1, only_2, both_wrong, converted, rescued) -> np.ndarray:
    """Fraction of examples that the ensemble gets right."""
    examples = both_right + only_1 + only_2 + both_wrong
    return share(both_right + converted + rescued, examples)


def improvement(both_right, only_1, only_2, both_wrong, converted, rescued) -> np.ndarray:
    """Ensemble accuracy minus the mean accuracy of its members."""
    examples = both_right + only_1 + only_2 + both_wrong
    return share(converted + rescued - (only_1 + only_2) / 2, examples)


def improvement_interval(
    both_right, only_1, only_2, both_wrong, converted, rescued, level: float = 0.95
):
    """Wald's interval of the mean of paired differences, one an example.

    An example counts 1 if it is rescued, 1/2 if converted, -1/2 if one member gets it right and the
    ensemble does not, and 0 otherwise.

    Returns
    -------
    low, high : ndarray of float64
    """
    examples = both_right + only_1 + only_2 + both_wrong
    mean = improvement(both_right, only_1, only_2, both_wrong, converted, rescued)
    square = share((only_1 + only_2) / 4 + rescued, examples)
    half = norm.ppf((1 + level) / 2) * np.sqrt(np.clip(share(square - mean**2, examples), 0, None))
    return mean - half, mean + half


def conversion_rate(both_right, only_1, only_2, both_wrong, converted, rescued) -> np.ndarray:
    """Of the examples that exactly one gets right, the fraction that the ensemble gets right."""
    return share(converted, only_1 + only_2)


def _agreement(both_right, only_1, only_2, both_wrong):
    """Observed agreement on who is right, and that expected of independent models."""
    examples = both_right + only_1 + only_2 + both_wrong
    first, second = share(both_right + only_1, examples), share(both_right + only_2, examples)
    observed = share(both_right + both_wrong, examples)
    return observed, first * second + (1 - first) * (1 - second)


PAIR_METRICS = {
    "error_inconsistency": error_inconsistency,
    "error_consistency": error_consistency,
}
"""Metrics of who is right: of both_right, only_1, only_2, both_wrong."""

ENSEMBLE_METRICS = {
    "ensemble_accuracy": ensemble_accuracy,
    "improvement": improvement,
    "conversion_rate": conversion_rate,
}
"""Metrics of the ensemble: of converted and rescued, too."""

SYMMETRIC_METRICS = {*PAIR_METRICS, *ENSEMBLE_METRICS}
"""Metrics that do not change when the models of a pair are swapped."""

BOUNDS = {
    "error_inconsistency": (0, 1),
    "error_consistency": (-1, 1),
    "ensemble_accuracy": (0, 1),
    "improvement": (-0.5, 1),
    "conversion_rate": (0, 1),
}
"""Least and greatest value of each metric."""


def pair_table(counts: PairCounts, names: list[str]) -> pd.DataFrame:
    """Put all metrics of all pairs in one table, each with its 95 % interval.

    Parameters
    ----------
    counts : PairCounts
    names : list of str
        Of the models.

    Returns
    -------
    DataFrame
        A row a pair and combination, models in the order of `names`. Rates are fractions; `_low`
        and `_high` are Wilson's intervals, but for `improvement` (`improvement_interval`) and
        `error_consistency` (`error_consistency_interval`), whose attainable bounds are `_min` and
        `_max`. The last two are for large samples: below `LEAST` examples that exactly one gets
        right they are NaN.
    """
    index = np.array(list(combinations(range(len(names)), 2)), dtype=int).reshape(-1, 2)
    first, second = index.T
    tables = []
    for combination in counts.converted:
        both_right = counts.both_right[first, second]
        only_1 = counts.correct[first] - both_right
        only_2 = counts.correct[second] - both_right
        alone = (both_right, only_1, only_2, counts.examples - both_right - only_1 - only_2)
        gains = [own[combination][first, second] for own in (counts.converted, counts.rescued)]
        columns = {
            "model_1": [names[i] for i in first],
            "model_2": [names[i] for i in second],
            "combination": combination,
            "examples": counts.examples,
            "accuracy_1": share(counts.correct[first], counts.examples),
            "accuracy_2": share(counts.correct[second], counts.examples),
        }

        def add(name, value, interval, columns=columns):
            columns[name] = value
            columns[f"{name}_low"], columns[f"{name}_high"] = interval

        for name, count in (
            ("both_right", alone[0]),
            ("both_wrong", alone[3]),
            ("only_1", alone[1]),
            ("only_2", alone[2]),
        ):
            add(name, share(count, counts.examples), wilson(count, counts.examples))
        add(
            "error_inconsistency",
            error_inconsistency(*alone),
            wilson(only_1 + only_2, counts.examples),
        )
        enough = only_1 + only_2 >= LEAST
        interval = error_consistency_interval(*alone)
        add("error_consistency", error_consistency(*alone), np.where(enough, interval, np.nan))
        bounds = error_consistency_bounds(*alone)
        columns["error_consistency_min"], columns["error_consistency_max"] = bounds
        add(
            "ensemble_accuracy",
            ensemble_accuracy(*alone, *gains),
            wilson(both_right + sum(gains), counts.examples),
        )
        interval = improvement_interval(*alone, *gains)
        add("improvement", improvement(*alone, *gains), np.where(enough, interval, np.nan))
        add("conversion_rate", conversion_rate(*alone, *gains), wilson(gains[0], only_1 + only_2))
        tables.append(pd.DataFrame(columns).assign(pair=range(len(index))))
    table = pd.concat(tables).sort_values("pair", kind="stable", ignore_index=True)
    return table.drop(columns="pair")
