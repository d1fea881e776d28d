"""What ensembles cost: accuracy on the test split against multiply-adds, parameters and time.

Single models, pairs, triples and cascades of the table of recommendations; single models and
cascades that are weaker than all of interest may lie below what is shown. A line joins those on the
Pareto front: none is as good for less, or better for as much, on the calibration split. It is drawn
by test accuracy and so may fall, where the choice was luck. A thin line is a cascade at all its
thresholds.
"""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.show import marks as plots
from workflow.lib.show.labels import label_points
from workflow.lib.show.style import INK, RC, TEXT_WIDTH

# Colours from lighter to darker, at steps that remain in grey.
KINDS = {1: "Single model", 2: "Pair", 3: "Triple", "cascade": "Cascade"}
COLOURS = {1: "#9C9C9C", 2: "#3F8FC4", 3: "#123A63", "cascade": "#D55E00"}
MARKERS = {1: "o", 2: "s", 3: "^", "cascade": "D"}
# Column of the cost and of its front, and the axis.
PANELS = {
    "macs": ("pareto", "Multiply-adds an image"),
    "parameters": ("pareto_parameters", "Parameters"),
    "milliseconds": ("pareto_speed", "Time an image (ms)"),
}
NAMED = 4  # members of each front at most that are named
LETTERS = "ABCDEFGHIJKL"  # that stand for them, in the figure
LINE = 0.15  # inches that the name of one takes below it
CURVES = 3  # cascades drawn at all their thresholds


@rc_context(RC)
def pareto(*, table: str, curves: str, pdf: str, svg: str, png: str, tsv: str) -> None:
    """Draw accuracy against cost.

    Parameters
    ----------
    table : str
        Table of recommendations.
    curves : str
        Cascades at all their thresholds, as `cascades` writes them.
    pdf, svg, png, tsv : str
        Figure in three formats and the table that it draws, to write: that of recommendations, with
        `milliseconds`, and below it the points of `curves` that are drawn, of the kind "curve".
    """
    drawn = read_table(table)
    drawn["milliseconds"] = 1000 / drawn["images_per_second"]
    lines = chosen_curves(drawn, read_table(curves))
    write_table(tsv, pd.concat([drawn, lines], ignore_index=True) if len(lines) else drawn)

    drawn = plots.in_percent(drawn, "accuracy")
    drawn["look"] = drawn["size"].astype(object).where(drawn["kind"] == "ensemble", "cascade")
    for front, _ in PANELS.values():
        drawn[front] = drawn[front].eq(True) | drawn[front].eq("True")
    chosen = {column: named(drawn, column, front) for column, (front, _) in PANELS.items()}
    letters = dict(zip(pd.unique(pd.concat(chosen.values())["name"]), LETTERS, strict=False))
    height = 3.0 + LINE * len(letters)
    figure, axes = plots.subplots(TEXT_WIDTH, height, columns=len(PANELS), sharey=True)
    for ax, (column, (front, title)) in zip(axes, PANELS.items(), strict=True):
        shown = drawn if column == "macs" else drawn[drawn["kind"] == "ensemble"]
        draw_costs(ax, shown, column, front)
        ax.set_xlabel(title)
    for _, own in lines.groupby(["models", "then"], sort=False) if len(lines) else ():
        own = own.sort_values("macs")
        axes[0].plot(
            own["macs"], 100 * own["accuracy"], color=COLOURS["cascade"], linewidth=0.7, zorder=2.5
        )
    # Weak single models would take most of the room.
    fronts = drawn[[front for front, _ in PANELS.values()]].any(axis=1)
    worth = drawn[(drawn["size"] > 1) & (drawn["kind"] == "ensemble") | fronts]
    shown = (drawn if worth.empty else worth)["accuracy"]
    room = 0.15 * np.ptp(shown) + 0.2
    axes[0].set_ylim(shown.min() - room, shown.max() + 2 * room)
    axes[0].set_ylabel("Accuracy on test images (%)")
    line = plots.marker_key("Pareto front, chosen on calibration images", color=INK, linestyle="-")
    handles = [
        plots.marker_key(label, marker=MARKERS[look], color=COLOURS[look], markersize=4, alpha=0.75)
        for look, label in KINDS.items()
        if look in set(drawn["look"])
    ]
    if len(lines):
        label = "at all its thresholds"
        handles.append(plots.marker_key(label, color=COLOURS["cascade"], linestyle="-"))
    plots.add_legend(figure, [*handles, line])
    keys = [plots.marker_key(f"{key}   {name}", linestyle="none") for name, key in letters.items()]
    if keys:  # names of several models are too long to stand beside points
        figure.legend(handles=keys, loc="outside lower left", handlelength=0, handletextpad=0)
    for ax, (column, rows) in zip(axes, chosen.items(), strict=True):
        label_points(ax, rows.assign(name=rows["name"].map(letters)), column, "accuracy", size=7)
    plots.save(figure, pdf, svg, png)


def chosen_curves(drawn: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Points of the first cascades of two, those on the front before others."""
    cascades = drawn[(drawn["kind"] == "cascade") & (drawn["size"] == 2)]
    first = cascades.sort_values("pareto", ascending=False, kind="stable").head(CURVES)
    wanted = set(zip(first["models"], first["then"], strict=True)) if len(first) else set()
    own = curves[curves["target"] == "accuracy"]
    keep = [pair in wanted for pair in zip(own["models"], own["then"], strict=True)]
    return own[np.array(keep, bool)].assign(kind="curve", size=2)


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
    ax.xaxis.set_major_formatter("{x:g}" if column == "milliseconds" else EngFormatter(sep=""))
    ax.xaxis.set_minor_formatter(NullFormatter())
    best = known[known[front]].sort_values([column, "accuracy"])
    ax.plot(best[column], best["accuracy"], color=INK, drawstyle="steps-post", zorder=3)
    looks = {"hue": "look", "palette": COLOURS, "style": "look", "markers": MARKERS}
    common = {"x": column, "y": "accuracy", "s": 16, "legend": False, "ax": ax}
    # The cheap ones are few, and lie on top.
    cheap = known.sort_values("size", ascending=False, kind="stable")
    sns.scatterplot(cheap, alpha=0.75, edgecolor="white", linewidth=0.3, **looks, **common)
    if len(best):
        sns.scatterplot(best, edgecolor=INK, linewidth=0.8, zorder=4, **looks, **common)
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
