"""Average precision of a multi-label task, as the Pascal VOC 2007 devkit computes it."""

import numpy as np


def average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Average precision of one class, by precision interpolated at 11 levels of recall.

    The mean over recalls of 0, 0.1, ..., 1 of the highest precision at that recall or a higher one
    (VOC 2007 devkit, VOCevalcls.m; Everingham et al. 2010, section 4.2). Images of equal scores
    keep their order, as in MATLAB's `sort`; those of label 0 count neither as right nor as wrong.

    Recall is compared with its levels in whole numbers. In the devkit the level 0.3 is a little
    above 3/10, so that there a recall of exactly 0.3 does not reach it.

    Parameters
    ----------
    scores : ndarray of float, shape (images,)
        High where the class is thought to be shown.
    labels : ndarray of int, shape (images,)
        1: shown, 0: only difficult objects, -1: not shown.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        If no label is positive, a score is NaN, or the shapes differ.
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(f"scores {scores.shape} and labels {labels.shape} are not of one shape")
    if np.isnan(scores).any():
        raise ValueError("a score is NaN")
    ranked = labels[np.argsort(-scores, kind="stable")]
    return interpolated(np.cumsum(ranked > 0), np.cumsum(ranked < 0))


def interpolated(right: np.ndarray, wrong: np.ndarray) -> float:
    """Average precision of a ranking, by how many images shown and not shown each rank ends with.

    Parameters
    ----------
    right, wrong : ndarray of int, shape (ranks,)
        Counts of images from the first rank on. An image may count several times.

    Raises
    ------
    ValueError
        If nothing is right.
    """
    positives = int(right[-1]) if len(right) else 0
    if positives == 0:
        raise ValueError("average precision needs a positive label, and there is none")
    # Where only difficult images were seen so far there is no precision, and 0 is never the best.
    precision = right / np.maximum(right + wrong, 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    # The first rank with 10 * right >= level * positives; the last has all positives, so there is.
    needed = -(-np.arange(11) * positives // 10)
    return float(best[np.searchsorted(right, needed)].sum() / 11)


def mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Average precision of every class, and their mean.

    Parameters
    ----------
    scores : ndarray of float, shape (images, classes)
    labels : ndarray of int, shape (images, classes)

    Returns
    -------
    by_class : ndarray of float64, shape (classes,)
    mean : float

    Raises
    ------
    ValueError
        As of `average_precision`.
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.ndim != 2 or scores.shape != labels.shape:
        raise ValueError(f"scores {scores.shape} and labels {labels.shape} are not of one shape")
    by_class = np.array([average_precision(*pair) for pair in zip(scores.T, labels.T, strict=True)])
    return by_class, float(by_class.mean())
