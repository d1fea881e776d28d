"""Drawing: tables of models, their means by category, and the figures' ink.

A figure's table is computed first, written beside it, and then drawn: nothing here opens a file
other than the figure, or knows the configuration.
"""

import logging
import os
import warnings
from collections.abc import Iterable

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workflow.lib.measures.references import FLOOR, PAPER
from workflow.lib.measures.statistics import fit_line
from workflow.lib.run.files import replacing
from workflow.lib.show.fonts import lend_letters
from workflow.lib.show.style import BY_CATEGORY, INK, LOOKS
from workflow.lib.study.categories import CATEGORIES, CONTROL

FAINT = {"alpha": 0.6, "edgecolor": "white", "linewidth": 0.3, "legend": False}
"""How a single model's marker looks, as keywords of seaborn's functions."""

LINE = {"linewidth": 0.8, "zorder": 1}

STAR = {"marker": "*", "s": 56, "edgecolor": "black", "linewidth": 0.4, "legend": False}
"""How a category's mean looks."""

TICK = {"marker": "|", "s": 40, "linewidth": 0.7, "alpha": 0.55}
DOT = {"marker": ".", "s": 10, "linewidth": 0, "alpha": 0.55}
"""How a category's mean with one of several bases looks, in a row and in a plane."""

X = "error_inconsistency"
PITCH = 1.3  # of rows of which seaborn's swarms take up 0.8

# What would make two files of the same figure differ, or says nothing.
METADATA = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}, ".png": {"Software": None}}

# It would log every letter that a PDF embeds.
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


