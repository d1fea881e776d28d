"""Relations over models: by hand, against SciPy, and how often chance is taken for more."""

import numpy as np
import pytest
from scipy import stats

from workflow.lib.measures import resampling
from workflow.lib.measures.resampling import network_p, pearson, permutation_p, resampled


def test_correlations_and_slopes_are_those_of_scipy():
    x, y = np.random.default_rng(0).normal(size=(2, 3, 12))
    for row in range(3):
        fit = stats.linregress(x[row], y[row])
        assert pearson(x, y)[row] == pytest.approx(fit.rvalue)
        assert resampling.slope(x, y)[row] == pytest.approx(fit.slope)
        left = y[row] - fit.intercept - fit.slope * x[row]
        assert resampling.residuals(y, x)[row] == pytest.approx(left)
    assert np.isnan(pearson(np.ones(4), np.arange(4.0)))
    assert resampling.slope(np.array([0.0, 0, 1, 1]), np.array([1.0, 3, 6, 8])) == 5


def test_a_permutation_test_by_hand():
    # Of 24 orders of four, one and its reverse correlate perfectly: 2 / 24 in the long run.
    x = np.arange(4.0)
    assert permutation_p(x, x, pearson, draws=20_000) == pytest.approx(2 / 24, abs=0.01)


def plain(drawn):
    return drawn["x"], drawn["y"]


def test_a_strong_relation_is_found_and_each_base_must_agree():
    rng = np.random.default_rng(0)
    x = np.tile(np.arange(20.0), (3, 1))
    y = x + rng.normal(size=x.shape)
    found = resampled({"x": x, "y": y}, plain, pearson)
    assert found.low < found.value < found.high
    assert (found.p < 0.01, found.agree) == (True, True)
    y[2] = -y[2]
    found = resampled({"x": x, "y": y}, plain, pearson)
    assert (found.value > 0, found.agree) == (True, False)


def test_too_few_models_and_constant_ones_are_unknown():
    few = np.arange(3.0)[None]
    assert np.isnan(resampled({"x": few, "y": few}, plain, pearson).p)
    flat = {"x": np.ones((1, 9)), "y": np.arange(9.0)[None]}
    assert np.isnan(resampled(flat, plain, pearson).value)
    gaps = {"x": np.array([[1, 2, 3, 4, np.nan]]), "y": np.array([[1.0, 2, 3, 5, 6]])}
    assert resampled(gaps, plain, pearson).value == pytest.approx(
        stats.pearsonr([1, 2, 3, 4], [1, 2, 3, 5])[0]
    )


def test_results_repeat():
    values = {"x": np.arange(9.0)[None], "y": np.random.default_rng(0).normal(size=(1, 9))}
    assert resampled(values, plain, pearson) == resampled(values, plain, pearson)


def test_images_widen_the_interval():
    x = np.arange(12.0)[None]
    y = x + 0.1 * np.random.default_rng(0).normal(size=x.shape)

    def images(draws, rng):
        return {"y": y + 20 * rng.normal(size=(draws, 1, 12))}

    still, noisy = (
        resampled({"x": x, "y": y}, plain, pearson, images=own) for own in (None, images)
    )
    assert noisy.low < still.low
    assert (still.p < 0.01, noisy.p > 0.05) == (True, True)


def test_chance_is_rarely_taken_for_more():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        x = np.tile(rng.normal(size=12), (4, 1))
        y = rng.normal(size=12) + 0.5 * rng.normal(size=(4, 12))
        found.append(resampled({"x": x, "y": y}, plain, pearson, draws=199).p < 0.05)
    assert np.mean(found) <= 0.08


def network(rng, count=10, relation=0.0):
    own = rng.normal(size=count)
    x, y = (rng.normal(size=count)[:, None] + rng.normal(size=count) for _ in range(2))
    x, y = x + x.T - own[:, None] - own, y + y.T + own[:, None] + own
    y = y + relation * x
    return x, y, [np.maximum.outer(own, own), np.minimum.outer(own, own)]


def test_pairs_of_models_are_permuted_together():
    rng = np.random.default_rng(0)
    false = [network_p(*network(rng), draws=199)[1] < 0.05 for _ in range(100)]
    assert np.mean(false) <= 0.1
    assert network_p(*network(rng, relation=2.0))[1] < 0.01


def test_a_partial_correlation_over_pairs_is_that_of_residuals():
    x, y, given = network(np.random.default_rng(1))
    upper = np.triu_indices(len(x), 1)
    design = np.column_stack([np.ones(len(upper[0])), *(each[upper] for each in given)])
    left = [
        each[upper] - design @ np.linalg.lstsq(design, each[upper], rcond=None)[0]
        for each in (x, y)
    ]
    assert network_p(x, y, given, draws=9)[0] == pytest.approx(stats.pearsonr(*left)[0])
    assert np.isnan(network_p(x[:4, :4], y[:4, :4], [])[1])
