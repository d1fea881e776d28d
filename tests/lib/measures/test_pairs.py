"""Metrics of pairs: worked out by hand, and with the properties that each of them claims."""

import inspect

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from workflow.lib.measures import pairs as metrics
from workflow.lib.measures.pairs import PairCounts

pytestmark = pytest.mark.numeric

# Of 100 examples, both get 60 right, the first alone 15, the second alone 5, neither 20; their
# ensemble gets 14 of those 20 right that one gets right, and 1 that neither does.
ALONE = (60, 15, 5, 20)
GAINS = (14, 1)
ALL = metrics.PAIR_METRICS | metrics.ENSEMBLE_METRICS


def value(name, alone=ALONE, gains=GAINS):
    return ALL[name](*alone, *(gains if name in metrics.ENSEMBLE_METRICS else ()))


def random_counts(seed=0, pairs=200):
    rng = np.random.default_rng(seed)
    alone = rng.integers(0, 30, (4, pairs))
    alone[:, 0] = [0, 0, 0, 5]
    alone[:, 1] = [5, 0, 0, 0]
    return alone, (rng.integers(0, alone[1] + alone[2] + 1), rng.integers(0, alone[3] + 1))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("error_inconsistency", 0.20),
        # Agreement 0.8; accuracies 0.75 and 0.65 agree by chance on 0.4875 + 0.0875 = 0.575.
        ("error_consistency", (0.8 - 0.575) / (1 - 0.575)),
        ("ensemble_accuracy", 0.75),
        ("improvement", 0.75 - 0.70),
        ("conversion_rate", 0.70),
    ],
)
def test_worked_out_by_hand(name, expected):
    assert value(name) == pytest.approx(expected)


def test_every_metric_is_listed_with_its_bounds():
    public = {
        name
        for name, function in inspect.getmembers(metrics, inspect.isfunction)
        if function.__module__ == metrics.__name__ and not name.startswith("_")
    }
    helpers = {"wilson", "share", "pair_table"}
    assert {n for n in public - helpers if not n.endswith(("_bounds", "_interval"))} == set(ALL)
    assert set(metrics.BOUNDS) == set(ALL) >= metrics.SYMMETRIC_METRICS


@pytest.mark.parametrize("name", sorted(ALL))
def test_stays_within_its_bounds(name):
    low, high = metrics.BOUNDS[name]
    values = value(name, *random_counts())
    values = values[~np.isnan(values)]
    assert len(values) > 100
    assert ((values >= low - 1e-12) & (values <= high + 1e-12)).all()


@pytest.mark.parametrize("name", sorted(metrics.SYMMETRIC_METRICS))
def test_swapping_the_models_changes_nothing(name):
    (both, first, second, neither), gains = random_counts()
    np.testing.assert_allclose(
        value(name, (both, first, second, neither), gains),
        value(name, (both, second, first, neither), gains),
    )


def test_kappa_is_that_of_scikit_learn():
    first = np.repeat([1, 1, 0, 0], ALONE)
    second = np.repeat([1, 0, 1, 0], ALONE)
    assert metrics.error_consistency(*ALONE) == pytest.approx(cohen_kappa_score(first, second))


def test_kappa_bounds_are_attained_and_hold():
    # Accuracies 0.75 and 0.65 agree most if the right ones are nested, least if disjoint.
    low, high = metrics.error_consistency_bounds(*ALONE)
    assert metrics.error_consistency(65, 10, 0, 25) == pytest.approx(high)
    assert metrics.error_consistency(40, 35, 25, 0) == pytest.approx(low)
    alone, _ = random_counts(1)
    kappa, (low, high) = metrics.error_consistency(*alone), metrics.error_consistency_bounds(*alone)
    fine = ~np.isnan(kappa)
    assert ((low <= kappa + 1e-12) & (kappa <= high + 1e-12))[fine].all()


def test_wilson_is_the_published_interval():
    # Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for counts, expected in {
        (81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611), (1, 29): (0.0061, 0.1718),
    }.items():  # fmt: skip
        np.testing.assert_allclose(metrics.wilson(*counts), expected, atol=5e-5)
    assert np.isnan(metrics.wilson(0, 0)).all()
    assert metrics.wilson(20, 20)[1] == 1.0


@pytest.mark.parametrize(
    ("interval", "metric"),
    [("error_consistency_interval", "error_consistency"), ("improvement_interval", "improvement")],
)
def test_intervals_cover_the_truth_as_often_as_they_say(interval, metric):
    rng = np.random.default_rng(0)
    # Both right; only 1 converted, not; only 2 converted, not; both wrong rescued, not.
    shares = [0.60, 0.11, 0.04, 0.03, 0.02, 0.01, 0.19]
    drawn = rng.multinomial(2000, shares, size=4000).T

    def counts(cells):
        alone = cells[0], cells[1] + cells[2], cells[3] + cells[4], cells[5] + cells[6]
        gains = cells[1] + cells[3], cells[5]
        return (*alone, *gains) if metric in metrics.ENSEMBLE_METRICS else alone

    truth = ALL[metric](*counts(np.array(shares)))
    low, high = getattr(metrics, interval)(*counts(drawn))
    assert np.mean((low <= truth) & (truth <= high)) == pytest.approx(0.95, abs=0.012)


def test_improvement_interval_worked_out_by_hand():
    # Differences: 1 once, 1/2 14 times, -1/2 6 times, 0 else: mean 0.05, mean square 0.06.
    half = 1.959964 * np.sqrt((0.06 - 0.05**2) / 100)
    np.testing.assert_allclose(
        metrics.improvement_interval(*ALONE, *GAINS), (0.05 - half, 0.05 + half), rtol=1e-6
    )


def test_undefined_values_are_nan_and_not_zero():
    assert np.isnan(metrics.conversion_rate(5, 0, 0, 5, 0, 0))
    assert np.isnan(metrics.error_consistency(5, 0, 0, 0))


def test_the_table_holds_every_pair_once_a_combination_with_values_inside_their_intervals():
    both = np.array([[75, 60, 50], [60, 65, 55], [50, 55, 70]])
    gain = np.array([[0, 14, 9], [14, 0, 5], [9, 5, 0]])
    gains = {"probability": gain, "logit": gain + 1 - np.eye(3, dtype=int)}
    rescued = {name: np.ones((3, 3), int) for name in gains}
    table = metrics.pair_table(PairCounts(100, both.diagonal(), both, gains, rescued), list("abc"))
    assert list(zip(table.model_1, table.model_2, table["combination"], strict=True)) == [
        (a, b, name) for a, b in ("ab", "ac", "bc") for name in ("probability", "logit")
    ]
    first = table.iloc[0]
    for name in ALL:
        assert first[name] == pytest.approx(float(value(name)))
    assert first[["both_right", "only_1", "only_2", "both_wrong"]].tolist() == [
        0.6,
        0.15,
        0.05,
        0.2,
    ]
    assert first[["accuracy_1", "accuracy_2"]].tolist() == [0.75, 0.65]
    for name in (*ALL, "both_right", "both_wrong", "only_1", "only_2"):
        assert (table[f"{name}_low"] <= table[name]).all(), name
        assert (table[name] <= table[f"{name}_high"]).all(), name
    shares = table[["both_right", "both_wrong", "only_1", "only_2"]].sum(axis=1)
    np.testing.assert_allclose(shares, 1)