def in_percent(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Turn fractions and the ends of their intervals into per cent.

    Parameters
    ----------
    table : DataFrame
    *columns : str
        With `<column>_low` and `<column>_high`, if there are any.

    Returns
    -------
    DataFrame
    """
    known = [name + end for name in columns for end in ("", "_low", "_high") if name + end in table]
    return table.assign(**{name: 100 * table[name] for name in known})


def strip_height(table: pd.DataFrame) -> float:
    """Inches that a strip needs: more where the axis is wider, and models stand closer."""
    return 3.1 if table["what"].isin([FLOOR, PAPER]).any() else 2.3


def draw_strip(ax: Axes, table: pd.DataFrame, column: str) -> None:
    """Draw each model as a marker in its category's row, and the category's mean as a star below.

    The means stand as numbers on the right, and where there are several bases, the means with each
    of them as ticks on the star. An interval too wide for the panel runs off it.

    Parameters
    ----------
    ax : Axes
    table : DataFrame
        Of `models_and_means`.
    column : str
        In the unit that is drawn.
    """
    named = set(table.loc[table["what"].isin(["mean", PAPER]), "category"])
    rows = [category for category in CATEGORIES if category in named]  # with a value or without
    models, means = _models_and_means(table, [column])
    means = means.assign(row=[PITCH * rows.index(name) + 0.55 for name in means["category"]])
    ax.set_yticks(PITCH * np.arange(len(rows)), [LOOKS[category].name for category in rows])
    ax.set_ylim(PITCH * max(len(rows), 1) - 0.5, -0.6)
    for category, own in models.groupby("category"):
        place = np.full(len(own), PITCH * rows.index(category))
        look = {"color": LOOKS[category].colour, "marker": LOOKS[category].marker}
        look |= {"size": min(3.9, 10 / len(own) ** 0.5)} | FAINT
        rule = {"orient": "y", "native_scale": True, "warn_thresh": 1, "ax": ax}
        sns.swarmplot(x=own[column], y=place, **rule, **look)
    ends = {column + end: means[column + end] for end in ("_low", "_high")}
    means = means.assign(**{n: own.where(means["models"] >= SEVERAL) for n, own in ends.items()})
    bases = _with_each_base(table, [column])
    places = dict(zip(means["category"], means["row"], strict=True))
    bases = bases[bases["category"].isin(places)]
    colours = [LOOKS[category].colour for category in bases["category"]]
    ax.scatter(bases[column], bases["category"].map(places), c=colours, zorder=2, **TICK)
    draw_means(ax, means, column, "row")
    for mean in means.to_dict("records"):
        half = mean[f"{column}_high"] - mean[column]
        text = f"{mean[column]:.1f}" + ("" if np.isnan(half) else f" ± {half:.1f}")
        _write_beside(ax, mean["row"], text)
    _write_beside(ax, -0.55, "★ mean")
    beside = _draw_references(ax, table.dropna(subset=[column]), column, rows)
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=7, steps=[1, 2, 5, 10])
    ax.grid(axis="x")
    ax.set_ylabel("")
    _set_limits(ax, models, means, x=column)
    if len(models) and len(beside):
        (low, high), room = ax.get_xlim(), 0.04 * np.ptp([*models[column], *beside])
        ax.set_xlim(min(low, beside.min() - room), max(high, beside.max() + room))


def _draw_references(ax: Axes, table: pd.DataFrame, column: str, rows: list[str]) -> np.ndarray:
    """Draw the noise floor as lines, and published means as hollow stars; gives their places."""
    floor, paper = (table.loc[table["what"] == what] for what in (FLOOR, PAPER))
    line = {"color": LOOKS[CONTROL].colour, "linewidth": 0.9, "linestyle": (0, (4, 2)), "zorder": 1}
    for value in floor[column]:
        ax.axvline(value, **line)
    if len(floor) and column == X:
        text = {"ha": "right", "va": "top", "fontsize": 5.5, "color": LOOKS[CONTROL].colour}
        ax.text(floor[column].max(), -0.5, "same weights, \nother code ", **text)
    places = [PITCH * rows.index(category) for category in paper["category"]]
    colours = [LOOKS[category].colour for category in paper["category"]]
    looks = {"marker": "*", "s": 50, "facecolors": "white", "linewidths": 0.8, "zorder": 3}
    ax.scatter(paper[column], np.add(places, 0.55), edgecolors=colours, **looks)
    for place, value in zip(places, paper[column], strict=True):
        _write_beside(ax, place + 0.05, f"☆ {value:.1f}")
    if len(paper):
        _write_beside(ax, -1.05, "☆ paper")
    return np.append(floor[column], paper[column]).astype(float)


def draw_scatter(ax: Axes, table: pd.DataFrame, x: str, y: str) -> None:
    """Draw each model as a faint marker, each category's mean as a star, and a line if one fits.

    Where there are several bases, a dot is the mean of a category with one of them. An interval too
    wide for the panel runs off it. Intervals of two models (t = 12.7) would cross it and say
    nothing: they are left out.

    Parameters
    ----------
    ax : Axes
    table : DataFrame
        Of `models_and_means`.
    x, y : str
        Columns in the units that are drawn.
    """
    models, means = _models_and_means(table, [x, y])
    draw_points(ax, models, x, y, line=True)
    several = means["models"] >= SEVERAL
    ends = {f"{name}_high": means[f"{name}_high"].where(several) for name in (x, y)}
    bases = _with_each_base(table, [x, y])
    colours = [LOOKS[category].colour for category in bases["category"]]
    ax.scatter(bases[x], bases[y], c=colours, zorder=2, **DOT)
    draw_means(ax, means.assign(**ends), x, y)
    _set_limits(ax, models, means, x=x, y=y)


def draw_points(
    ax: Axes,
    table: pd.DataFrame,
    x: str,
    y: str,
    *,
    line: bool = False,
    hollow: pd.Series | None = None,
    **looks,
) -> None:
    """Draw each row as the marker of its category.

    Parameters
    ----------
    ax : Axes
    table : DataFrame
        With a column `category`.
    x, y : str
        Columns.
    line : bool
        Draw a line fitted to all rows by least squares, too, if there is one.
    hollow : Series of bool, optional
        Rows whose markers are empty.
    **looks
        Keywords of `seaborn.scatterplot` that differ from `FAINT`.
    """
    table = table.dropna(subset=[x, y])
    if table.empty:
        return
    if line and not np.isnan(fit_line(table[x], table[y])[2]):
        sns.regplot(table, x=x, y=y, scatter=False, ci=None, color=INK, line_kws=LINE, ax=ax)
    sns.scatterplot(table, x=x, y=y, ax=ax, **BY_CATEGORY, **{"s": 15} | FAINT | looks)
    if hollow is not None:
        points, hollow = ax.collections[-1], hollow[table.index].to_numpy()[:, None]
        colours = points.get_facecolor()
        points.set_edgecolor(np.where(hollow, colours, to_rgba("white")))
        points.set_facecolor(np.where(hollow, to_rgba("white"), colours))
        points.set_linewidth(np.where(hollow, 0.9, 0.3).ravel())


def draw_means(ax: Axes, means: pd.DataFrame, x: str, y: str) -> None:
    """Draw a category's mean as a star, with an interval along each axis that has one.

    Parameters
    ----------
    ax : Axes
    means : DataFrame
        With a column `category`.
    x, y : str
        Columns; up to `<column>_high` there is an interval, as far on the other side.
    """
    if means.empty:
        return
    colours = [LOOKS[category].colour for category in means["category"]]
    for draw, along, across in ((ax.hlines, x, y), (ax.vlines, y, x)):
        if f"{along}_high" in means:
            high = means[f"{along}_high"]
            low = 2 * means[along] - high
            draw(means[across], low, high, colors=colours, linewidth=1, zorder=3)
    palette = BY_CATEGORY["palette"]
    sns.scatterplot(means, x=x, y=y, hue="category", palette=palette, zorder=4, ax=ax, **STAR)


def category_keys(categories: Iterable[str], **looks) -> list[Line2D]:
    """Explain the markers of categories, in order of divergence.

    Parameters
    ----------
    categories : iterable of str
        Each may come more than once. A single one needs no key.
    **looks
        Keywords of `Line2D` that differ from those of a faint marker.
    """
    looks = {"alpha": 0.6, "markersize": 3.9, "markeredgewidth": 0.3} | looks
    shown = [LOOKS[name] for name in LOOKS if name in set(categories)]
    if len(shown) < 2:
        return []  # there is nothing to tell apart
    return [
        marker_key(name, color=colour, marker=marker, markeredgecolor="white", **looks)
        for name, colour, marker in shown
    ]


def marker_key(label: str, **looks) -> Line2D:
    """Explain a marker in a legend; its looks are keywords of `Line2D`."""
    return Line2D([], [], label=label, **{"linestyle": "none"} | looks)


def mean_keys(table: pd.DataFrame) -> list[Line2D]:
    """Explain the stars of a table of models and means, as far as there are any.

    Parameters
    ----------
    table : DataFrame
        With `what`, `category` and `models`; only means of several models are told from models.
    """
    means = table[table["what"] == "mean"]
    if means.empty:
        return []
    label = "Mean and 95 % interval" if (means["models"] >= SEVERAL).any() else "Mean"
    looks = {"color": "white", "markersize": 7.5, "markeredgecolor": "black"}
    return [marker_key(label, marker="*", markeredgewidth=0.4, **looks)]


SEVERAL = 3
"""Models of which a mean has an interval: that of two (t = 12.7) would say nothing."""


def add_legend(figure: Figure, handles: list[Line2D]) -> None:
    """Put a legend above all panels, on one line, if there is anything to explain."""
    if handles:
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))


def save(figure: Figure, *paths: str | os.PathLike) -> None:
    """Write a figure, the same bytes whenever it is the same figure and all letters are its font's.

    Others are lent by installed fonts; the figure says so where none has them.

    Parameters
    ----------
    figure : Figure
    *paths : path
        One for each format, by its suffix: .pdf, .svg or .png. Each appears whole or not at
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
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # which has been reported
        for path in paths:
            with replacing(path, sealed=True) as part:
                figure.savefig(part, metadata=METADATA[part.suffix])


def save_blank(text: str, *paths: str | os.PathLike) -> None:
    """Write a figure that only says why there is nothing to draw."""
    figure, (ax,) = subplots(3.3, 1.5)
    ax.set_axis_off()
    ax.text(0.5, 0.5, text, ha="center", va="center")
    save(figure, *paths)


def _models_and_means(table: pd.DataFrame, columns: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give the rows of each kind that have a value in all columns."""
    known = table.dropna(subset=columns)
    return known[known["what"] == "model"], known[known["what"] == "mean"]


def _with_each_base(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Give the rows of categories with each base that have a value in all columns."""
    return table[table["what"] == "base"].dropna(subset=columns)


def _write_beside(ax: Axes, row: float, text: str) -> None:
    ax.text(1.03, row, text, transform=ax.get_yaxis_transform(), va="center", fontsize=6.5)


def _set_limits(ax: Axes, models: pd.DataFrame, means: pd.DataFrame, **axes: str) -> None:
    """Let each axis span the models, and their means' intervals as far as these leave them room."""
    if models.empty:
        ax.set(xticks=[], yticks=[])
        ax.text(0.5, 0.5, "no models", transform=ax.transAxes, ha="center", va="center")
        return
    for axis, column in axes.items():
        low, high = models[column].min(), models[column].max()
        room = 0.35 * (high - low) or 1.0
        low = max(low - room, np.nanmin([low, *means[f"{column}_low"]]))
        high = min(high + room, np.nanmax([high, *means[f"{column}_high"]]))
        margin = 0.2 * room
        ax.set(**{f"{axis}lim": (low - margin, high + margin)})
