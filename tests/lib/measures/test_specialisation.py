"""Confidences, angles and tests of specialisation: worked out by hand, and their properties."""

import numpy as np
import pytest

from workflow.lib.measures import specialisation
from workflow.lib.measures.specialisation import (
    OUTCOMES,
    angle,
    histogram,
    outcome,
    prevailing,
    summarise,
)
from workflow.lib.measures.statistics import holm, mcnemar

pytestmark = pytest.mark.numeric


def test_angle_is_the_one_defined():
    first, second = np.random.default_rng(0).uniform(0.05, 1, (2, 1000))
    expected = np.arctan2(first, second) - np.pi / 4
    np.testing.assert_allclose(angle(np.log(first), np.log(second)), expected, atol=1e-15)
    # atan2(1, 1 / sqrt(3)) is 60 degrees, 15 more than 45.
    assert angle(0.0, -np.log(3) / 2) == pytest.approx(np.pi / 12)
    assert angle(-0.3, -0.3) == 0


def test_swapping_the_models_negates_the_angle():
    first, second = np.log(np.random.default_rng(0).uniform(0.15, 1, (2, 500)))
    theta = angle(first, second)
    assert np.abs(theta).max() > 0.3
    np.testing.assert_array_equal(theta, -angle(second, first))


def test_angle_stays_within_its_bounds():
    logs = -np.geomspace(1e-20, 1e3, 200)
    theta = angle(logs[:, None], logs[None])
    assert theta.min() == pytest.approx(-np.pi / 4)
    assert np.abs(theta).max() <= np.pi / 4


def test_outcomes():
    right = np.array([True, False, True, False]), np.array([True, False, False, True])
    assert outcome(*right).tolist() == list(OUTCOMES)


def test_prevailing_worked_out_by_hand():
    theta = np.array([0.1, 0.5, 0.3, 0.2, 0.4])
    prevails = np.array([True, True, False, True, True])
    # From the top: 1/1, 2/2, 2/3, 3/4, 4/5.
    assert prevailing(theta, prevails, 1.0) == 0.4
    assert prevailing(theta, prevails, 0.8) == 0.1
    assert prevailing(theta, prevails, 0.75) == 0.1
    assert prevailing(theta, ~prevails, 0.5) != prevailing(theta, ~prevails, 0.3)
    assert np.isnan(prevailing(theta, np.zeros(5, bool)))
    assert np.isnan(prevailing(np.array([]), np.array([], bool)))


def test_prevailing_of_model_two_is_that_of_model_one_mirrored():
    rng = np.random.default_rng(0)
    theta = rng.uniform(-0.7, 0.7, 4000)
    prevails = rng.random(4000) < 0.5 + theta
    assert prevailing(theta, prevails) == pytest.approx(0.49, abs=0.08)
    order = rng.permutation(4000)
    assert prevailing(theta[order], prevails[order]) == prevailing(theta, prevails)
    assert prevailing(-theta, ~prevails) == pytest.approx(0.49, abs=0.08)


def test_equal_angles_come_together():
    # At 0.3 one of two prevails, in whichever order they are given.
    for prevails in ([True, True, False], [True, False, True]):
        assert prevailing(np.array([0.9, 0.3, 0.3]), np.array(prevails), 1.0) == 0.9


def test_histogram_counts_every_example_once():
    rng = np.random.default_rng(0)
    theta = rng.uniform(-0.5, 0.5, 300)
    outcomes = rng.choice(OUTCOMES[:3], 300)
    table = histogram(theta, outcomes, np.linspace(-0.5, 0.5, 11))
    assert table["count"].sum() == 300
    sums = table.groupby("outcome", sort=False)["share"].sum(min_count=1)
    assert sums.index.tolist() == list(OUTCOMES)
    np.testing.assert_allclose(sums, [1, 1, 1, np.nan])
    first = table[table["outcome"] == "both_right"].iloc[0]
    inside = (outcomes == "both_right") & (theta < -0.4)
    assert (first["bin_low"], first["bin_high"], first["count"]) == (-0.5, -0.4, inside.sum())


