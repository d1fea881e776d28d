"""Which dimensions of two models' features to keep: at random by share, or ranked for compression.

Two models' features are put side by side, the base's first. Everything here gives the indices of
columns to keep of them.
"""

import math

import numpy as np

STATISTICS = ("covariance", "correlation")
DIRECTIONS = ("lowest", "highest")


def combine(first: int, second: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a share of the first model's features, and of the second's what is then missing.

    `share` per cent of the first's dimensions are kept, and (100 - share) per cent of the second's,
    but no more in all than the first has (Gontijo-Lopes et al. 2022, section 5).

    Parameters
    ----------
    first, second : int
        Dimensions of the two models.
    share : float
        From 0 to 100.
    rng : Generator

    Returns
    -------
    ndarray of int64, shape (kept,)
        Ascending; those of the second model are counted on from the first's.
    """
    kept = round(first * share / 100)
    # Halves are rounded up: of two models with 5 dimensions each, a half keeps 2 and 3.
    added = min(math.floor(second * (100 - share) / 100 + 0.5), first - kept)
    columns = [
        rng.choice(first, kept, replace=False),
        first + rng.choice(second, added, replace=False),
    ]
    return np.sort(np.concatenate(columns))


def rank_dimensions(covariances: np.ndarray, statistic: str, direction: str) -> np.ndarray:
    """Order dimensions by how little, or how much, they vary along with the others.

    The heuristic of Gontijo-Lopes et al. (2022, section 5) keeps diverse dimensions by their
    covariance; how exactly it does not say. Here a dimension's statistic is the mean over all other
    dimensions of its absolute covariance, or correlation, with them.

    Parameters
    ----------
    covariances : ndarray of float64, shape (dimensions, dimensions)
    statistic : {'covariance', 'correlation'}
        The first depends on each dimension's scale. A constant dimension has a correlation of 0.
    direction : {'lowest', 'highest'}
        Which come first; of equal ones the earlier dimension.

    Returns
    -------
    ndarray of int64, shape (dimensions,)
    """
    if statistic not in STATISTICS or direction not in DIRECTIONS:
        raise ValueError(f"unknown statistic '{statistic}' or direction '{direction}'")
    products = covariances.copy()
    if statistic == "correlation":
        scale = np.sqrt(products.diagonal())
        scale = np.where(scale > 0, scale, np.inf)
        products = products / scale / scale[:, None]
    np.fill_diagonal(products, 0)
    means = np.abs(products).sum(axis=0) / max(len(products) - 1, 1)
    return np.argsort(means if direction == "lowest" else -means, kind="stable")


def dimensions_needed(dimensions: np.ndarray, accuracies: np.ndarray, target: float) -> float:
    """Find the fewest dimensions from which on the target is reached.

    Parameters
    ----------
    dimensions : ndarray of int, shape (sizes,)
        Ascending.
    accuracies : ndarray of float, shape (sizes,)
        With that many.
    target : float

    Returns
    -------
    float
        Between two sizes interpolated linearly in the logarithm of the dimensions; NaN if none
        reaches the target.
    """
    dimensions, accuracies = np.asarray(dimensions, float), np.asarray(accuracies, float)
    reached = np.flatnonzero(accuracies >= target)
    if not len(reached):
        return float("nan")
    first = reached[0]
    if first == 0:
        return float(dimensions[0])
    before, after = accuracies[first - 1], accuracies[first]
    share = (target - before) / (after - before)
    low, high = np.log(dimensions[first - 1]), np.log(dimensions[first])
    return float(np.exp(low + share * (high - low)))
