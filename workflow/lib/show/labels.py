"""Names beside points, where they cover least of what is drawn."""

import textwrap
from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

from workflow.lib.show.style import INK


def label_points(
    ax: Axes, points: pd.DataFrame, x: str, y: str, *, size: float = 6, width: int = 18
) -> None:
    """Write names beside points, where they cover least of what is drawn.

    Call it last, when everything else has its place.

    Parameters
    ----------
    ax : Axes
    points : DataFrame
        With a column `name`.
    x, y : str
        Columns.
    size : float
        Of the letters, in points.
    width : int
        Letters up to which a name stands in one line.
    """
    points = points.dropna(subset=[x, y])
    if points.empty:
        return
    ax.figure.draw_without_rendering()
    taken, boxes = _ink(ax), []  # (dots, 2), pixels
    pixel = 72 / ax.figure.dpi  # in points
    for point in points.to_dict("records"):
        xy = point[x], point[y]
        text = ax.annotate(
            textwrap.fill(point["name"], width),
            xy,
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=size,
            arrowprops={
                "arrowstyle": "-",
                "linewidth": 0.5,
                "color": INK,
                "shrinkA": 0,
                "shrinkB": 2,
            },
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "none", "edgecolor": "none"},
            path_effects=[withStroke(linewidth=1.5, foreground="white")],
            zorder=5,
            in_layout=False,
        )
        anchor = ax.transData.transform(xy)
        half = Text.get_window_extent(text).size / 2  # the annotation's own includes the leader
        places = list(_places(anchor, half, 1 / pixel))
        reach = np.abs(np.subtract(places, anchor)).max(axis=0) + 2 * half
        near = taken[(np.abs(taken - anchor) < reach).all(axis=1)]
        costs = [
            _cost(ax, near, len(taken), centre - half, centre + half)
            + _crossed(anchor, centre, boxes)
            + np.abs(centre - anchor).max() * pixel / 2
            for centre in places
        ]
        centre = places[np.argmin(costs)]
        text.set_position((centre - anchor) * pixel)
        # So dense that to cover a label costs more than to cover anything else.
        across = np.stack(np.meshgrid(np.linspace(-1, 1, 60), np.linspace(-1, 1, 20)), axis=-1)
        leader = np.linspace(anchor, centre, 20)
        boxes.append((centre - half, centre + half))
        taken = np.concatenate([taken, centre + across.reshape(-1, 2) * half, leader])


def _ink(ax: Axes) -> np.ndarray:
    """Sample what is drawn: dots along the lines, and as many markers, in pixels, (dots, 2)."""
    lines = [line.get_path().interpolated(50) for line in ax.lines]
    bars = [bars for bars in ax.collections if isinstance(bars, LineCollection)]
    segments = [segment for own in bars for segment in own.get_segments() if len(segment)]
    dots = [path.vertices for path in lines + [Path(own).interpolated(50) for own in segments]]
    dots += [
        np.repeat(points.get_offsets(), 10, axis=0)
        for points in ax.collections
        if points not in bars
    ]
    return ax.transData.transform(np.concatenate(dots))


def _places(anchor: np.ndarray, half: np.ndarray, point: float) -> Iterator[np.ndarray]:
    """Propose centres for a label around what it names, the nearest first, in pixels."""
    for distance in (3, 8, 14, 22, 32, 44, 58, 74):
        for angle in np.arange(16) * np.pi / 8:
            direction = np.array([np.cos(angle), np.sin(angle)])
            yield anchor + direction * (distance * point + half)


def _cost(ax: Axes, taken: np.ndarray, most: int, low: np.ndarray, high: np.ndarray) -> int:
    """Count the dots that a label's box would cover; a box that leaves the panel costs `most`."""
    inside = (low > ax.bbox.min).all() and (high < ax.bbox.max).all()
    margin = 0.04 * ax.figure.dpi  # half a marker
    covered = ((taken > low - margin) & (taken < high + margin)).all(axis=1)
    return int(covered.sum()) if inside else most


def _crossed(start: np.ndarray, end: np.ndarray, boxes: list) -> int:
    """Cost of a leader: what covering a dozen dots costs for each label that it would cross."""
    leader = np.linspace(start, end, 100)
    return sum(12 for low, high in boxes if ((leader > low) & (leader < high)).all(axis=1).any())
