"""Drawing: tables of models, their means by category, and the figures' ink.

A figure's table is computed first, written beside it, and then drawn: nothing here opens a file
other than the figure, or knows the configuration.
"""

import logging
import os
import textwrap
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

from workflow.lib.run.files import replacing
from workflow.lib.show.fonts import lend_letters
from workflow.lib.show.style import INK, LOOKS, PALE

STAR = {
    "marker": "*",
    "markersize": 7.5,
    "markeredgecolor": "black",
    "markeredgewidth": 0.4,
    "linestyle": "none",
}
# What would make two files of the same figure differ, or tells nothing.
METADATA = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}, ".png": {"Software": None}}

# It would tell the log of every letter that a PDF embeds.
logging.getLogger("fontTools").setLevel(logging.WARNING)


def subplots(width: float, height: float, columns: int = 1, **options) -> tuple[Figure, list[Axes]]:
    """Make a figure of panels side by side, outside pyplot and its global state.

    Parameters
    ----------
    width, height : float
        Inches.
    columns : int
        Number of panels.
    **options
        Further arguments of `Figure.subplots`.

    Returns
    -------
    figure : Figure
    axes : list of Axes
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False, **options)[0])


def draw_strip(ax: Axes, table: pd.DataFrame, column: str, scale: float = 100) -> None:
    """Draw each model as a marker in its category's row, and the category's mean as a star below.

    The means stand as numbers on the right. An interval too wide for the panel runs off it.

    Parameters
    ----------
    ax : Axes
    table : DataFrame
        Of `models_and_means`.
    column : str
    scale : float
        What to multiply values by: by default, fractions are drawn in per cent.
    """
    categories = list(table.loc[table["what"] == "mean", "category"])  # with a value or without
    models, means = _models_and_means(table, [column])
    for mean in means.to_dict("records"):
        row = categories.index(mean["category"])
        x = models.loc[models["category"] == mean["category"], column].sort_values()
        # Multiples of the golden ratio keep neighbours apart, and are the same every time.
        offsets = (np.arange(len(x)) * 0.618 + 0.5) % 1 - 0.5
        ax.plot(scale * x, row - 0.16 + 0.5 * offsets, **faint(mean["category"]))
        _draw_mean(ax, mean, x=column, row=row + 0.28, scale=scale)
        _write_beside(ax, row + 0.28, _with_half(mean, column, scale))
    _write_beside(ax, -0.5, "★ mean")
    ax.set_yticks(range(len(categories)), [LOOKS[category].name for category in categories])
    ax.set_ylim(max(len(categories), 1) - 0.45, -0.55)
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=7, steps=[1, 2, 5, 10])
    ax.grid(axis="x", color=PALE, linewidth=0.4, alpha=0.6)
    _set_limits(ax, models, means, scale, x=column)


def draw_scatter(ax: Axes, table: pd.DataFrame, x: str, y: str) -> None:
    """Draw each model as a faint marker, each category's mean as a star, and a line if one fits.

    An interval too wide for the panel runs off it.

    Parameters
    ----------
    ax : Axes
    table : DataFrame
        Of `models_and_means`, and possibly a row whose `what` is "fit" and whose `quantity` is `y`,
        with `slope` and `intercept`.
    x, y : str
        Columns of fractions, drawn in per cent.
    """
    models, means = _models_and_means(table, [x, y])
    for fit in table[table["what"] == "fit"].query("quantity == @y").to_dict("records"):
        ends = np.array([models[x].min(), models[x].max()])
        line = fit["intercept"] + fit["slope"] * ends
        ax.plot(100 * ends, 100 * line, color=INK, linewidth=0.8, zorder=1)
    for category, group in models.groupby("category", sort=False):
        ax.plot(100 * group[x], 100 * group[y], **faint(category))
    for mean in means.to_dict("records"):
        _draw_mean(ax, mean, x=x, y=y)
    _set_limits(ax, models, means, 100, x=x, y=y)


def label_points(ax: Axes, points: pd.DataFrame, x: str, y: str) -> None:
    """Write names beside points, where they cover least of what is drawn.

    Call it last, when everything else has its place.

    Parameters
    ----------
    ax : Axes
    points : DataFrame
        With a column `name`.
    x, y : str
        Columns of fractions, drawn in per cent.
    """
    points = points.dropna(subset=[x, y])
    if points.empty:
        return
    ax.figure.draw_without_rendering()
    taken, boxes = _ink(ax), []  # (dots, 2), pixels
    pixel = 72 / ax.figure.dpi  # in points
    for point in points.to_dict("records"):
        xy = 100 * point[x], 100 * point[y]
        text = ax.annotate(
            textwrap.fill(point["name"], 18),
            xy,
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=6,
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
        costs = [
            _cost(ax, taken, centre - half, centre + half) + _crossed(anchor, centre, boxes)
            for centre in places
        ]
        centre = places[np.argmin(costs)]
        text.set_position((centre - anchor) * pixel)
        # So dense that to cover a label costs more than to cover anything else.
        across = np.stack(np.meshgrid(np.linspace(-1, 1, 60), np.linspace(-1, 1, 20)), axis=-1)
        leader = np.linspace(anchor, centre, 20)
        boxes.append((centre - half, centre + half))
        taken = np.concatenate([taken, centre + across.reshape(-1, 2) * half, leader])


def add_legend(figure: Figure, table: pd.DataFrame) -> None:
    """Explain the markers of the categories in a table, and the star, above all panels.

    Parameters
    ----------
    figure : Figure
    table : DataFrame
        Of `models_and_means`.
    """
    categories = table.loc[table["what"] == "mean", "category"]
    handles = [Line2D([], [], label=LOOKS[name].name, **faint(name)) for name in categories]
    star = Line2D([], [], label="Mean and 95 % interval", color="white", **STAR)
    figure.legend(handles=[*handles, star], loc="outside upper center", ncols=len(handles) + 1)


def save(figure: Figure, *paths: str | os.PathLike) -> None:
    """Write a figure, the same bytes whenever it is the same figure and all letters are its font's.

    Others are lent by installed fonts; the figure says so where none has them.

    Parameters
    ----------
    figure : Figure
    *paths : path
        One for each format, told by its suffix: .pdf, .svg or .png. Each appears whole or not at
        all.
    """
    missing = lend_letters(figure)
    if missing:
        shown = ", ".join(f"U+{ord(letter):04X}" for letter in missing[:5])
        more = ", …" if len(missing) > 5 else ""
        figure.text(
            0,
            0,
            f"Boxes: letters that no installed font has ({shown}{more})",
            fontsize=5,
            va="bottom",
            in_layout=False,
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # which has been told
        for path in paths:
            with replacing(path, sealed=True) as part:
                figure.savefig(part, metadata=METADATA[part.suffix])


def _models_and_means(table: pd.DataFrame, columns: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give the rows of each kind that have a value in all columns."""
    known = table.dropna(subset=columns)
    return known[known["what"] == "model"], known[known["what"] == "mean"]


