"""Figure 8: figure 1 beside the shares of examples that both models get right, and both wrong.

With the base and a model of equal strength, each example that exactly one gets right is one less
that both get right or both get wrong. Means and intervals are those of figure 1.
"""

from matplotlib import rc_context

from workflow.lib.outputs.tables import read_table
from workflow.lib.show import marks as plots
from workflow.lib.show.style import RC, TEXT_WIDTH

QUANTITIES = {
    "error_inconsistency": "Exactly one right (%)",
    "both_right": "Both right (%)",
    "both_wrong": "Both wrong (%)",
}


@rc_context(RC)
def figure8(*, table: str, pdf: str, svg: str, png: str) -> None:
    """Draw by category how often exactly one of model and base, both, and neither are right.

    Parameters
    ----------
    table : str
        What to draw (see `comparison`).
    pdf, svg, png : str
        Figure in three formats, to write.
    """
    rows = plots.in_percent(read_table(table), *QUANTITIES)
    height = plots.strip_height(rows)
    figure, axes = plots.subplots(TEXT_WIDTH, height, columns=len(QUANTITIES), sharey=True)
    for ax, (column, label) in zip(axes, QUANTITIES.items(), strict=True):
        plots.draw_strip(ax, rows, column)
        ax.set_xlabel(label)
    plots.save(figure, pdf, svg, png)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(figure8, snakemake)
