"""Scores of confidences: by hand, against scikit-learn, and for every score that is listed."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from workflow.lib.measures.uncertainty import (
    GROUPS,
    OF_CONFIDENCES,
    SCORES,
    confidence_scores,
    group_means,
    groups,
    jackknife,
    left_out_means,
    risk_by_coverage,
)

pytestmark = pytest.mark.numeric


def scores(confidence, right, group=None):
    found = confidence_scores(np.log(confidence), np.asarray(right, bool), group)
    return dict(zip(OF_CONFIDENCES, found.T, strict=True))


def drawn(examples=500, seed=0):
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.1, 1, examples)
    return confidence, rng.uniform(size=examples) < confidence


def test_four_images_by_hand():
    found = scores([0.9, 0.8, 0.7, 0.6], [1, 1, 0, 1])
    assert found["aurc"][0] == pytest.approx(7 / 48)
    assert found["augrc"][0] == pytest.approx(1 / 8)
    assert found["auroc"][0] == pytest.approx(2 / 3)
    assert found["accuracy"][0] == 0.75
    assert found["coverage_at_risk"][0] == 0.5
    assert found["risk_at_coverage"][0] == 0.25  # 80 % of four are all of them
    # .9 right, .8 right, .7 wrong, .6 right: each in a bin of its own.
    assert found["ece"][0] == pytest.approx((0.1 + 0.2 + 0.7 + 0.4) / 4)
    np.testing.assert_allclose(
        risk_by_coverage(np.log([0.6, 0.7, 0.9, 0.8]), np.array([1, 0, 1, 1], bool)),
        [0, 0, 1 / 3, 1 / 4],
    )


def test_equal_confidences_share_their_errors_in_any_order():
    found = [scores([0.5] * 4, np.roll([1, 1, 0, 1], k)) for k in range(4)]
    for name in OF_CONFIDENCES:
        assert len({own[name][0] for own in found}) == 1
    assert found[0]["aurc"][0] == pytest.approx(0.25)
    assert found[0]["auroc"][0] == pytest.approx(0.5)


def test_a_confidence_on_a_border_belongs_to_the_lower_bin():
    # 0.2 = 3 / 15 would be right in the fourth bin beside 0.25, and lies in the third alone.
    found = scores([0.2, 0.25], [1, 0])
    assert found["ece"][0] == pytest.approx((0.8 + 0.25) / 2)


def test_auroc_is_that_of_scikit_learn():
    confidence, right = drawn()
    confidence = confidence.round(1)  # with ties
    assert scores(confidence, right)["auroc"][0] == pytest.approx(roc_auc_score(right, confidence))


def test_scores_are_those_of_torch_uncertainty():
    """Its 0.13.0, and ECE as torchmetrics 1.9.0 has it, gave these of the same confidences."""
    confidence, right = drawn()
    found = scores(confidence, right)
    assert found["coverage_at_risk"][0] == pytest.approx(0.056)
    assert found["risk_at_coverage"][0] == pytest.approx(0.3175)
    assert found["ece"][0] == pytest.approx(0.062853142619133, rel=1e-6)  # in float32
    # Its areas are of trapezia, from the first image on, stretched to a width of 1.
    assert right[confidence.argmax()]
    for name, theirs in (("aurc", 0.1947667348610922), ("augrc", 0.13032064126055318)):
        area = (500 * found[name][0] - (0 + 1 - right.mean()) / 2) / 499
        assert area == pytest.approx(theirs, rel=1e-6), name


def test_all_right_or_all_wrong():
    for right in (True, False):
        found = scores([0.9, 0.4, 0.6], [right] * 3)
        assert np.isnan(found["auroc"][0])
        assert found["aurc"][0] == found["risk_at_coverage"][0] == 1 - right
        assert found["coverage_at_risk"][0] == right


@pytest.mark.parametrize("name", OF_CONFIDENCES)
def test_without_a_group_is_computed_anew(name):
    confidence, right = drawn(300)
    group = groups(300)
    found = scores(confidence, right, group)[name]
    for left_out in (0, 7, GROUPS - 1):
        rest = group != left_out
        alone = scores(confidence[rest], right[rest])[name][0]
        assert found[1 + left_out] == pytest.approx(alone, abs=1e-12)


@pytest.mark.parametrize("name", OF_CONFIDENCES)
def test_the_order_of_images_does_not_matter(name):
    confidence, right = drawn()
    order = np.random.default_rng(1).permutation(len(right))
    one, other = scores(confidence, right), scores(confidence[order], right[order])
    assert one[name][0] == pytest.approx(other[name][0])


def test_every_score_that_is_better_higher_is_better_for_better_confidences():
    rng = np.random.default_rng(2)
    right = rng.uniform(size=2000) < 0.8
    sharp = np.where(right, rng.uniform(0.7, 1, 2000), rng.uniform(0.3, 0.8, 2000))
    good, bad = scores(sharp, right), scores(rng.permutation(sharp), right)
    for name in OF_CONFIDENCES:
        if name not in ("accuracy", "ece"):
            assert (good[name][0] > bad[name][0]) == SCORES[name].higher, name


def test_groups_are_of_a_size_and_the_same_each_time():
    found = groups(1003)
    assert np.ptp(np.bincount(found, minlength=GROUPS)) <= 1
    np.testing.assert_array_equal(found, groups(1003))


def test_the_jackknife_of_a_mean_is_its_usual_interval():
    rng = np.random.default_rng(3)
    values, group = rng.normal(size=4000), groups(4000)
    means = group_means(values, group)
    assert means[0] == pytest.approx(values.mean())
    low, high = jackknife(means)
    assert (high - low) / 2 == pytest.approx(2.09 * values.std() / 4000**0.5, rel=0.5)
    same = jackknife(means - means)
    assert same[0] == same[1] == 0


def test_about_95_of_100_intervals_hold_the_truth():
    held = 0
    for seed in range(300):
        _, right = drawn(400, seed)
        means = group_means(right.astype(float), groups(400, seed))
        low, high = jackknife(means)
        held += low <= 0.55 <= high
    assert 0.90 <= held / 300 <= 0.99


def test_means_without_each_group_come_from_sums():
    values, group = np.arange(40.0), np.arange(40) % GROUPS
    sums = np.bincount(group, values, GROUPS)
    found = left_out_means(sums, np.full(GROUPS, 2))
    assert found[0] == values.mean()
    assert found[3] == pytest.approx(np.delete(values, [2, 22]).mean())
