"""Confidences, angles and tests of specialisation: worked out by hand, and their properties."""

import numpy as np
import pytest

from workflow.lib.ensembles.pairs import count_pairs
from workflow.lib.measures import specialisation
from workflow.lib.measures.specialisation import (
    OUTCOMES,
    angle,
    calibrate,
    ensemble_class,
    histogram,
    outcome,
    prevailing,
    summarise,
)
from workflow.lib.measures.statistics import holm, mcnemar

pytestmark = pytest.mark.numeric


def draw_logits(seed=0, examples=500, classes=7, scale=3.0):
    return np.random.default_rng(seed).normal(0, scale, (examples, classes)).astype(np.float32)


def compare(first, second, temperatures=(1.0, 1.0), mean="probability"):
    pairs = zip((first, second), temperatures, strict=True)
    return [calibrate(logits, temperature, mean) for logits, temperature in pairs]


def test_confidence_worked_out_by_hand():
    # At temperature 2 the odds are 4 : 2 : 1.
    logits = 2 * np.log([[4.0, 2.0, 1.0], [1.0, 1.0, 1.0]])
    made = calibrate(logits, 2.0, "probability")
    np.testing.assert_allclose(np.exp(made.log_confidence), [4 / 7, 1 / 3])
    np.testing.assert_allclose(made.scores[0], [4 / 7, 2 / 7, 1 / 7])
    assert made.top.tolist() == [0, 0]  # the lowest of equal ones
    np.testing.assert_allclose(calibrate(logits, 2.0, "logit").scores, logits / 2)


def test_confidences_near_one_are_told_apart():
    # The others' odds are 2 e^-60 and 2 e^-61: as float64 both confidences are 1.
    made = calibrate(np.array([[60.0, 0.0, 0.0], [61.0, 0.0, 0.0]]), 1.0, "probability")
    np.testing.assert_allclose(made.log_confidence, [-2 * np.exp(-60), -2 * np.exp(-61)])
    assert angle(*made.log_confidence) < 0 < angle(*made.log_confidence[::-1])


def test_huge_logits_do_not_overflow():
    made = calibrate(np.array([[1e4, -1e4], [0.0, 1e4]]), 0.5, "probability")
    assert made.log_confidence.tolist() == [0, 0]
    assert made.scores.tolist() == [[1, 0], [0, 1]]


def test_angle_is_the_one_defined():
    first, second = np.random.default_rng(0).uniform(0.05, 1, (2, 1000))
    expected = np.arctan2(first, second) - np.pi / 4
    np.testing.assert_allclose(angle(np.log(first), np.log(second)), expected, atol=1e-15)
    # atan2(1, 1 / sqrt(3)) is 60 degrees, 15 more than 45.
    assert angle(0.0, -np.log(3) / 2) == pytest.approx(np.pi / 12)
    assert angle(-0.3, -0.3) == 0


def test_swapping_the_models_negates_the_angle():
    first, second = compare(draw_logits(0), draw_logits(1, scale=9.0), (0.7, 1.9))
    theta = angle(first.log_confidence, second.log_confidence)
    back = angle(second.log_confidence, first.log_confidence)
    assert np.abs(theta).max() > 0.3
    np.testing.assert_array_equal(theta, -back)


def test_angle_stays_within_its_bounds():
    logs = -np.geomspace(1e-20, 1e3, 200)
    theta = angle(logs[:, None], logs[None])
    assert theta.min() == pytest.approx(-np.pi / 4)
    assert np.abs(theta).max() <= np.pi / 4


def test_relabelling_classes_changes_no_angle():
    first, second = draw_logits(0), draw_logits(1)
    order = np.random.default_rng(2).permutation(first.shape[1])

    def theta(a, b):
        a, b = compare(a, b)
        return angle(a.log_confidence, b.log_confidence)

    np.testing.assert_allclose(
        theta(first, second), theta(first[:, order], second[:, order]), atol=1e-14
    )


def test_ensemble_worked_out_by_hand():
    # Probabilities 0.9, 0.1, 0 and 0.3, 0.7, 0: sums of 1.2 and 0.8. Of logits the products count,
    # 0.27 and 0.07. In the second row 0.6, 0.4 and 0.02, 0.98: sums 0.62 and 1.38.
    first = np.log([[0.9, 0.1 - 1e-9, 1e-9], [0.6, 0.4 - 1e-9, 1e-9]])
    second = np.log([[0.3, 0.7 - 1e-9, 1e-9], [0.02, 0.98 - 1e-9, 1e-9]])
    assert ensemble_class(*compare(first, second)).tolist() == [0, 1]
    # 0.6, 0.3, 0.1 and 0.001, 0.3, 0.699: sums 0.601, 0.6, 0.799; products 0.0006, 0.09, 0.07.
    third, fourth = np.log([[0.6, 0.3, 0.1]]), np.log([[0.001, 0.3, 0.699]])
    assert ensemble_class(*compare(third, fourth)).tolist() == [2]
    assert ensemble_class(*compare(third, fourth, mean="logit")).tolist() == [1]


@pytest.mark.parametrize("mean", ["probability", "logit"])
def test_ensemble_and_outcomes_are_those_of_the_pair_engine(mean):
    logits, temperatures = [draw_logits(0), draw_logits(1)], (2.5, 2.0)
    labels = np.random.default_rng(2).integers(0, 7, len(logits[0]))
    first, second = compare(*logits, temperatures, mean)
    right = ensemble_class(first, second) == labels
    who = outcome(first.top == labels, second.top == labels)
    counts = count_pairs(logits, labels, temperatures)
    alone = np.isin(who, ["only_1", "only_2"])
    assert (who == "both_right").sum() == counts.both_right[0, 1] > 0
    assert (right & alone).sum() == counts.converted[mean][0, 1] > 0
    assert (right & (who == "both_wrong")).sum() == counts.rescued[mean][0, 1] > 0


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

    nothing = {mean: np.zeros((2, 2), int) for mean in ("probability", "logit")}
    counts = PairCounts(9, np.array([5, 4]), np.array([[5, 3], [3, 4]]), nothing, nothing)
    assert set(specialisation.OUTCOMES) <= set(pair_table(counts, ["a", "b"]))
