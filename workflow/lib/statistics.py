"""Means, lines and correlations over models, with their intervals."""

import numpy as np
import pandas as pd
from scipy import stats


def mean_interval(values: pd.Series) -> tuple[float, float, float]:
    """Average values, with a 95 % interval of the mean over models.

    Parameters
    ----------
    values : Series of float
        One value a model; empty cells are left out.

    Returns
    -------
    mean, low, high : float
        From Student's t-distribution. With a single model there is no interval: NaN.
    """
    mean, count = values.mean(), values.count()
    half = stats.t.ppf(0.975, count - 1) * values.sem() if count > 1 else np.nan
    return mean, mean - half, mean + half


def is_lopsided(value: float, low: float, high: float, decimals: int) -> bool:
    """Whether the sides of an interval differ by more than "a ± b" may hide; not if one is NaN.

    Parameters
    ----------
    value, low, high : float
    decimals : int
        Digits that are written behind the point.
    """
    return abs(low + high - 2 * value) / 2 > max(0.6 * 10**-decimals, 0.08 * (high - low) / 2)


def fit_line(x: pd.Series, y: pd.Series) -> tuple[float, float, float]:
    """Fit a line by least squares.

    Parameters
    ----------
    x, y : Series of float
        Pairs with an empty cell are left out.

    Returns
    -------
    slope, intercept, r : float
        `r` is Pearson's correlation. All are NaN with fewer than three points, through which a line
        says nothing, or when all `x` are equal.
    """
    known = x.notna() & y.notna()
    if known.sum() < 3 or np.ptp(x[known]) == 0:
        return np.nan, np.nan, np.nan
    fit = stats.linregress(x[known], y[known])
    return fit.slope, fit.intercept, fit.rvalue


def correlation(x, y, *, rank: bool = False) -> tuple[float, float, float]:
    """Pearson's or Spearman's correlation, with its 95 % interval.

    The interval is Fisher's (1921) by the inverse hyperbolic tangent, for ranks with the variance
    of Bonett and Wright (2000, eq. 4).

    Parameters
    ----------
    x, y : array-like of float, shape (n,)
    rank : bool
        Spearman's.

    Returns
    -------
    r, low, high : float
        NaN if one side is constant, or fewer than four points are known: five of ranks, since of
        four every 12th order is a perfect one.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    known = ~(np.isnan(x) | np.isnan(y))
    x, y = x[known], y[known]
    if len(x) < 4 + rank or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan, np.nan, np.nan
    r = float((stats.spearmanr if rank else stats.pearsonr)(x, y).statistic)
    variance = (1 + r**2 / 2 if rank else 1) / (len(x) - 3)
    half = stats.norm.ppf(0.975) * np.sqrt(variance)
    centre = np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15))
    return r, float(np.tanh(centre - half)), float(np.tanh(centre + half))


def slope(x, y) -> tuple[float, float, float]:
    """Slope of the least-squares line, with its 95 % t-interval; NaN below three points."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    known = ~(np.isnan(x) | np.isnan(y))
    x, y = x[known], y[known]
    if len(x) < 3 or np.ptp(x) == 0:
        return np.nan, np.nan, np.nan
    fit = stats.linregress(x, y)
    half = stats.t.ppf(0.975, len(x) - 2) * fit.stderr
    return fit.slope, fit.slope - half, fit.slope + half


def bend(x, y) -> tuple[float, float]:
    """Share of variance that a parabola explains beyond a line, and its p-value (F-test).

    Parameters
    ----------
    x, y : array-like of float, shape (n,)

    Returns
    -------
    share, p : float
        NaN below four points, or where `y` or all but two of `x` are the same.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(x) < 4 or len(np.unique(x)) < 3 or np.ptp(y) == 0:
        return np.nan, np.nan
    x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    line, parabola = (
        float(np.square(y - np.polyval(np.polyfit(x, y, degree), x)).sum()) for degree in (1, 2)
    )
    floor = 1e-20 * len(x)  # below it, what is left is rounding
    ratio = max(line - parabola, 0) / max(parabola, floor) * (len(x) - 3)
    p = 1.0 if line <= floor else float(stats.f.sf(ratio, 1, len(x) - 3))
    return max(line - parabola, 0) / len(x), p
