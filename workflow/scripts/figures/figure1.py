"""Figure 1: models whose training differs more from the base's make more different errors.

Each main model is compared with the base by error inconsistency, the share of examples on which
exactly one of the two is right, averaged over bases where there are several. A category's mean has
a 95 % interval over its models and the bases; one model alone has none. Ticks are its means with
each base.
"""

from matplotlib import rc_context

from workflow.lib.outputs.tables import read_table
from workflow.lib.show import marks as plots
from workflow.lib.show.style import COLUMN_WIDTH, RC

X = "error_inconsistency"


@rc_context(RC)
def figure1(*, table: str, pdf: str, svg: str, png: str) -> None:
    """Draw error inconsistency with the base by category.

    Parameters
    ----------
    table : str
        What to draw (see `comparison`).
    pdf, svg, png : str
        Figure in three formats, to write.
    """
    rows = plots.in_percent(read_table(table), X)
    figure, (ax,) = plots.subplots(COLUMN_WIDTH, plots.strip_height(rows))
    plots.draw_strip(ax, rows, X)
    ax.set_xlabel("Error inconsistency with the base (%)")
    plots.save(figure, pdf, svg, png)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(figure1, snakemake)
