"""What a model adds to the base against how inconsistent their errors are."""

from matplotlib import rc_context

from workflow.lib.outputs.tables import read_table
from workflow.lib.show import marks as plots
from workflow.lib.show.labels import label_points
from workflow.lib.show.style import COLUMN_WIDTH, INK, PALE, RC

X, Y = "error_inconsistency", "added"


@rc_context(RC)
def nats(*, table: str, label: list[list[str]], pdf: str, svg: str, png: str) -> None:
    """Draw added nats against error inconsistency.

    Parameters
    ----------
    table : str
        What to draw (see the rule `added`).
    label : list of list of str
        Pairs of models to name, if one of them is the base.
    pdf, svg, png : str
        Figure in three formats, to write.
    """
    rows = plots.in_percent(read_table(table), X)
    rows = rows.dropna(subset=[X, Y])
    figure, (ax,) = plots.subplots(1.35 * COLUMN_WIDTH, 2.9)
    ax.axhline(0, color=PALE, linewidth=0.8, zorder=0)
    ax.vlines(rows[X], rows[f"{Y}_low"], rows[f"{Y}_high"], color=PALE, linewidth=0.7, zorder=1)
    hollow = rows["p"] >= 0.05
    plots.draw_points(ax, rows, X, Y, hollow=hollow)
    ax.set(xlabel="Error inconsistency with the base (%)", ylabel="Added nats (thousandths)")
    keys = plots.category_keys(rows["category"])
    if hollow.any():
        look = {"marker": "o", "markersize": 4, "color": INK, "markerfacecolor": "white"}
        keys.append(plots.marker_key("could be nothing (p ≥ 0.05)", **look))
    plots.add_legend(figure, keys)
    named = {key for pair in label for key in pair}
    label_points(ax, rows[rows["model"].isin(named)], X, Y)
    plots.save(figure, pdf, svg, png)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(nats, snakemake)
