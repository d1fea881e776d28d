"""Figure 5: greedy ensembles, from each base.

Accuracy on the test split against the number of members. Each added member has the marker of its
category. The protocol of the study stands out; the other one is faint. Where no model raises the
accuracy that is selected by, a hollow marker shows what the best first member would have done.
"""

import math

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.show import marks as plots
from workflow.lib.show.style import INK, LOOKS, PALE, RC, TEXT_WIDTH
from workflow.lib.study.categories import BASE, CATEGORIES

COLUMNS = 4  # panels side by side
LINES = {False: "-", True: (0, (3, 1.5))}  # by replacement
SELECTED = {"held-out": "held-out images", "paper": "test images (as in the paper)"}


@rc_context(RC)
def figure5(
    *,
    greedy: str,
    first: str,
    mean: str,
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
    mean : str
        Which mean of the members' predictions to take from them.
    protocol : str
        "held-out" or "paper": which one stands out, and has its best first members in the table.
    pdf, svg, png, tsv : str
        Figure in three formats and the table that it draws, to write. Rows whose `what` is "step"
        are those of `greedy`, rows whose `what` is "first" those of `first`.
    """
    steps = read_table(greedy).query("mean == @mean")
    starts = read_table(first).query("mean == @mean and protocol == @protocol")
    table = pd.concat([steps.assign(what="step"), starts.assign(what="first")], ignore_index=True)
    table = table[["what", *table.columns.drop("what")]]
    write_table(tsv, table)

    bases = list(pd.unique(table["base"]))
    rows = math.ceil(len(bases) / COLUMNS)
    columns = math.ceil(len(bases) / rows)
    figure = Figure(figsize=(TEXT_WIDTH, 0.85 + 1.8 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    last = table["step"].max() + 1
    gains = 100 * np.array([table["gain"].min(), table["gain"].max()])
    room = 0.1 * max(np.ptp(gains), 0.5)
    for ax, base in zip(axes.flat, bases, strict=False):
        own = table[table["base"] == base]
        draw_base(ax, own, protocol)
        # Each panel about its own base, with the same room for gains, so that these compare.
        start = 100 * own["accuracy"].iloc[0]
        ax.set(xlim=(0.7, last + 0.3), ylim=start + gains + [-room, room])
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
        Of `figure5`, of one base.
    protocol : str
        Which one stands out.
    """
    steps = table[table["what"] == "step"]
    alone = steps.iloc[0]
    ax.axhline(100 * alone["accuracy"], color=PALE, linewidth=0.6, zorder=0)
    for strong in (False, True):
        chosen = steps[(steps["protocol"] == protocol) == strong]
        # With replacement below: it often covers the other, not the other way round.
        for replacement, path in sorted(chosen.groupby("replacement"), reverse=True):
            ax.plot(
                path["step"] + 1,
                100 * path["accuracy"],
                color=INK if strong else PALE,
                linewidth=1.0 if strong else 0.8,
                linestyle=LINES[replacement],
                zorder=2 + strong,
            )
            for row in path[path["step"] > 0].to_dict("records"):
                ax.plot(row["step"] + 1, 100 * row["accuracy"], **_marker(row["category"], strong))
    for row in table[table["what"] == "first"].query("raises == False").to_dict("records"):
        x, y = row["step"] + 1, 100 * row["accuracy"]
        ax.plot([1, x], [100 * alone["accuracy"], y], color=INK, linestyle=":", linewidth=0.8)
        hollow = {"markerfacecolor": "white", "markeredgecolor": LOOKS[row["category"]].colour}
        ax.plot(x, y, **_marker(row["category"], strong=True) | hollow | {"markeredgewidth": 1.0})
    ax.plot(1, 100 * alone["accuracy"], zorder=5, **_base_marker())
    name = alone["base_name"]
    ax.set_title(name if len(name) < 30 else f"{name[:28]}…", loc="left")


def _marker(category: str, strong: bool) -> dict:
    """Give the looks of an added member, as keywords of `Axes.plot`."""
    if strong:
        return plots.faint(category) | {"alpha": 1, "markersize": 5, "zorder": 4}
    return plots.faint(category) | {"alpha": 0.4, "markersize": 3.5, "zorder": 2}


def _base_marker() -> dict:
    return {"marker": "o", "markersize": 3, "color": INK, "linestyle": "none"}


def _add_legend(figure: Figure, table: pd.DataFrame, protocol: str) -> None:
    """Explain markers above all panels, and lines below."""
    added = table[table["step"] > 0]
    shown = [name for name in [BASE, *CATEGORIES] if name in set(added["category"])]
    base = _base_marker() | {"linestyle": "-", "linewidth": 0.6, "color": PALE}
    ink = {"markerfacecolor": INK, "markeredgecolor": INK}
    handles = [Line2D([], [], label="Base alone", **base, **ink)]
    handles += [Line2D([], [], label=LOOKS[c].name, **_marker(c, strong=True)) for c in shown]
    if (added["what"] == "first").any() and (added["raises"] == False).any():  # noqa: E712
        hollow = {"marker": "o", "markerfacecolor": "white", "markersize": 5}
        label = "Best first member, not added"
        handles.append(Line2D([], [], label=label, color=INK, linestyle=":", **hollow))
    lines = [
        Line2D(
            [],
            [],
            label=f"Selected on {SELECTED[own]}, {'with' if again else 'without'} replacement",
            color=INK if own == protocol else PALE,
            linestyle=LINES[again],
        )
        for own in sorted(SELECTED, key=lambda name: name != protocol)
        for again in (False, True)
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    figure.legend(handles=lines, loc="outside lower center", ncols=2, handlelength=2.2)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(figure5, snakemake)
