"""Figure 8: figure 1 beside the shares of examples that both models get right, and both wrong.

With the base and a model of equal strength, each example that exactly one gets right is one less
that both get right or both get wrong. Means and intervals are those of figure 1.
"""

from matplotlib import rc_context

from workflow.lib.outputs.tables import read_table
from workflow.lib.run.files import replacing
from workflow.lib.show import marks as plots
from workflow.lib.show.style import RC, TEXT_WIDTH

QUANTITIES = {
    "error_inconsistency": "Exactly one right (%)",
    "both_right": "Both right (%)",
    "both_wrong": "Both wrong (%)",
}


@rc_context(RC)
def figure8(*, pairs: str, mean: str, pdf: str, svg: str, png: str, tsv: str) -> None:
    """Draw by category how often exactly one of model and base, both, and neither are right.

    Parameters
    ----------
    pairs : str
        Table of pairs.
    mean : str
        Which mean of two models' predictions to take from it.
    pdf, svg, png, tsv : str
        Figure in three formats and the table that it draws, to write.
    """
    table = plots.models_and_means(read_table(pairs), mean, list(QUANTITIES))
    with replacing(tsv) as part:
        table.to_csv(part, sep="\t", index=False)

    figure, axes = plots.subplots(TEXT_WIDTH, 2.3, columns=len(QUANTITIES), sharey=True)
    for ax, (column, label) in zip(axes, QUANTITIES.items(), strict=True):
        plots.draw_strip(ax, table, column)
        ax.set_xlabel(label)
    plots.save(figure, pdf, svg, png)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(figure8, snakemake)
