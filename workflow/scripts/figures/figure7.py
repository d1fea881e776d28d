"""Figure 7: a further task, which models and which pairs of models do well on it.

Mean average precision (11-point, as of Pascal VOC 2007) of linear probes on frozen features:
against a model's accuracy on the study's own classes, against how inconsistent its errors there are
with the base's, and of concatenated pairs against their own inconsistency. Bars are 95 % intervals
over test images; lines are fitted by least squares, r is Pearson's correlation.
"""

import pandas as pd
from matplotlib import rc_context

from workflow.lib.measures.statistics import fit_line
from workflow.lib.outputs.tables import read_table
from workflow.lib.show import marks as plots
from workflow.lib.show.labels import label_points
from workflow.lib.show.style import INK, LOOKS, RC, TEXT_WIDTH
from workflow.lib.study.categories import BASE

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
    rows = plots.in_percent(read_table(table), Y, "accuracy", "error_inconsistency")
    figure, axes = plots.subplots(TEXT_WIDTH, 2.6, columns=3)
    single, pair = (rows[rows["what"] == what] for what in ("model", "pair"))
    others = single[single["category"] != BASE]
    panels = (
        (single, "accuracy", "Accuracy on the study's classes (%)"),
        (others, "error_inconsistency", "Error inconsistency with the base (%)"),
        (pair, "error_inconsistency", "Error inconsistency of the pair (%)"),
    )
    for ax, (points, x, label) in zip(axes, panels, strict=True):
        bars = {"alpha": 0.35, "linewidth": 0.4}
        colours = [LOOKS[category].colour for category in points["category"]]
        ax.vlines(points[x], points[f"{Y}_low"], points[f"{Y}_high"], colors=colours, **bars)
        plots.draw_points(ax, points, x, Y, line=True)
        ax.grid()
        ax.set_xlabel(label)
        r = fit_line(points[x], points[Y])[2]
        if pd.notna(r):
            ax.set_title(f"r = {r:.2f}".replace("-", "−"), loc="left")
    axes[0].set_ylabel("mAP of the model (%)")
    axes[1].set_ylabel("mAP of the model (%)")
    axes[2].set_ylabel("mAP of both together (%)")
    plots.add_legend(figure, plots.category_keys(rows["category"]))
    for ax, (points, x, _) in zip(axes, panels, strict=True):
        label_points(ax, points.nlargest(1, Y), x, Y)
    failed = int((~rows["converged"]).sum())
    if failed:
        figure.text(0, 0, f"{failed} of {len(rows)} probes did not converge", va="top", color=INK)
    plots.save(figure, pdf, svg, png)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(figure7, snakemake)
