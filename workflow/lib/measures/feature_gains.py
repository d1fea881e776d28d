"""What probes gain from two models' features, over models, bases and test images."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from workflow.lib.measures import resampling


def rights(known: Sequence[Mapping], share: float, base: str | None = None) -> list[np.ndarray]:
    """How often probes on either model's features alone, on both, and on the base's are right.

    Three arrays of float64, (models, images); of one base if it is given, where a model has it.
    """
    if base is not None:
        known = [own for own in known if base in own["base"]]
    found = []
    for s in (0, share, 100):
        chosen = [
            (own["share"] == s) & ((own["base"] == base) | (base is None) | (s == 0))
            for own in known
        ]
        each = zip(known, chosen, strict=True)
        found.append(np.array([own["right"][rows].mean(axis=0) for own, rows in each]))
    return found


def shared_gains(first: np.ndarray, middle: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Accuracy of combined features above the better of either alone: (models,) of (…, images)."""
    return middle.mean(axis=1) - np.maximum(first.mean(axis=1), last.mean(axis=1))


def gains_over_images(
    parts: Sequence[np.ndarray],
    gains: np.ndarray,
    with_each: Sequence[float] = (),
    draws: int = 999,
    seed: int = resampling.SEED,
) -> tuple[float, float, float, float]:
    """Mean gain, with its 95 % interval over models, bases and shared test images, and its p.

    The variance is that over models, divided by their number, that over bases likewise, and that of
    the mean over bootstrap samples of the images; the former have some of the latter in them, so
    that it is rather too large. Degrees of freedom are Satterthwaite's (1946).

    Parameters
    ----------
    parts : sequence of ndarray of float64, shape (models, images)
        How often each model's probes on either model's features alone, on both, and on the other's
        get each image right.
    gains : ndarray of float64, shape (models,)
    with_each : sequence of float
        Mean gain with each of several bases.
    draws, seed : int
    """
    rng = np.random.default_rng(seed)
    images = parts[0].shape[1]
    means = np.empty(draws)
    for draw in range(draws):
        weights = np.bincount(rng.integers(images, size=images), minlength=images) / images
        first, middle, last = (part @ weights for part in parts)
        means[draw] = np.mean(middle - np.maximum(first, last))
    drawn = [np.asarray(own) for own in (gains, with_each) if len(own) > 1]
    sources = [(np.var(own, ddof=1) / len(own), len(own) - 1) for own in drawn]
    sources.append((np.var(means, ddof=1), images - 1))
    variance = float(sum(own for own, _ in sources))
    mean = float(np.mean(gains))
    if not variance > 0:
        return mean, mean, mean, np.nan
    degrees = variance**2 / sum(own**2 / free for own, free in sources)
    half = float(stats.t.ppf(0.975, degrees)) * variance**0.5
    p = 2 * float(stats.t.sf(abs(mean) / variance**0.5, degrees))
    return mean, mean - half, mean + half, p
