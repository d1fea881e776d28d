"""Flips of each update: won and lost images by class, group and attribute, and by what answers.

On the left the share of each part's images that the new model alone wins, upwards, and loses,
downwards, with the difference as a dot and its 95 % interval; a triangle says where the update does
worse or better than elsewhere (see `workflow.lib.measures.parts`). Of many classes only those with
the least and the greatest difference are drawn. On the right the shares of all images that the new
model alone loses and wins, and both models together, where it is known what they answer.
"""

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from workflow.lib.measures.updates import BETTER, WORSE
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.show import escape
from workflow.lib.show import marks as plots
from workflow.lib.show.style import INK, PALE, RC, TEXT_WIDTH
from workflow.lib.show.updates import BOUND, SYSTEMS

NAMED = 30  # classes that have room
GAP = 0.8  # between classes, groups and attributes
LOST, WON = "#8A3B12", "#9CC3DA"  # dark and light also without colour
FLIPS = ("negative_flips", "positive_flips")


@rc_context(RC)
def flips(*, table: str, parts: str, pdf: str, svg: str, png: str, tsv: str) -> None:
    """Draw both, a row of panels an update.

    Parameters
    ----------
    table, parts : str
        Tables of updates, by system and by part of the images.
    pdf, svg, png, tsv : str
        Figure in three formats and the table that it draws, to write.
    """
    systems, divided = read_table(table), read_table(parts)
    systems = systems[systems["system"] != BOUND]
    divided = pd.concat([choose(rows) for _, rows in divided.groupby("update", sort=False)])
    write_table(tsv, pd.concat([systems.assign(what="all"), divided], ignore_index=True))

    columns = (*FLIPS, "gain")
    systems, divided = (plots.in_percent(rows, *columns) for rows in (systems, divided))
    updates = list(dict.fromkeys(systems["update"]))
    figure = Figure(figsize=(TEXT_WIDTH, 2.35 * len(updates) + 0.2), layout="constrained")
    several = len(systems) > len(updates)  # else there is the new model alone
    ratios = [3.6, 1] if several else [1]
    axes = figure.subplots(len(updates), len(ratios), squeeze=False, width_ratios=ratios)
    for update, (left, *others) in zip(updates, axes, strict=True):
        own = divided[divided["update"] == update]
        draw_parts(left, own)
        for ax in others:
            draw_systems(ax, systems[systems["update"] == update])
        name = f"From {own['old_name'].iloc[0]} to {own['new_name'].iloc[0]}"
        left.set_title(escape.label(name), loc="left")
    add_keys(figure)
    plots.save(figure, pdf, svg, png)


def choose(rows: pd.DataFrame) -> pd.DataFrame:
    """Choose the parts to draw: of more classes than have room, those at both ends of the gain."""
    known = rows[rows["examples"] > 0]
    classes = known[known["what"] == "class"]
    if len(classes) > NAMED:
        ordered = classes.sort_values("gain", kind="stable")
        classes = pd.concat([ordered[: NAMED // 2], ordered[-NAMED // 2 :]])
    return pd.concat([classes, known[known["what"] != "class"]])


def draw_parts(ax: Axes, rows: pd.DataFrame) -> None:
    """Draw what is won upwards and what is lost downwards, of each part of the images."""
    kinds = rows["what"].ne(rows["what"].shift()).cumsum() - 1
    x = np.arange(len(rows)) + GAP * kinds.to_numpy()
    ax.axhline(0, color=INK, linewidth=0.6, zorder=3)
    ax.bar(x, rows["positive_flips"], width=0.8, color=WON, linewidth=0)
    ax.bar(x, -rows["negative_flips"], width=0.8, color=LOST, linewidth=0)
    ax.vlines(x, rows["gain_low"], rows["gain_high"], color=INK, linewidth=0.9, zorder=4)
    dots = {"s": 11, "color": "white", "edgecolor": INK, "linewidth": 0.7, "zorder": 5}
    ax.scatter(x, rows["gain"], **dots)
    high = np.nanmax([*rows["positive_flips"], *rows["gain_high"]])
    low = -np.nanmax([*rows["negative_flips"], *-rows["gain_low"], 0.0])
    room = 0.12 * (high - low or 1.0)
    marks = {"color": INK, "s": 13, "linewidth": 0, "zorder": 5}
    for verdict, marker, height in ((BETTER, "^", high + room / 2), (WORSE, "v", low - room / 2)):
        found = (rows["verdict"] == verdict).to_numpy()
        ax.scatter(x[found], np.full(found.sum(), height), marker=marker, **marks)
    ax.set_ylim(low - room, high + room)
    ax.set_xlim(-0.7, x.max() + 0.7)
    ax.set_xticks(x, rows["class"], rotation=40, ha="right", rotation_mode="anchor")
    ax.tick_params(axis="x", labelsize=6.5 if len(rows) <= NAMED else 5, length=0)
    ax.set_ylabel("Share of images (%)")
    ax.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")


def draw_systems(ax: Axes, rows: pd.DataFrame) -> None:
    """Draw what is lost to the left and what is won to the right, by what answers."""
    order = [system for system in SYSTEMS if system in set(rows["system"])]
    rows = rows.set_index("system").loc[order]
    y = np.arange(len(rows))
    for column, sign, colour in zip(FLIPS, (-1, 1), (LOST, WON), strict=True):
        ax.barh(y, sign * rows[column], height=0.7, color=colour, linewidth=0)
        ends = sign * rows[f"{column}_low"], sign * rows[f"{column}_high"]
        ax.hlines(y, *ends, color=INK, linewidth=0.9, zorder=4)
    ax.axvline(0, color=INK, linewidth=0.6, zorder=3)
    ax.set_yticks(y, [SYSTEMS[system] for system in order])
    ax.tick_params(axis="y", length=0, labelsize=6.5)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlabel("Share of images (%)")
    ax.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    ax.locator_params(axis="x", nbins=5)


def add_keys(figure: Figure) -> None:
    """Explain the bars, the dots and the triangles above all panels."""
    dot = {"marker": "o", "markerfacecolor": "white", "markeredgecolor": INK, "markersize": 3.5}
    bars = [
        Patch(color=WON, label="won (positive flips)"),
        Patch(color=LOST, label="lost (negative flips)"),
    ]
    points = [
        plots.marker_key("won less lost", **dot),
        plots.marker_key("▲ better, ▼ worse than elsewhere", marker="", color=PALE),
    ]
    figure.legend(handles=bars + points, loc="outside upper center", ncols=4)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(flips, snakemake)
