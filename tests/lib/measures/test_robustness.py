"""Effective robustness, worked out by hand."""

import numpy as np
import pytest
from scipy.stats import norm

from workflow.lib.measures.robustness import effective_robustness, probit, probit_line


def test_a_line_worked_out_by_hand():
    # On quantiles -1, 0, 1 and -2, -1, 0: slope 1, intercept -1.
    clean, shifted = norm.cdf([-1.0, 0.0, 1.0]), norm.cdf([-2.0, -1.0, 0.0])
    slope, intercept = probit_line(clean, shifted, (10**6, 10**6))
    assert (slope, intercept) == pytest.approx((1, -1))
    found = effective_robustness(np.array([0.5]), np.array([0.3]), (slope, intercept), 10**6)
    assert found == pytest.approx([0.3 - norm.cdf(-1)])


def test_models_on_the_line_have_none_and_the_mean_is_about_none():
    rng = np.random.default_rng(0)
    clean = rng.uniform(0.6, 0.9, 40)
    exact = norm.cdf(0.8 * norm.ppf(clean) - 0.5)
    line = probit_line(clean, exact, (10_000, 2000))
    np.testing.assert_allclose(effective_robustness(clean, exact, line, 10_000), 0, atol=1e-12)
    noisy = exact + rng.normal(0, 0.01, 40)
    line = probit_line(clean, noisy, (10_000, 2000))
    assert abs(effective_robustness(clean, noisy, line, 10_000).mean()) < 1e-3


def test_none_right_and_all_right_are_finite():
    assert np.isfinite(probit(np.array([0.0, 1.0]), 50)).all()
    assert probit(np.array([0.0]), 50) == pytest.approx(norm.ppf([0.01]))


def test_too_few_models_have_no_line():
    assert np.isnan(probit_line(np.array([0.5, 0.6]), np.array([0.4, 0.5]), (100, 100))).all()
    equal = np.full(5, 0.7)
    assert np.isnan(probit_line(equal, np.linspace(0.4, 0.6, 5), (100, 100))).all()
