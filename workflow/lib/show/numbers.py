"""How numbers, intervals and p-values are written for people."""

import math
import re

import pandas as pd

NONE = "–"
SHARE, GAIN, COUNT, PLAIN, P = "share", "gain", "count", "plain", "p"
"""Kinds of numbers."""

DECIMALS = {"temperature": 2, "theta": 3, "error_consistency": 3}
"""Digits after the point of columns that have the same in every table."""


def is_lopsided(value: float, low: float, high: float, decimals: int) -> bool:
    """Whether the sides of an interval differ by more than "a ± b" may hide; not if one is NaN.

    Parameters
    ----------
    value, low, high : float
    decimals : int
        Digits that are written behind the point.
    """
    return abs(low + high - 2 * value) / 2 > max(0.6 * 10**-decimals, 0.08 * (high - low) / 2)


def write_interval(
    value: float, low: float, high: float, decimals: int, *, sign: bool = False, ends: bool = False
) -> str:
    """Write a number and its interval as "a ± b", or as "a (low to high)".

    Parameters
    ----------
    value, low, high : float
        NaN for what is not known.
    decimals : int
    sign : bool
        Whether to write a plus before what is above zero.
    ends : bool
        Whether to write the interval's ends rather than half of its width.
    """

    def write(number: float) -> str:
        return minus(f"{number:{'+' if sign else ''},.{decimals}f}")

    if math.isnan(value):
        return NONE
    if math.isnan(low) or math.isnan(high):
        return write(value)
    if ends:
        return f"{write(value)} ({write(low)} to {write(high)})"
    return f"{write(value)} ± {(high - low) / 2:,.{decimals}f}"


def write_p(value: float) -> str:
    """Write a p-value: no smaller than can be told."""
    return NONE if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def decimals_of(column: str, kind: str, shown: pd.Series, half: pd.Series) -> int:
    """Digits after the point: of per cent one, or two if intervals or their lack allow it."""
    if kind == COUNT:
        return 0
    if column in DECIMALS:
        return DECIMALS[column]
    if kind in (SHARE, GAIN):
        return 1 if half.median() >= 1 else 2
    size = shown.abs().median()
    if math.isnan(size) or size == 0:
        return 2
    return min(max(2 - math.floor(math.log10(size)), 0), 4)


def minus(text: str) -> str:
    """Write a true minus, and none before zero."""
    return re.sub(r"-(?=0(?:\.0*)?(?![\d.]))", "", text).replace("-", "−")
