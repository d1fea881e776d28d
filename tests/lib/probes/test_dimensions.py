"""Columns are drawn in the shares asked for, ranked as said, and counted down to a target."""

import numpy as np
import pytest

from workflow.lib.probes import dimensions as library
from workflow.lib.probes.dimensions import combine, dimensions_needed

pytestmark = pytest.mark.numeric


def rank_dimensions(features, statistic, direction):
    return library.rank_dimensions(np.cov(features.T, bias=True), statistic, direction)


@pytest.mark.parametrize(
    ("second", "share", "of_first", "of_second"),
    [
        (96, 100, 96, 0),
        (96, 75, 72, 24),
        (96, 0, 0, 96),
        (256, 75, 72, 24),  # 64 of 256, but no more in all than 96
        (256, 0, 0, 96),
        (64, 75, 72, 16),  # a quarter of 64
        (64, 0, 0, 64),
        (13, 50, 48, 7),  # six and a half
    ],
)
def test_shares_are_of_each_model_and_no_more_in_all_than_the_base(
    second, share, of_first, of_second
):
    columns = combine(96, second, share, np.random.default_rng(0))
    assert len(set(columns)) == len(columns)
    assert (columns < 96).sum() == of_first
    assert (columns >= 96).sum() == of_second
    assert columns.max() < 96 + second


def test_no_dimension_is_lost_to_rounding():
    for dimensions in (1, 5, 7):
        assert len(combine(dimensions, dimensions, 50, np.random.default_rng(0))) == dimensions


def test_draws_follow_the_seed():
    one, same, other = (combine(96, 96, 50, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


# Columns a, -a, b with a of variance 1, b of 4, uncorrelated; and a constant one.
A, B = np.array([1.0, 1, -1, -1]), np.array([2.0, -2, 2, -2])
FEATURES = np.stack([A, -A, B, np.full(4, 7)], axis=1)


def test_ranks_by_hand():
    # Mean absolute covariances with the three others: 1/3, 1/3, 0, 0; correlations the same here.
    for statistic in ("covariance", "correlation"):
        assert rank_dimensions(FEATURES, statistic, "lowest").tolist() == [2, 3, 0, 1]
        assert rank_dimensions(FEATURES, statistic, "highest").tolist() == [0, 1, 2, 3]


def test_correlation_forgets_scale_and_covariance_does_not():
    mixed = np.stack([A + 0.1 * B, A, 0.01 * (B + 0.5 * A), B], axis=1)
    scaled = mixed * np.array([1, 10, 1000, 0.1])
    same = rank_dimensions(mixed, "correlation", "lowest")
    np.testing.assert_array_equal(rank_dimensions(scaled, "correlation", "lowest"), same)
    covariance = [rank_dimensions(x, "covariance", "lowest").tolist() for x in (mixed, scaled)]
    assert covariance[0] != covariance[1]


def test_ranks_do_not_depend_on_the_order_of_examples_and_follow_that_of_columns():
    features = np.random.default_rng(0).normal(size=(50, 6)) @ np.random.default_rng(1).normal(
        size=(6, 6)
    )
    for statistic in ("covariance", "correlation"):
        order = rank_dimensions(features, statistic, "lowest")
        np.testing.assert_array_equal(rank_dimensions(features[::-1], statistic, "lowest"), order)
        np.testing.assert_array_equal(rank_dimensions(features, statistic, "highest"), order[::-1])
        turned = rank_dimensions(features[:, ::-1], statistic, "lowest")
        np.testing.assert_array_equal(5 - turned, order)


def test_an_unknown_statistic_is_refused():
    with pytest.raises(ValueError, match="unknown statistic 'variance'"):
        rank_dimensions(FEATURES, "variance", "lowest")


def test_dimensions_needed_by_hand():
    sizes, accuracies = [4, 16, 64], [0.5, 0.7, 0.9]
    assert dimensions_needed(sizes, accuracies, 0.4) == 4
    assert dimensions_needed(sizes, accuracies, 0.7) == pytest.approx(16)
    # Half way from 16 to 64 in the logarithm.
    assert dimensions_needed(sizes, accuracies, 0.8) == pytest.approx(32)
    assert np.isnan(dimensions_needed(sizes, accuracies, 0.95))
    # The first time counts.
    assert dimensions_needed(sizes, [0.5, 0.9, 0.7], 0.9) == pytest.approx(16)