def faint(category: str) -> dict:
    """Give the looks of a single model's marker, as keywords of `Axes.plot`."""
    look = LOOKS[category]
    return {
        "marker": look.marker,
        "color": look.colour,
        "alpha": 0.6,
        "markersize": 3.8,
        "markeredgecolor": "white",
        "markeredgewidth": 0.3,
        "linestyle": "none",
    }


def _draw_mean(
    ax: Axes, mean: dict, *, x: str, y: str | None = None, row: float = 0.0, scale: float = 100
) -> None:
    """Draw a category's mean and its intervals, at a height of its own if `y` is none.

    In a plane, intervals of two models (t = 12.7) would cross the whole panel and tell nothing.
    """
    if y and mean["models"] < 3:
        mean = {**mean, f"{x}_high": np.nan, f"{y}_high": np.nan}
    ax.errorbar(
        scale * mean[x],
        scale * mean[y] if y else row,
        xerr=scale * (mean[f"{x}_high"] - mean[x]),
        yerr=scale * (mean[f"{y}_high"] - mean[y]) if y else None,
        color=LOOKS[mean["category"]].colour,
        elinewidth=1,
        zorder=3,
        **STAR,
    )


def _with_half(mean: dict, column: str, scale: float) -> str:
    """Write a mean, and half of its interval if it has one."""
    half = mean[f"{column}_high"] - mean[column]
    return f"{scale * mean[column]:.1f}" + ("" if np.isnan(half) else f" ± {scale * half:.1f}")


def _write_beside(ax: Axes, row: float, text: str) -> None:
    ax.text(1.03, row, text, transform=ax.get_yaxis_transform(), va="center", fontsize=6.5)


def _set_limits(
    ax: Axes, models: pd.DataFrame, means: pd.DataFrame, scale: float, **axes: str
) -> None:
    """Let each axis span the models, and their means' intervals as far as these leave them room."""
    if models.empty:
        ax.set(xticks=[], yticks=[])
        ax.text(0.5, 0.5, "no models", transform=ax.transAxes, ha="center", va="center")
        return
    for axis, column in axes.items():
        low, high = scale * models[column].min(), scale * models[column].max()
        room = 0.35 * (high - low) or 1.0
        low = max(low - room, np.nanmin([low, *scale * means[f"{column}_low"]]))
        high = min(high + room, np.nanmax([high, *scale * means[f"{column}_high"]]))
        margin = 0.2 * room
        ax.set(**{f"{axis}lim": (low - margin, high + margin)})


def _ink(ax: Axes) -> np.ndarray:
    """Sample what is drawn: the markers, and dots along the lines, in pixels, (dots, 2)."""
    paths = [
        line.get_path() if line.get_linestyle() == "None" else line.get_path().interpolated(50)
        for line in ax.lines
    ]
    segments = [segment for bars in ax.collections for segment in bars.get_segments()]
    paths += [Path(segment).interpolated(50) for segment in segments if len(segment)]
    return ax.transData.transform(np.concatenate([path.vertices for path in paths]))


def _places(anchor: np.ndarray, half: np.ndarray, point: float) -> Iterator[np.ndarray]:
    """Propose centres for a label around what it names, the nearest first, in pixels."""
    for distance in (3, 8, 14, 22, 32, 44, 58, 74):
        for angle in np.arange(16) * np.pi / 8:
            direction = np.array([np.cos(angle), np.sin(angle)])
            yield anchor + direction * (distance * point + half)


def _cost(ax: Axes, taken: np.ndarray, low: np.ndarray, high: np.ndarray) -> int:
    """Count the dots that a label's box would cover; a box that leaves the panel costs most."""
    inside = (low > ax.bbox.min).all() and (high < ax.bbox.max).all()
    margin = 0.04 * ax.figure.dpi  # half a marker
    covered = ((taken > low - margin) & (taken < high + margin)).all(axis=1)
    return int(covered.sum()) if inside else len(taken)


def _crossed(start: np.ndarray, end: np.ndarray, boxes: list) -> int:
    """Cost of a leader: what covering a dozen dots costs for each label that it would cross."""
    leader = np.linspace(start, end, 100)
    return sum(12 for low, high in boxes if ((leader > low) & (leader < high)).all(axis=1).any())
