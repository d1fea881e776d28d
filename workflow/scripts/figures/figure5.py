"""Figure 5: greedy ensembles, from each base.

Accuracy on the test split against the number of members. Each added member has the marker of its
category. The protocol of the study stands out; the other one is faint. Where no model raises the
accuracy that is selected by, a hollow marker shows what the best first member would have done.
"""

import math

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.show import marks as plots
from workflow.lib.show.style import INK, PALE, RC, TEXT_WIDTH

COLUMNS = 4  # panels side by side
LINES = {False: "", True: (3, 1.5)}  # dashes by replacement
SELECTED = {"held-out": "held-out images", "paper": "test images (as in the paper)"}
ALONE = {"marker": "o", "markersize": 3, "color": INK, "linestyle": "none"}


@rc_context(RC)
def figure5(
    *,
    greedy: str,
    first: str,
    combination: str,
    protocol: str,
    pdf: str,
    svg: str,
    png: str,
    tsv: str,
) -> None:
    """Draw greedy ensembles, a panel a base.

    Parameters
    ----------
    greedy : str
        Table of greedy ensembles.
    first : str
        Table of the best first members.
    combination : str
        Which combination of the members to take from them.
    protocol : str
        "held-out" or "paper": which one stands out, and has its best first members in the table.
    pdf, svg, png, tsv : str
        Figure in three formats and the table that it draws, to write. Rows whose `what` is "step"
        are those of `greedy`, rows whose `what` is "first" those of `first`.
    """
    steps = read_table(greedy).query("combination == @combination")
    starts = read_table(first).query("combination == @combination and protocol == @protocol")
    table = pd.concat([steps.assign(what="step"), starts.assign(what="first")], ignore_index=True)
    table = table[["what", *table.columns.drop("what")]]
    write_table(tsv, table)

    bases = list(pd.unique(table["base"]))
    rows = math.ceil(len(bases) / COLUMNS)
    columns = math.ceil(len(bases) / rows)
    figure = Figure(figsize=(TEXT_WIDTH, 0.85 + 1.8 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    last = table["step"].max() + 1
    table = plots.in_percent(table, "accuracy", "gain").assign(members=table["step"] + 1)
    gains = np.array([table["gain"].min(), table["gain"].max()])
    room = 0.1 * max(np.ptp(gains), 0.5)
    for ax, base in zip(axes.flat, bases, strict=False):
        own = table[table["base"] == base]
        draw_base(ax, own, protocol)
        # Each panel about its own base, with the same room for gains, so that these compare.
        start = own["accuracy"].iloc[0]
        ax.set(xlim=(0.7, last + 0.3), ylim=start + gains + [-room, room], xlabel="", ylabel="")
        ax.set_xticks(range(1, last + 1, math.ceil(last / 10)))
        ax.locator_params(axis="y", nbins=6, steps=[1, 2, 5, 10])
    for ax in axes.flat[len(bases) :]:
        ax.set_axis_off()
    for ax in axes[:, 0]:
        ax.set_ylabel("Accuracy on test images (%)")
    for ax in axes[-1]:
        ax.set_xlabel("Number of members")
    _add_legend(figure, table, protocol)
    plots.save(figure, pdf, svg, png)


def draw_base(ax: Axes, table: pd.DataFrame, protocol: str) -> None:
    """Draw the ensembles of one base: both protocols, with and without replacement.

    Parameters
    ----------
    ax : Axes
    table : DataFrame
        Of `figure5`, of one base, with `members`, and in per cent.
    protocol : str
        Which one stands out.
    """
    steps = table[table["what"] == "step"]
    start = steps["accuracy"].iloc[0]
    ax.axhline(start, color=PALE, linewidth=0.6, zorder=0)
    # With replacement below: it often covers the other, not the other way round.
    order = sorted(SELECTED, key=lambda name: name == protocol)
    look = {"palette": [PALE, INK], "style_order": [True, False], "dashes": LINES}
    look |= {"estimator": None, "legend": False, "ax": ax}
    by = {"hue": "protocol", "hue_order": order, "style": "replacement"}
    sns.lineplot(steps, x="members", y="accuracy", **by, **look)
    added, studied = steps["step"] > 0, steps["protocol"] == protocol
    xy = "members", "accuracy"
    plots.draw_points(ax, steps[added & ~studied], *xy, s=12, alpha=0.4, zorder=2.1)
    plots.draw_points(ax, steps[added & studied], *xy, s=25, alpha=1, zorder=4)
    first = _not_added(table)
    for row in first.to_dict("records"):
        ax.plot([1, row["members"]], [start, row["accuracy"]], color=INK, linestyle=":")
    hollow = pd.Series(True, first.index)
    plots.draw_points(ax, first, *xy, hollow=hollow, s=25, alpha=1, zorder=4)
    ax.plot(1, start, zorder=5, **ALONE)
    name = steps["base_name"].iloc[0]
    ax.set_title(name if len(name) < 30 else f"{name[:28]}…", loc="left")


def _not_added(table: pd.DataFrame) -> pd.DataFrame:
    """Choose the best first members that do not raise the accuracy that is selected by."""
    return table[(table["what"] == "first") & table["raises"].isin([False])]


def _add_legend(figure: Figure, table: pd.DataFrame, protocol: str) -> None:
    """Explain markers above all panels, and lines below."""
    base = {"linestyle": "-", "markerfacecolor": INK, "markeredgecolor": INK, "color": PALE}
    handles = [plots.marker_key("Base alone", **ALONE | base)]
    added = table.loc[table["step"] > 0, "category"]
    handles += plots.category_keys(added, markersize=5, alpha=1)
    if len(_not_added(table)):
        hollow = {"marker": "o", "markerfacecolor": "white", "markersize": 5, "linestyle": ":"}
        handles.append(plots.marker_key("Best first member, not added", color=INK, **hollow))
    plots.add_legend(figure, handles)
    steps = table[table["what"] == "step"]
    drawn = set(zip(steps["protocol"], steps["replacement"], strict=True))
    lines = [
        plots.marker_key(
            f"Selected on {SELECTED[own]}, {'with' if again else 'without'} replacement",
            color=INK if own == protocol else PALE,
            linestyle=(0, LINES[again]) if again else "-",
        )
        for own in sorted(SELECTED, key=lambda name: name != protocol)
        for again in (False, True)
        if (own, again) in drawn
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=2, handlelength=2.2)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(figure5, snakemake)
