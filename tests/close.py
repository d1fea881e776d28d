"""How numbers are compared that processors round each in their own way."""

import numpy as np


def assert_same_to_scale(actual, expected, tolerance=1e-5):
    """No entry differs by more than a share of the largest one.

    Sums are added up in other orders by other processors, and with other numbers of threads. An
    entry near zero that is the difference of large ones then has their error, and not its own.
    Compare by it what matters, such as logits: weights at a flat minimum are left open by much
    more (of a linear head, by 1.5e-3 of 157).
    """
    actual, expected = (np.asarray(values, dtype=np.float64) for values in (actual, expected))
    assert actual.shape == expected.shape
    error, scale = np.abs(actual - expected).max(), np.abs(expected).max()
    assert error <= tolerance * scale, f"{error:.3g} of {scale:.3g}, or {error / scale:.2g} of it"
