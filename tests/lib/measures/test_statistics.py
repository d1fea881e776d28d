"""Correlations, slopes and bends agree with worked answers, and say when there is none."""

import numpy as np
import pytest
from scipy import stats

from workflow.lib.measures.statistics import bend, correlation, slope

pytestmark = pytest.mark.numeric


def test_correlation_and_its_interval_by_hand():
    # Deviations (-2, -1, 0, 1, 2) and (-1, -2, 0, 2, 1): products 2+2+0+2+2 = 8, squares 10 and 10.
    r, low, high = correlation([1, 2, 3, 4, 5], [2, 1, 3, 5, 4])
    assert r == pytest.approx(0.8)
    # Fisher: atanh(0.8) = 1.098612 ± 1.959964 / sqrt(2) = 1.385904.
    assert (low, high) == (
        pytest.approx(np.tanh(-0.287292), abs=1e-6),
        pytest.approx(np.tanh(2.484516), abs=1e-6),
    )


def test_rank_correlation_has_a_wider_interval():
    x, y = [1, 2, 3, 4, 5], [2, 1, 3, 5, 4]
    r, low, high = correlation(x, y, rank=True)
    assert r == pytest.approx(0.8)
    # Bonett and Wright: variance (1 + 0.64 / 2) / 2 = 0.66.
    half = 1.959964 * np.sqrt(0.66)
    assert low == pytest.approx(np.tanh(np.arctanh(0.8) - half), abs=1e-6)
    assert high == pytest.approx(np.tanh(np.arctanh(0.8) + half), abs=1e-6)
    assert low < correlation(x, y)[1]


def test_correlation_turns_with_its_sign_and_not_with_order_or_scale():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=20), rng.normal(size=20)
    for rank in (False, True):
        r, low, high = correlation(x, y, rank=rank)
        assert -1 <= low <= r <= high <= 1
        np.testing.assert_allclose(correlation(x, -y, rank=rank), (-r, -high, -low))
        np.testing.assert_allclose(correlation(3 * x[::-1] + 1, y[::-1], rank=rank), (r, low, high))
        np.testing.assert_allclose(correlation(y, x, rank=rank), (r, low, high))


@pytest.mark.parametrize(("x", "y"), [([1, 2, 3], [1, 2, 3]), ([1, 1, 1, 1], [1, 2, 3, 4]),
                                      ([1, 2, 3, np.nan], [1, 2, 3, 4])])  # fmt: skip
def test_no_correlation_of_too_little(x, y):
    assert np.isnan(correlation(x, y)).all()


def test_no_rank_correlation_of_four():
    assert np.isnan(correlation([1, 2, 3, 4], [1, 2, 3, 4], rank=True)).all()
    assert correlation([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], rank=True)[0] == pytest.approx(1)


def test_slope_and_its_interval_by_hand():
    # Slope 8 / 10; residuals leave 10 - 8² / 10 = 3.6 over 3 degrees: error sqrt(1.2 / 10).
    value, low, high = slope([1, 2, 3, 4, 5], [2, 1, 3, 5, 4])
    assert value == pytest.approx(0.8)
    assert high - value == pytest.approx(3.182446 * np.sqrt(0.12), abs=1e-5)
    assert value - low == pytest.approx(high - value)


def test_a_line_has_no_bend_and_a_parabola_has_one():
    x = np.linspace(0, 1, 12)
    noise = 1e-3 * np.random.default_rng(0).normal(size=12)
    assert bend(x, 2 * x + 1) == (pytest.approx(0, abs=1e-12), 1.0)
    share, p = bend(x, 2 * x + noise)
    assert share < 1e-4
    assert p > 0.05
    # About its middle a parabola has no linear part at all.
    share, p = bend(x, (x - 0.5) ** 2)
    assert share == pytest.approx(1)
    assert p < 1e-12
    assert np.isnan(bend([1, 2, 3], [1, 2, 3])).all()


def test_the_bend_is_that_of_the_regression():
    x, y = np.arange(6.0), np.array([0.0, 1.2, 1.8, 3.1, 3.9, 5.6])
    coefficients, covariance = np.polyfit(x, y, 2, cov=True)
    t = coefficients[0] / np.sqrt(covariance[0, 0])
    share, p = bend(x, y)
    assert p == pytest.approx(2 * stats.t.sf(abs(t), 3))  # F(1, n) is the square of t(n)
    line = stats.linregress(x, y).rvalue ** 2
    parabola = np.corrcoef(np.polyval(coefficients, x), y)[0, 1] ** 2
    assert share == pytest.approx(parabola - line)
