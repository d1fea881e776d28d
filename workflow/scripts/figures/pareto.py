"""What ensembles cost: accuracy on the test split against parameters and time per image.

Single models, pairs and triples of the table of recommendations; single models that are weaker than
all of interest may lie below what is shown. A line joins those on the Pareto front: none is as good
for less, or better for as much, on the calibration split. It is drawn by test accuracy and so may
fall, where the choice was luck.
"""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.show import marks as plots
from workflow.lib.show.style import INK, RC, TEXT_WIDTH

# By number of members. Colours from lighter to darker, at steps that remain in grey.
SIZES = {1: "Single model", 2: "Pair", 3: "Triple"}
COLOURS = {1: "#9C9C9C", 2: "#3F8FC4", 3: "#123A63"}
MARKERS = {1: "o", 2: "s", 3: "^"}
# Column of the cost and of its front, and the axis.
PANELS = {
    "parameters": ("pareto", "Parameters"),
    "milliseconds": ("pareto_speed", "Time per image (ms)"),
}
NAMED = 5  # members of each front at most that are named


@rc_context(RC)
def pareto(*, table: str, pdf: str, svg: str, png: str, tsv: str) -> None:
    """Draw accuracy against cost.

    Parameters
    ----------
    table : str
        Table of recommendations.
    pdf, svg, png, tsv : str
        Figure in three formats and the table that it draws, to write: that of recommendations, with
        `milliseconds`.
    """
    drawn = read_table(table)
    drawn["milliseconds"] = 1000 / drawn["images_per_second"]
    write_table(tsv, drawn)

    drawn = plots.in_percent(drawn, "accuracy")
    figure, axes = plots.subplots(TEXT_WIDTH, 3.2, columns=2, sharey=True)
    for ax, (column, (front, title)) in zip(axes, PANELS.items(), strict=True):
        draw_costs(ax, drawn, column, front)
        ax.set_xlabel(title)
    # Weak single models would take most of the room.
    worth = drawn[(drawn["size"] > 1) | drawn["pareto"] | drawn["pareto_speed"]]
    shown = (drawn if worth.empty else worth)["accuracy"]
    room = 0.15 * np.ptp(shown) + 0.2
    axes[0].set_ylim(shown.min() - room, shown.max() + 2 * room)
    axes[0].set_ylabel("Accuracy on test images (%)")
    line = plots.marker_key("Pareto front, chosen on calibration images", color=INK, linestyle="-")
    handles = [
        plots.marker_key(
            SIZES[size], marker=MARKERS[size], color=COLOURS[size], markersize=4, alpha=0.75
        )
        for size in sorted(set(drawn["size"]))
    ]
    plots.add_legend(figure, [*handles, line])
    for ax, (column, (front, _)) in zip(axes, PANELS.items(), strict=True):
        plots.label_points(ax, named(drawn, column, front), column, "accuracy")
    plots.save(figure, pdf, svg, png)


def draw_costs(ax: Axes, table: pd.DataFrame, column: str, front: str) -> None:
    """Draw every ensemble, and the front as steps.

    Parameters
    ----------
    ax : Axes
    table : DataFrame
        Of `pareto`.
    column : str
        Cost.
    front : str
        Column that marks the front.
    """
    known = table.dropna(subset=[column])
    if known.empty:
        ax.set(xticks=[])
        ax.text(0.5, 0.5, "not known", transform=ax.transAxes, ha="center", va="center")
        return
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(EngFormatter(sep="") if column == "parameters" else "{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    best = known[known[front]].sort_values([column, "accuracy"])
    ax.plot(best[column], best["accuracy"], color=INK, drawstyle="steps-post", zorder=3)
    by_size = {"hue": "size", "palette": COLOURS, "style": "size", "markers": MARKERS}
    common = {"x": column, "y": "accuracy", "s": 16, "legend": False, "ax": ax}
    # The cheap ones are few, and lie on top.
    cheap = known.sort_values("size", ascending=False, kind="stable")
    sns.scatterplot(cheap, alpha=0.75, edgecolor="white", linewidth=0.3, **by_size, **common)
    if len(best):
        sns.scatterplot(best, edgecolor=INK, linewidth=0.8, zorder=4, **by_size, **common)
    ax.margins(0.08)


def named(table: pd.DataFrame, column: str, front: str) -> pd.DataFrame:
    """Choose a handful of a front's members to name, its ends among them.

    Parameters
    ----------
    table, column, front
        As for `draw_costs`.

    Returns
    -------
    DataFrame
        Rows of `table`, with `name`.
    """
    best = table[table[front]].dropna(subset=[column]).sort_values([column, "accuracy"])
    chosen = (
        np.unique(np.linspace(0, len(best) - 1, NAMED).round().astype(int)) if len(best) else []
    )
    return best.iloc[chosen].rename(columns={"names": "name"})


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(pareto, snakemake)
