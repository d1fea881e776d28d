"""Means, lines and correlations over models, with their intervals."""

import numpy as np
import pandas as pd
from scipy import stats
from scipy.stats import norm


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


def wilson(successes, trials, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's (1927) score interval of a proportion; NaN where there was no trial.

    Returns
    -------
    low, high : ndarray of float64
    """
    successes, trials = np.asarray(successes, np.float64), np.asarray(trials, np.float64)
    z = norm.ppf((1 + level) / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = successes / trials
        centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
        spread = share * (1 - share) / trials + z**2 / (4 * trials**2)
        half = z / (1 + z**2 / trials) * np.sqrt(spread)
    # At the ends the interval touches them exactly, which rounding may miss.
    low = np.where(successes == 0, 0.0 * centre, np.clip(centre - half, 0, 1))
    high = np.where(successes == trials, 1.0 + 0.0 * centre, np.clip(centre + half, 0, 1))
    return low, high


def share(successes, trials) -> np.ndarray:
    """Successes / trials; NaN where there was no trial."""
    successes, trials = np.asarray(successes, np.float64), np.asarray(trials, np.float64)
    return np.divide(
        successes, trials, out=np.full(np.broadcast(successes, trials).shape, np.nan),
        where=trials != 0,
    )  # fmt: skip


def paired_gain(
    right: np.ndarray, before: np.ndarray, level: float = 0.95
) -> tuple[float, float, float]:
    """Mean of paired differences, one an example, and Wald's interval of it.

    Parameters
    ----------
    right, before : ndarray of bool, shape (examples,)
        What the one and the other get right.
    level : float

    Returns
    -------
    gain, low, high : float
        Difference of accuracies. NaN without examples.
    """
    examples = len(right)
    if not examples:
        return np.nan, np.nan, np.nan
    more, less = int((right & ~before).sum()), int((before & ~right).sum())
    gain = (more - less) / examples
    variance = max((more + less) / examples - gain**2, 0.0) / examples
    half = float(norm.ppf((1 + level) / 2)) * variance**0.5
    return gain, gain - half, gain + half


def mcnemar(only_1: int, only_2: int) -> float:
    """Two-sided p of McNemar's exact test (McNemar 1947); 1 if no example sets the models apart."""
    tosses = only_1 + only_2
    return float(stats.binomtest(only_1, tosses).pvalue) if tosses else 1.0


def holm(p: np.ndarray) -> np.ndarray:
    """Correct p-values for their number, NaN ones not counted (Holm 1979).

    Parameters
    ----------
    p : ndarray of float64, shape (tests,)

    Returns
    -------
    ndarray of float64, shape (tests,)
        The least significance level at which Holm's procedure, which controls the chance of any
        false rejection, rejects each.
    """
    corrected = np.full(len(p), np.nan)
    order = np.argsort(p, kind="stable")[: np.count_nonzero(~np.isnan(p))]  # NaN is sorted last
    corrected[order] = np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)).clip(max=1)
    return corrected
