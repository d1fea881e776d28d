"""Attributes of images by their pixels alone: brightness, contrast, and how much is filled.

Pixels are grey values from 0 to 1, the mean of an image's channels.

brightness  mean of the pixels
contrast    their standard deviation (RMS contrast: Peli 1990)
fill        share of the pixels that are unlike the frame: further than `UNLIKE` from the median of
            those along the image's edge. An object before an even background fills this share.
"""

import numpy as np

from workflow.lib.data.arrays import Array

UNLIKE = 16 / 255

LEVELS = ("low", "middle", "high")
"""Thirds, from the lowest values on."""


def measure_pixels(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Measure images.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (examples, channels, height, width)

    Returns
    -------
    dict of str to ndarray of float64, shape (examples,)
        From 0 to 1.
    """
    grey = pixels.mean(axis=1, dtype=np.float64) / 255  # (examples, height, width)
    edges = [grey[:, 0], grey[:, -1], grey[:, 1:-1, 0], grey[:, 1:-1, -1]]
    frame = np.median(np.concatenate(edges, axis=1), axis=1)
    return {
        "brightness": grey.mean(axis=(1, 2)),
        "contrast": grey.std(axis=(1, 2)),
        "fill": (np.abs(grey - frame[:, None, None]) > UNLIKE).mean(axis=(1, 2)),
    }


def in_thirds(values: np.ndarray) -> np.ndarray:
    """Divide values at their terciles, equal ones together, in the lower third.

    Returns
    -------
    ndarray of str
        Of `LEVELS`.
    """
    ends = np.quantile(values, [1 / 3, 2 / 3], method="inverted_cdf")
    return np.array(LEVELS)[np.searchsorted(ends, values)]


def pixel_attributes(images: Array) -> dict[str, np.ndarray]:
    """Divide images in thirds by each of the measures, those left out that are the same for all.

    Parameters
    ----------
    images : Array
        Decoded images, read in blocks.

    Returns
    -------
    dict of str to ndarray of str, shape (examples,)
    """
    parts = [measure_pixels(images[block]) for block in images.blocks()]
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    found = {name: in_thirds(values) for name, values in whole.items()}
    return {name: levels for name, levels in found.items() if len(np.unique(levels)) > 1}
