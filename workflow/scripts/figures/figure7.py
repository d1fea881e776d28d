"""Figure 7: a further task, which models and which pairs of models do well on it.

Mean average precision (11-point, as of Pascal VOC 2007) of linear probes on frozen features:
against a model's accuracy on the study's own classes, against how inconsistent its errors there are
with the base's, and of concatenated pairs against their own inconsistency. Bars are 95 % intervals
over test images; lines are fitted by least squares, r is Pearson's correlation.
"""

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from workflow.lib.measures.statistics import fit_line
from workflow.lib.outputs.tables import read_table
from workflow.lib.show import marks as plots
from workflow.lib.show.style import INK, LOOKS, RC, TEXT_WIDTH
from workflow.lib.study.categories import BASE, CATEGORIES

Y = "average_precision"


@rc_context(RC)
def figure7(
    *,
    table: str,
    pdf: str,
    svg: str,
    png: str,
) -> None:
    """Draw mean average precision of models and pairs.

    Parameters
    ----------
    table : str
        What to draw (see `transfer`).
    pdf, svg, png : str
        Figure in three formats, to write.
    """
    rows = read_table(table)
    figure, axes = plots.subplots(TEXT_WIDTH, 2.6, columns=3)
    single, pair = (rows[rows["what"] == what] for what in ("model", "pair"))
    panels = (
        (single, "accuracy", "Accuracy on the study's classes (%)"),
        (single[single["category"] != BASE], "error_inconsistency",
         "Error inconsistency with the base (%)"),
        (pair, "error_inconsistency", "Error inconsistency of the pair (%)"),
    )  # fmt: skip
    for ax, (points, x, label) in zip(axes, panels, strict=True):
        r = draw_points(ax, points, x)
        ax.set_xlabel(label)
        if pd.notna(r):
            ax.set_title(f"r = {r:.2f}".replace("-", "−"), loc="left")
    axes[0].set_ylabel("mAP of the model (%)")
    axes[1].set_ylabel("mAP of the model (%)")
    axes[2].set_ylabel("mAP of both together (%)")
    there = [name for name in (BASE, *CATEGORIES) if name in set(rows["category"])]
    handles = [Line2D([], [], label=LOOKS[name].name, **plots.faint(name)) for name in there]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    for ax, (points, x, _) in zip(axes, panels, strict=True):
        plots.label_points(ax, points.nlargest(1, Y), x, Y)
    failed = int((~rows["converged"]).sum())
    if failed:
        figure.text(0, 0, f"{failed} of {len(rows)} probes did not converge", va="top", color=INK)
    plots.save(figure, pdf, svg, png)


def draw_points(ax: Axes, points: pd.DataFrame, x: str) -> float:
    """Draw models or pairs by category with their intervals, and a line; gives its correlation.

    Parameters
    ----------
    ax : Axes
    points : DataFrame
        Rows of `summaries.transferred`.
    x : str
        Column of the horizontal axis.
    """
    fit = fit_line(points[x], points[Y])
    ends = points[x].agg(["min", "max"])
    if pd.notna(fit[2]):
        ax.plot(100 * ends, 100 * (fit[1] + fit[0] * ends), color=INK, linewidth=0.8, zorder=1)
    for category, group in points.groupby("category", sort=False):
        ax.errorbar(
            100 * group[x],
            100 * group[Y],
            yerr=100 * (group[[f"{Y}_low", f"{Y}_high"]].sub(group[Y], axis=0).abs().to_numpy().T),
            elinewidth=0.4,
            ecolor=(*_rgb(LOOKS[category].colour), 0.35),
            **plots.faint(category),
        )
    ax.grid(color="#DDDDDD", linewidth=0.4)
    return fit[2]


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(figure7, snakemake)
