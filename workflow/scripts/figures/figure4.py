"""Figure 4: in which classes each model of a pair is the more confident, and specialises.

Mean specialisation angle of the test examples of each class, of each named group of classes, and by
attribute, with 95 % intervals from Student's t-distribution over examples; where confidences are
not known, by how much model 1 is right more often, with intervals of paired differences. A coloured
marker says which model specialises: it is better in the class, and more so than overall (see
`workflow.lib.measures.parts`).
"""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow.lib.measures.parts import KINDS
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.show import escape
from workflow.lib.show import marks as plots
from workflow.lib.show.style import INK, LOOKS, PALE, RC, TEXT_WIDTH

LABELS = {
    "theta": "Mean specialisation angle θ (radians)",
    "advantage": "Accuracy of model 1 minus that of model 2 (points)",
}
NAMED = 30  # classes that have room for their names
SLOTS = 12  # columns in the width of the classes' panel, for the other ones to have as wide ones


@rc_context(RC)
def figure4(*, table: str, pdf: str, svg: str, png: str, tsv: str) -> None:
    """Draw the mean angle of each class, group and attribute, a row of panels a pair.

    Parameters
    ----------
    table : str
        Table of specialisation by class, group and attribute.
    pdf, svg, png, tsv : str
        Figure in three formats and the table that it draws, to write.
    """
    rows = read_table(table)
    write_table(tsv, rows)

    confident = rows.groupby("pair")["theta"].count().all()
    what = "theta" if confident else "advantage"
    rows = plots.in_percent(rows, "advantage")
    pairs = [pair for _, pair in rows.groupby("pair", sort=False)]
    if not pairs:
        plots.save_blank("no pairs configured", pdf, svg, png)
        return
    counts = pairs[0]["what"].value_counts().to_dict()
    kinds = [kind for kind in KINDS if kind in counts]
    figure = Figure(figsize=(TEXT_WIDTH, 1.35 * len(pairs) + 0.7), layout="constrained")
    axes = figure.subplots(
        len(pairs),
        len(kinds),
        squeeze=False,
        sharex="col",
        sharey=True if confident else "col",
        width_ratios=[SLOTS, *(min(counts[kind], SLOTS) for kind in kinds[1:])],
    )
    for ax, kind in zip(axes[0], kinds, strict=True):
        part = rows if confident else rows[rows["what"] == kind]
        ax.set_ylim(find_limits(part, what))
    for pair, (first, *others) in zip(pairs, axes, strict=True):
        draw_classes(first, pair[pair["what"] == "class"], what)
        add_key(first, pair)
        for ax, kind in zip(others, kinds[1:], strict=True):
            draw_groups(ax, pair[pair["what"] == kind], what)
    figure.supylabel(LABELS[what], fontsize=RC["axes.labelsize"])
    plots.save(figure, pdf, svg, png)


def find_limits(rows: pd.DataFrame, what: str = "theta") -> tuple[float, float]:
    """Span all means and zero, and the intervals as far as these leave them room."""
    means = np.append(rows[what].dropna(), 0.0)
    room = 0.6 * np.ptp(means) or 0.1
    low = np.nanmin([0.0, max(means.min() - room, np.nanmin([0.0, *rows[f"{what}_low"]]))])
    high = np.nanmax([0.0, min(means.max() + room, np.nanmax([0.0, *rows[f"{what}_high"]]))])
    margin = 0.06 * (high - low or 1.0)
    return low - margin, high + margin


def draw_classes(ax: Axes, classes: pd.DataFrame, what: str) -> None:
    """Draw each class of a pair at its index, with names if there are few."""
    few = len(classes) <= NAMED
    x, ends = classes["label"], (classes[f"{what}_low"], classes[f"{what}_high"])
    bars = {"linewidth": 1.2} if few else {"linewidth": 0.5, "alpha": 0.6, "rasterized": True}
    ax.axhline(0, color=INK, linewidth=0.6, zorder=1)
    ax.vlines(x, *ends, color=PALE, zorder=2, **bars)
    plain = classes[classes["specialist"].isna()]
    dots = {"color": "#777777", "s": 10 if few else 1.2, "linewidth": 0, "zorder": 3}
    sns.scatterplot(plain, x="label", y=what, ax=ax, **dots)
    mark_specialists(ax, classes, "label", 25 if few else 9, what)
    ax.set_xlim(x.min() - 0.6, x.max() + 0.6)
    if few:
        ax.set_xticks(x, classes["class"], rotation=35, ha="right", rotation_mode="anchor")
    elif ax.get_subplotspec().is_last_row():
        ax.set_xlabel("Class (index)")


def draw_groups(ax: Axes, groups: pd.DataFrame, what: str) -> None:
    """Draw each group or attribute of a pair as the band of its interval, with its mean."""
    x, low = np.arange(len(groups)), groups[f"{what}_low"]
    ax.axhline(0, color=INK, linewidth=0.6, zorder=1)
    band = {"color": PALE, "alpha": 0.7, "linewidth": 0, "zorder": 2}
    ax.bar(x, groups[f"{what}_high"] - low, bottom=low, width=0.7, **band)
    ax.hlines(groups[what], x - 0.35, x + 0.35, color=INK, linewidth=0.9, zorder=3)
    mark_specialists(ax, groups.assign(x=x), "x", 25, what)
    ax.set_xlim(-0.7, len(groups) - 0.3)
    ax.set_xticks(x, groups["class"], rotation=35, ha="right", rotation_mode="anchor")


def mark_specialists(
    ax: Axes, rows: pd.DataFrame, x: str, size: float, what: str = "theta"
) -> None:
    """Mark classes or groups in which a model specialises with its category's marker."""
    second = rows["specialist"] == rows["model_2"]
    marked = rows.assign(category=rows["category_2"].where(second, rows["category_1"]))
    marked = marked[rows["specialist"].notna()]
    hollow = second & (rows["category_1"] == rows["category_2"])
    plots.draw_points(ax, marked, x, what, hollow=hollow, s=size, alpha=1, zorder=4)
    ax.set(xlabel="", ylabel="")


def add_key(ax: Axes, pair: pd.DataFrame) -> None:
    """Say above a panel which pair it is of, and in how many classes each model specialises.

    The second model's marker is hollow if both are of one category.
    """
    classes, first = pair[pair["what"] == "class"], pair.iloc[0]
    handles = []
    for member, side in ((1, "above 0"), (2, "below 0")):
        count = int((classes["specialist"] == first[f"model_{member}"]).sum())
        name = escape.label(first[f"name_{member}"])
        label = f"{name} ({side}): specialist in {count} of {len(classes):,} classes"
        look = LOOKS[first[f"category_{member}"]]
        hollow = member == 2 and first["category_1"] == first["category_2"]
        edge = {"markerfacecolor": "white"} if hollow else {"markeredgecolor": "white"}
        looks = {"marker": look.marker, "color": look.colour, "markersize": 5} | edge
        handles.append(plots.marker_key(label, markeredgewidth=0.8 if hollow else 0.3, **looks))
    close = {"borderaxespad": 0.1, "borderpad": 0.2, "fontsize": 6.5}
    key = ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, **close)
    # Long names may run on above the groups; the title keeps the line free.
    key.set_in_layout(False)
    ax.set_title(" ")


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(figure4, snakemake)
