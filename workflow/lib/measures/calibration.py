"""Temperature scaling: one number a model that makes its confidences match its accuracy."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import logsumexp, softmax

ROWS = 4096  # examples in work at a time, so that memory does not grow with their number
LEAST, GREATEST = 1e-3, 1e3  # temperatures looked at


@dataclass(frozen=True)
class Calibration:
    """A temperature, and what it does on the examples that it was fitted on.

    Attributes
    ----------
    temperature : float
        Positive; logits are divided by it.
    converged : bool
        Whether the likelihood has its maximum within the temperatures looked at.
    problem : str
        What is wrong if not; empty otherwise.
    nll_before, nll_after : float
        Mean negative log-likelihood, in nats.
    ece_before, ece_after : float
        Expected calibration error, as a fraction.
    """

    temperature: float
    converged: bool
    problem: str
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float


def negative_log_likelihood(
    logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0
) -> float:
    """Mean negative log-likelihood of softmax(logits / temperature), in nats.

    Parameters
    ----------
    logits : ndarray of float, shape (examples, classes)
        Logits, not probabilities.
    labels : ndarray of int, shape (examples,)
    temperature : float
    """
    total = 0.0
    for scaled, own in _blocks(logits, labels, temperature):
        total += float((logsumexp(scaled, axis=1) - own).sum())
    return total / len(labels)


def expected_calibration_error(
    logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0, bins: int = 15
) -> float:
    """Mean distance of confidence and accuracy over bins of equal width (Guo et al. 2017, eq. 3).

    Parameters
    ----------
    logits : ndarray of float, shape (examples, classes)
        Logits, not probabilities.
    labels : ndarray of int, shape (examples,)
    temperature : float
    bins : int
        A confidence on the border of two bins belongs to the lower one.
    """
    gap = np.zeros(bins)
    start = 0
    for scaled, _ in _blocks(logits, labels, temperature):
        confidence = softmax(scaled, axis=1).max(axis=1)
        right = scaled.argmax(axis=1) == labels[start : start + len(scaled)]
        gap += _gaps(confidence, right, bins)
        start += len(scaled)
    return float(np.abs(gap).sum() / len(labels))


def confidence_error(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error, as above, of confidences that are given as such.

    Parameters
    ----------
    confidence : ndarray of float64, shape (examples,)
        Probability of each answer, from 0 to 1.
    right : ndarray of bool, shape (examples,)
    bins : int

    Returns
    -------
    float
        NaN if a confidence is.
    """
    if np.isnan(confidence).any():
        return np.nan
    return float(np.abs(_gaps(confidence, right, bins)).sum() / len(right))


def _gaps(confidence: np.ndarray, right: np.ndarray, bins: int) -> np.ndarray:
    """Sum accuracy minus confidence in each bin."""
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return np.bincount(place, weights=right - confidence, minlength=bins)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> Calibration:
    """Find the temperature that maximises the likelihood (Guo et al. 2017, section 4.2).

    The negative log-likelihood is convex in 1 / T. Its derivative there is the mean over examples
    of the logit expected under softmax(logits / T) minus the label's logit; its only root is found
    by bracketing.

    Parameters
    ----------
    logits : ndarray of float, shape (examples, classes)
        Logits, not probabilities.
    labels : ndarray of int, shape (examples,)

    Returns
    -------
    Calibration
        Not converged, and the temperature at its bound, if the likelihood still grows there:
        towards T = 0 (every example is right) or towards infinity (the logits are no better than
        chance), or because the logits are on a scale beyond all temperatures looked at.

    Raises
    ------
    ValueError
        If there is no example, a logit is not finite, or a label is out of range.
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.ndim != 2 or len(logits) != len(labels) or not len(labels):
        raise ValueError(f"logits {logits.shape} and labels {labels.shape} do not fit")
    if not 0 <= labels.min() <= labels.max() < logits.shape[1]:
        raise ValueError(f"labels must lie between 0 and {logits.shape[1] - 1}")
    if not np.isfinite(logits).all():
        raise ValueError("logits hold NaN or infinity")

    low, high = np.log(LEAST), np.log(GREATEST)
    problem = ""
    if _slope(high, logits, labels) >= 0:
        temperature = GREATEST
        problem = (
            f"its logits are no better than chance, or so large that they need a temperature above "
            f"{GREATEST:g}"
        )
    elif _slope(low, logits, labels) <= 0:
        temperature = LEAST
        problem = (
            "it is right on all calibration images, so the likelihood grows without end as the "
            "temperature falls (use more of them), or its logits are so small that they need a "
            f"temperature below {LEAST:g}"
        )
    else:
        # Given as arguments, logits are not kept by the function that brentq makes of `_slope`.
        own = logits, labels
        temperature = float(np.exp(brentq(_slope, low, high, own, xtol=1e-12, rtol=1e-14)))
    return Calibration(
        temperature,
        not problem,
        problem,
        *(negative_log_likelihood(logits, labels, t) for t in (1.0, temperature)),
        *(expected_calibration_error(logits, labels, t) for t in (1.0, temperature)),
    )


def _slope(log_temperature: float, logits: np.ndarray, labels: np.ndarray) -> float:
    """The derivative of the negative log-likelihood by 1 / T."""
    total = 0.0
    temperature = np.exp(log_temperature)
    for scaled, own in _blocks(logits, labels, temperature):
        total += float(((softmax(scaled, axis=1) * scaled).sum(axis=1) - own).sum())
    return total * temperature / len(labels)


def _blocks(logits, labels, temperature):
    """Give float64 logits / temperature block by block, and the label's own of each example."""
    for start in range(0, len(labels), ROWS):
        scaled = logits[start : start + ROWS].astype(np.float64) / temperature
        yield scaled, scaled[np.arange(len(scaled)), labels[start : start + ROWS]]
