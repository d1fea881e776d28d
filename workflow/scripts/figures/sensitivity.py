"""Draw how the headline numbers move with the choices that the paper leaves open."""

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.show import marks as plots
from workflow.lib.show.style import INK, LOOKS, PALE, RC, TEXT_WIDTH
from workflow.lib.study.categories import CATEGORIES

PAIRS = {
    "slope": ("Slope of improvement\nby inconsistency", 1),
    "correlation": ("Correlation of improvement\nand inconsistency", 1),
    "improvement": ("Mean improvement\n(percentage points)", 100),
    "conversion_rate": ("Mean conversion\nrate (%)", 100),
}
TEMPERATURES = {"none": "uncalibrated", "calibration": "held-out T", "test": "T of test images"}


@rc_context(RC)
def sensitivity(*, variants: str, pdf: str, svg: str, png: str, tsv: str) -> None:
    """Draw every number under every variant, the study's own choice filled.

    Parameters
    ----------
    variants : str
        Table of numbers under all variants.
    pdf, svg, png, tsv : str
        Figure in three formats and the table that it draws, to write.
    """
    table = read_table(variants)
    write_table(tsv, table)

    figure = Figure(figsize=(TEXT_WIDTH, 3.9), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[1, 1.15])
    axes = above.subplots(1, len(PAIRS), sharey=True)
    for ax, (number, (label, scale)) in zip(axes, PAIRS.items(), strict=True):
        rows = table[table["number"] == number]
        names = [f"{r.mean_}, {TEMPERATURES[r.temperature]}" for r in _named(rows)]
        draw_values(ax, rows, names, scale)
        ax.set_xlabel(label)
    greedy, compressed = below.subplots(1, 2, width_ratios=[1, 1.25])
    rows = table[table["number"] == "greedy_gain"]
    names = [
        f"{r.mean_}, {r.protocol}, {'with' if str(r.replacement) == 'True' else 'without'} repeats"
        for r in _named(rows)
    ]
    draw_values(greedy, rows, names, 100)
    greedy.set_xlabel("Mean gain of greedy ensembles over\ntheir bases (percentage points)")
    draw_compression(compressed, table[table["number"] == "dimensions"])
    filled = Line2D([], [], label="the study's choice", **_marker(INK, True))
    hollow = Line2D([], [], label="another", **_marker(INK, False))
    figure.legend(handles=[filled, hollow], loc="outside upper center", ncols=2)
    plots.save(figure, pdf, svg, png)


def draw_values(ax: Axes, rows: pd.DataFrame, names: list[str], scale: float) -> None:
    """Draw one value and its interval a row.

    Parameters
    ----------
    ax : Axes
    rows : DataFrame
        `value`, `value_low`, `value_high`, `chosen`.
    names : list of str
        Of the rows.
    scale : float
        What to multiply values by.
    """
    if rows.empty:
        ax.set(xticks=[], yticks=[])
        ax.text(0.5, 0.5, "not in this study", transform=ax.transAxes, ha="center", va="center")
        return
    for place, row in enumerate(rows.to_dict("records")):
        ends = [scale * row["value_low"], scale * row["value_high"]]
        if not np.isnan(ends).any():
            ax.plot(ends, [place, place], color=PALE, linewidth=1.2, zorder=1)
        ax.plot(scale * row["value"], place, **_marker(INK, row["chosen"]))
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=4)
    ax.grid(axis="x", color=PALE, linewidth=0.4, alpha=0.6)


def draw_compression(ax: Axes, rows: pd.DataFrame) -> None:
    """Draw the dimensions that the target needs, a row each variant and a marker each category.

    Their intervals, of few models each, are left to the table.
    """
    if rows.empty:
        draw_values(ax, rows, [], 1)
        return
    variants = rows[["statistic", "direction"]].drop_duplicates().to_records(index=False).tolist()
    there = [name for name in CATEGORIES if (rows["category"] == name).any()]
    for place, (statistic, direction) in enumerate(variants):
        own = rows[(rows["statistic"] == statistic) & (rows["direction"] == direction)]
        for row in own.to_dict("records"):
            look = LOOKS[row["category"]]
            # Apart, so that categories that need the same can be seen.
            y = place + 0.13 * (there.index(row["category"]) - (len(there) - 1) / 2)
            marker = {**_marker(look.colour, row["chosen"]), "marker": look.marker}
            ax.plot(row["value"], y, **marker)
    names = [f"{direction} {statistic}" for statistic, direction in variants]
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color=PALE, linewidth=0.4, alpha=0.6)
    values = rows["value"].dropna()
    if len(values):
        room = 0.3 * (values.max() - values.min()) or 1
        ax.set_xlim(max(0, values.min() - room), values.max() + room)
    ax.set_xlabel("Dimensions to reach the target,\nby category")
    handles = [
        Line2D([], [], label=LOOKS[name].name, **{**_marker(LOOKS[name].colour, True),
                                                  "marker": LOOKS[name].marker})
        for name in there
    ]  # fmt: skip
    ax.legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=6)


def _named(rows: pd.DataFrame):
    return rows.rename(columns={"mean": "mean_"}).itertuples()


def _marker(colour: str, chosen: bool) -> dict:
    return {
        "marker": "o",
        "markersize": 4,
        "color": colour,
        "markerfacecolor": colour if chosen else "white",
        "markeredgewidth": 0.8,
        "linestyle": "none",
    }


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(sensitivity, snakemake)
