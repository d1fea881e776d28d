"""Contact sheets: images in blocks side by side, with words below each."""

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow.lib.data.arrays import Array

SIZE = 0.9  # inches, of an image
TINY = 64  # pixels, up to which pixels are shown as squares
LETTERS = 16  # that fit below an image


class Block(NamedTuple):
    """Images under a title.

    Attributes
    ----------
    title : str
    rows : sequence of int
        Of the images, in the array of all.
    texts : sequence of str
        What stands below each.
    """

    title: str
    rows: Sequence[int]
    texts: Sequence[str]


def draw_sheet(blocks: Sequence[Block], pixels: Array, across: int, lines: int) -> Figure:
    """Draw blocks of images side by side, each of so many lines, all places of one size.

    Parameters
    ----------
    blocks : sequence of Block
    pixels : Array
        uint8, shape (examples, channels, height, width), one channel or three.
    across : int
        Images side by side in each block.
    lines : int
        Of images in each block.

    Returns
    -------
    Figure
    """
    width = len(blocks) * across * SIZE + 1.1
    height = lines * (SIZE + 0.46) + 0.6
    figure = Figure(figsize=(width, height))
    parts = np.atleast_1d(figure.subfigures(1, len(blocks)))
    for (title, rows, texts), part in zip(blocks, parts, strict=True):
        part.suptitle(title, fontsize=8)
        axes = list(part.subplots(lines, across, squeeze=False).flat)
        for ax in axes:
            ax.set_axis_off()
        for ax, row, text in zip(axes, rows, texts, strict=False):
            draw_image(ax, pixels[[row]][0], text)
        # Fixed places: sheets of as many images have the same layout.
        ends = {"top": 1 - 0.32 / height, "bottom": 0.56 / height}
        part.subplots_adjust(left=0.03, right=0.97, wspace=0.22, hspace=0.52, **ends)
    return figure


def draw_image(ax: Axes, pixels: np.ndarray, text: str) -> None:
    """Draw an image, uint8 of shape (channels, size, size), with text below."""
    tiny = pixels.shape[-1] <= TINY
    colours = np.broadcast_to(pixels, (3, *pixels.shape[1:]))  # of grey, too
    ax.imshow(np.moveaxis(colours, 0, -1), interpolation="nearest" if tiny else "antialiased")
    below = {"transform": ax.transAxes, "ha": "center", "va": "top"}
    ax.text(0.5, -0.04, text, fontsize=7, linespacing=1.1, **below)


def wrap(text: str) -> list[str]:
    """Break text into two lines at most that fit below an image."""
    return textwrap.wrap(text, LETTERS, max_lines=2, placeholder="…")


def answered(number: str, answer: str, right: bool) -> list[str]:
    """Write a numbered model's answer, with a tick that stays with its last word if it is right."""
    return wrap(f"{number}: {answer}{chr(160) + '✓' if right else ''}")
