"""Whether a relation between models is more than chance: over models, bases and images alike.

Two questions are asked of it, and both must be answered. Would it be so with other bases, models
and test images? All are drawn anew, with replacement (the pigeonhole bootstrap of Owen 2007, whose
intervals are a little wide). Would it be so if the two quantities were not related? One is dealt
out to the models at random (the permutation test), which holds exactly for few models, where a
bootstrap does not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from workflow.lib.measures.bases import average

DRAWS = 9999
SEED = 0

Arrays = Mapping[str, np.ndarray]
Prepare = Callable[[Arrays], tuple[np.ndarray, np.ndarray]]
Relate = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Estimate:
    """A number, how sure it is, and whether all bases agree on its sign.

    Attributes
    ----------
    value, low, high : float
        With its 95 % interval; NaN where nothing is known.
    p : float
        Two-sided, of its being 0.
    agree : bool
    """

    value: float
    low: float
    high: float
    p: float
    agree: bool = True


UNKNOWN = Estimate(np.nan, np.nan, np.nan, np.nan, False)


def pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson's correlation along the last axis; NaN where a side is constant."""
    x, y = (side - side.mean(axis=-1, keepdims=True) for side in (x, y))
    scale = np.sqrt(np.square(x).sum(axis=-1) * np.square(y).sum(axis=-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 1e-15, (x * y).sum(axis=-1) / scale, np.nan)


def slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Slope of y's least-squares line on x along the last axis; NaN where x is constant.

    Of an x of 0 and 1 it is the difference of the two groups' means.
    """
    x = x - x.mean(axis=-1, keepdims=True)
    scale = np.square(x).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 1e-15, (x * y).sum(axis=-1) / scale, np.nan)


def residuals(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """What a line on x leaves of y, along the last axis; of a constant x, what the mean leaves."""
    x, y = (side - side.mean(axis=-1, keepdims=True) for side in (x, y))
    own = np.nan_to_num(slope(x, y))
    return y - own[..., None] * x


def ranks(x: np.ndarray) -> np.ndarray:
    """Ranks along the last axis; equal values share theirs."""
    return rankdata(x, axis=-1)


def resampled(
    values: Arrays,
    prepare: Prepare,
    relate: Relate,
    *,
    least: int = 4,
    images: Callable[[int, np.random.Generator], Arrays] | None = None,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Estimate:
    """Relate two quantities of models, averaged over bases.

    Parameters
    ----------
    values : mapping of str to ndarray of float64, shape (bases, models)
        Models that lack one of them with every base are left out.
    prepare : callable
        From the values averaged over bases, each (draws, models), to the two quantities.
    relate : callable
        From these to a number a draw.
    least : int
        Models below which nothing is known.
    images : callable, optional
        Draws test images: from the number of draws and a generator to those of `values` that depend
        on them, each (draws, bases, models).
    draws, seed : int

    Returns
    -------
    Estimate
        The interval is that of the bootstrap's percentiles. `p` is the larger of the bootstrap's
        and the permutation test's.
    """
    own = {name: average(array) for name, array in values.items()}
    kept = ~np.any([np.isnan(each) for each in own.values()], axis=0)
    if kept.sum() < least:
        return UNKNOWN
    x, y = prepare({name: array[None, kept] for name, array in own.items()})
    value = float(relate(x, y)[0])
    if np.isnan(value):
        return UNKNOWN
    rng = np.random.default_rng(seed)
    count, bases = int(kept.sum()), len(next(iter(values.values())))
    weights = rng.multinomial(bases, np.full(bases, 1 / bases), size=draws).astype(np.float64)
    # With one base there is nothing to draw.
    places = rng.integers(count, size=(draws, count))
    drawn = dict(values)
    if images:
        drawn |= {name: array for name, array in images(draws, rng).items() if name in values}
    taken = {
        name: np.take_along_axis(average(array, weights)[:, kept], places, axis=1)
        for name, array in drawn.items()
    }
    found = relate(*prepare(taken))
    found = found[~np.isnan(found)]
    if len(found) < draws / 2:
        return UNKNOWN
    low, high = np.percentile(found, [2.5, 97.5])
    tail = min((found <= 0).sum(), (found >= 0).sum())
    p = max(min(2 * (tail + 1) / (len(found) + 1), 1.0), permutation_p(x[0], y[0], relate))
    return Estimate(value, float(low), float(high), p, agreed(values, prepare, relate, value))


def agreed(values: Arrays, prepare: Prepare, relate: Relate, value: float) -> bool:
    """Say whether each base by itself gives a number of the same sign."""
    for base in range(len(next(iter(values.values())))):
        own = {name: array[base] for name, array in values.items()}
        kept = ~np.any([np.isnan(each) for each in own.values()], axis=0)
        if not kept.any():
            continue
        found = relate(*prepare({name: array[None, kept] for name, array in own.items()}))[0]
        if not found * value > 0:
            return False
    return True


def permutation_p(
    x: np.ndarray, y: np.ndarray, relate: Relate, draws: int = DRAWS, seed: int = SEED
) -> float:
    """Two-sided p of a permutation test (Phipson and Smyth 2010, who count the order found).

    Parameters
    ----------
    x, y : ndarray of float64, shape (models,)
    relate : callable
        From two arrays (draws, models) to a number a draw, which is 0 on average if neither has to
        do with the other.
    draws, seed : int
    """
    rng = np.random.default_rng([seed, 1])
    dealt = rng.permuted(np.tile(y, (draws, 1)), axis=1)
    own = abs(relate(x[None], y[None])[0])
    as_far = np.abs(relate(np.broadcast_to(x, dealt.shape), dealt)) >= own * (1 - 1e-12)
    return (1 + int(as_far.sum())) / (1 + draws)


def network_p(
    x: np.ndarray, y: np.ndarray, given: list[np.ndarray], draws: int = DRAWS, seed: int = SEED
) -> tuple[float, float]:
    """Correlation of two quantities of pairs, given others, and its p by permuting models.

    Pairs that share a model are not independent. What a linear fit on the others leaves of `x` is
    permuted with its models, rows and columns alike, and the rest stays as it is: the double
    semi-partialing of Dekker, Krackhardt and Snijders (2007).

    Parameters
    ----------
    x, y : ndarray of float64, shape (models, models)
        Symmetric; the diagonal does not count.
    given : list of ndarray of float64, shape (models, models)
    draws, seed : int

    Returns
    -------
    r, p : float
        Partial correlation over pairs, and two-sided p. NaN below five models.
    """
    count = len(x)
    upper = np.triu_indices(count, 1)
    if count < 5:
        return np.nan, np.nan
    design = np.column_stack([np.ones(len(upper[0])), *(each[upper] for each in given)])
    left = []
    for each in (x[upper], y[upper]):
        fit, *_ = np.linalg.lstsq(design, each, rcond=None)
        left.append(each - design @ fit)
    if min(np.ptp(each) for each in left) < 1e-12:
        return np.nan, np.nan
    basis, _ = np.linalg.qr(design)

    def partial(residual: np.ndarray) -> float:
        residual = residual - basis @ (basis.T @ residual)
        return float(residual @ left[1] / np.sqrt((residual @ residual) * (left[1] @ left[1])))

    matrix = np.zeros_like(x, dtype=np.float64)
    matrix[upper] = left[0]
    matrix += matrix.T
    own = partial(left[0])
    rng = np.random.default_rng(seed)
    as_far = 0
    for _ in range(draws):
        order = rng.permutation(count)
        as_far += abs(partial(matrix[order][:, order][upper])) >= abs(own) * (1 - 1e-12)
    return own, (1 + as_far) / (1 + draws)