def test_mcnemar_worked_out_by_hand():
    # Of six tosses none is a head: 2 / 2^6. Five heads of six: 2 (1 + 6) / 2^6.
    assert mcnemar(6, 0) == pytest.approx(2 / 64)
    assert mcnemar(5, 1) == pytest.approx(14 / 64)
    assert mcnemar(1, 5) == mcnemar(5, 1)
    assert mcnemar(3, 3) == mcnemar(0, 0) == 1


def test_holm_worked_out_by_hand():
    # Sorted 0.01, 0.02, 0.03, 0.3 times 4, 3, 2, 1; the third, 0.06, is no less than the second.
    np.testing.assert_allclose(holm(np.array([0.03, 0.3, 0.01, 0.02])), [0.06, 0.3, 0.04, 0.06])
    # A p-value that is missing is not counted.
    np.testing.assert_allclose(holm(np.array([np.nan, 0.02, 0.9])), [np.nan, 0.04, 0.9])
    assert holm(np.array([0.6, 0.7])).tolist() == [1, 1]
    assert len(holm(np.array([]))) == 0


def test_holm_rejects_falsely_as_seldom_as_it_says():
    rng = np.random.default_rng(0)
    false = [(holm(rng.random(20)) < 0.05).any() for _ in range(2000)]
    assert np.mean(false) == pytest.approx(0.05, abs=0.015)


def test_summary_worked_out_by_hand():
    # Both right 5, both wrong 2, only 1 two, only 2 one: accuracies 7/10 and 6/10.
    outcomes = np.repeat(["both_right", "both_wrong", "only_1", "only_2"], [5, 2, 2, 1])
    theta = np.array([0.1, 0.3] * 5)
    made = summarise(theta, outcomes)
    assert made["examples"] == 10
    assert (made["only_1"], made["only_2"]) == (0.2, 0.1)
    assert (made["accuracy_1"], made["accuracy_2"]) == (0.7, 0.6)
    assert made["accuracy_1_low"] < 0.7 < made["accuracy_1_high"]
    # The deviation is sqrt(10 / 9) / 10, that of the mean 1 / 30; t of 9 degrees is 2.2622.
    assert made["theta"] == pytest.approx(0.2)
    assert made["theta_high"] - 0.2 == pytest.approx(2.2622 / 30, abs=1e-5)
    assert 0.2 - made["theta_low"] == pytest.approx(2.2622 / 30, abs=1e-5)
    assert made["p"] == 1  # two heads of three tosses


def test_summary_of_the_swapped_pair_mirrors_it():
    rng = np.random.default_rng(0)
    theta, outcomes = rng.normal(0, 0.1, 80), rng.choice(OUTCOMES, 80, p=[0.5, 0.2, 0.25, 0.05])
    swap = {"only_1": "only_2", "only_2": "only_1"}
    made = summarise(theta, outcomes)
    back = summarise(-theta, np.array([swap.get(name, name) for name in outcomes]))
    assert back["p"] == pytest.approx(made["p"])
    assert made["p"] < 0.05
    assert back["theta_low"] == pytest.approx(-made["theta_high"])
    assert back["accuracy_2_low"] == made["accuracy_1_low"]


def test_summary_of_few_examples_is_empty_where_nothing_is_known():
    none = summarise(np.array([]), np.array([], str))
    assert none.pop("examples") == 0
    assert np.isnan(list(none.values())).all()
    one = summarise(np.array([0.2]), np.array(["only_1"]))
    assert (one["theta"], one["accuracy_1"], one["accuracy_2"], one["p"]) == (0.2, 1, 0, 1)
    assert np.isnan([one["theta_low"], one["theta_high"]]).all()


def test_outcomes_are_the_columns_of_the_pairs_table():
    from workflow.lib.measures.pairs import PairCounts, pair_table

    nothing = {name: np.zeros((2, 2), int) for name in ("probability", "logit")}
    counts = PairCounts(9, np.array([5, 4]), np.array([[5, 3], [3, 4]]), nothing, nothing)
    assert set(specialisation.OUTCOMES) <= set(pair_table(counts, ["a", "b"]))
