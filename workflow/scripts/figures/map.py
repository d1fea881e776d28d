"""The map of models: the nearer two of them, the more often they are right on the same images.

Metric multidimensional scaling of the error inconsistency of all pairs. Models of the main analyses
and those farthest from the base are named, and the others pale; of few models all are named.
"""

import numpy as np
from matplotlib import rc_context

from workflow.lib.outputs.tables import read_table
from workflow.lib.show import marks as plots
from workflow.lib.show.labels import label_points
from workflow.lib.show.style import RC, TEXT_WIDTH
from workflow.lib.study.categories import BASE

AXES = ("x", "y")
ROOM = 0.05  # of the map's width, around it
FEW = 32  # models that have room for all names
FAR = 5  # models that are named where there are more, beside the main ones


@rc_context(RC)
def model_map(*, table: str, pdf: str, svg: str, png: str) -> None:
    """Draw the map.

    Parameters
    ----------
    table : str
        What to draw (see `distances`).
    pdf, svg, png : str
        Figure in three formats, to write.
    """
    rows = read_table(table)
    rows = plots.in_percent(rows, *AXES)
    main = rows["group"].isin([BASE, "main"])
    spans = np.ptp(rows[[*AXES]].to_numpy(), axis=0)
    few = len(rows) <= FEW
    shape = float(np.clip(spans[1] / (spans[0] or 1), 0.4, 0.6 if few else 0.9))
    height = TEXT_WIDTH * shape + 0.3
    figure, (ax,) = plots.subplots(TEXT_WIDTH, height)
    plots.draw_points(ax, rows[~main], *AXES, alpha=0.3, s=14)
    plots.draw_points(ax, rows[main], *AXES, alpha=0.9, s=22)
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(ROOM)
    ax.set(xlabel="Distance from the base (% of images)", ylabel="")
    stress = f"stress {rows['stress'].iloc[0]:.2f}"
    note = {"ha": "right", "va": "bottom", "fontsize": RC["xtick.labelsize"]}
    ax.text(0.99, 0.01, stress, transform=ax.transAxes, **note)
    plots.add_legend(figure, plots.category_keys(rows["category"]))
    distance = np.hypot(rows["x"], rows["y"])
    named = main | few | (distance.rank(ascending=False) <= FAR)
    label_points(ax, rows[named], *AXES, size=6 if few else 5, width=30)
    plots.save(figure, pdf, svg, png)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(model_map, snakemake)
