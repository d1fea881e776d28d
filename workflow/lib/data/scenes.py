"""Scenes of several garments, made of images of one garment on black.

Each image is used at most once, so that scenes of different splits share none. A scene holds one to
four garments, each number as likely, on a canvas half as wide and high again as an image. Later
garments hide what is behind them.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image

from workflow.lib.data.arrays import Array
from workflow.lib.data.voc import VocObject
from workflow.lib.run.errors import InputError

MOST = 4
"""Garments in a scene, at most."""

CANVAS = 1.5
"""Side of a scene, in sides of an image."""

BACKGROUND = 10
"""Pixels no brighter than this in any channel are see-through."""

TRIES = 16
"""Random placements of which the one with least overlap is kept."""


def group(images: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Deal all images out to scenes at random.

    Parameters
    ----------
    images : int
    rng : Generator

    Returns
    -------
    list of ndarray of int64, shape (garments,)
        Rows of the images in each scene. Only the last may hold fewer than were drawn for it.
    """
    ends = np.cumsum(rng.integers(1, MOST + 1, images))
    return np.split(rng.permutation(images), ends[ends < images])


def divide(scenes: int, shares: Mapping[str, float]) -> dict[str, range]:
    """Divide scenes among splits.

    Parameters
    ----------
    scenes : int
    shares : mapping of str to float
        Share of each of `train`, `val` and `test`; together 1.

    Returns
    -------
    dict of str to range
        Stretches of scenes that follow one another.

    Raises
    ------
    InputError
        If the shares are not of these splits or not together 1, or a split would have no scene.
    """
    if set(shares) != {"train", "val", "test"} or abs(sum(shares.values()) - 1) > 1e-9:
        raise InputError(
            f"the shares of the scenes, {dict(shares)}, are not of train, val and test, "
            f"or not together 1"
        )
    ends = [round(scenes * end) for end in np.cumsum([0, *shares.values()])]
    stretches = {split: range(*ends[i : i + 2]) for i, split in enumerate(shares)}
    for split, stretch in stretches.items():
        if not stretch:
            raise InputError(
                f"of {scenes} scenes the split '{split}' would get none; give it a greater share, "
                f"or use a split with more images"
            )
    return stretches


def compose(
    garments: np.ndarray, names: Sequence[str], rng: np.random.Generator
) -> tuple[np.ndarray, list[VocObject]]:
    """Put garments on one canvas.

    Of several random placements the one in which garments hide least of each other is kept.

    Parameters
    ----------
    garments : ndarray of uint8, shape (garments, channels, size, size)
        From the back to the front. One without a pixel that is brighter than the background is
        taken to fill its image.
    names : sequence of str
        Their classes.
    rng : Generator

    Returns
    -------
    pixels : ndarray of uint8, shape (channels, height, width)
    objects : list of VocObject
        Their boxes hold what is visible. Truncated: something beyond the box is hidden. Difficult:
        less than half of the garment's pixels are visible. A garment of which nothing is visible is
        left out.
    """
    count, channels, size, _ = garments.shape
    side = round(CANVAS * size)
    solid = garments.max(axis=1) > BACKGROUND  # (garments, size, size)
    solid[~solid.any(axis=(1, 2))] = True
    # Areas do not change, so that overlap is least where most of the canvas is covered.
    covered, places, owner = -1, [], np.zeros((side, side), dtype=np.uint8)
    for offsets in rng.integers(0, side - size + 1, (TRIES, count, 2)):
        front = np.zeros((side, side), dtype=np.uint8)  # garment seen in each pixel, from 1
        for i, (top, left) in enumerate(offsets.tolist()):
            front[top : top + size, left : left + size][solid[i]] = i + 1
        if (now := np.count_nonzero(front)) > covered:
            covered, places, owner = now, offsets.tolist(), front
    pixels = np.zeros((channels, side, side), dtype=np.uint8)
    objects = []
    for i, (top, left) in enumerate(places):
        pixels[:, top : top + size, left : left + size][:, solid[i]] = garments[i][:, solid[i]]
        seen = owner == i + 1
        if seen.any():
            xmin, ymin, xmax, ymax = box = _box(seen)
            x, y, right, bottom = _box(solid[i])
            whole = (xmin - left, ymin - top, xmax - left, ymax - top) == (x, y, right, bottom)
            difficult = 2 * np.count_nonzero(seen) < np.count_nonzero(solid[i])
            objects.append(VocObject(names[i], difficult, not whole, box))
    return pixels, objects


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """First column, first row, last column, last row of what is true, counted from 1."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return (int(columns[0]) + 1, int(rows[0]) + 1, int(columns[-1]) + 1, int(rows[-1]) + 1)


def opener(path: str) -> Callable[[str], Image.Image]:
    """Make a function that gives the scene of an id, which begins with its row in the array."""
    whole = Array(path)

    def open_scene(example: str) -> Image.Image:
        scene = whole[[int(example.partition(":")[0])]][0]
        return Image.fromarray(scene[0] if len(scene) == 1 else scene.transpose(1, 2, 0))

    return open_scene
