"""How accurate models are on other images, beyond what their accuracy on the test images says."""

import numpy as np
from scipy.special import ndtri


def probit(accuracy: np.ndarray, examples: int | np.ndarray) -> np.ndarray:
    """Quantile of the standard normal distribution: float64, of the shape of `accuracy`.

    None right and all right count as half an image from there.
    """
    half = 0.5 / np.asarray(examples, np.float64)
    return ndtri(np.clip(np.asarray(accuracy, np.float64), half, 1 - half))


def probit_line(
    clean: np.ndarray, shifted: np.ndarray, examples: tuple[int, int]
) -> tuple[float, float]:
    """Fit a line of probit(shifted) on probit(clean) by least squares (Taori et al. 2020).

    Parameters
    ----------
    clean, shifted : ndarray of float64, shape (models,)
        Accuracies, as fractions.
    examples : (int, int)
        Images of both.

    Returns
    -------
    slope, intercept : float
        NaN of fewer than three models, or of models that are all equally accurate on clean images.
    """
    x, y = probit(clean, examples[0]), probit(shifted, examples[1])
    if len(x) < 3 or np.ptp(x) < 1e-12:
        return np.nan, np.nan
    slope, intercept = np.polyfit(x, y, 1)
    return float(slope), float(intercept)


def effective_robustness(
    clean: np.ndarray,
    shifted: np.ndarray,
    line: tuple[float, float],
    examples: int,
) -> np.ndarray:
    """Accuracy above that which the line expects of an accuracy on clean images, as a fraction.

    Parameters
    ----------
    clean, shifted : ndarray of float64, shape (…)
    line : (float, float)
        Of `probit_line`.
    examples : int
        Clean images.
    """
    # Only here: SciPy's distributions take half a second to import.
    from scipy.special import ndtr

    slope, intercept = line
    return np.asarray(shifted) - ndtr(slope * probit(clean, examples) + intercept)
