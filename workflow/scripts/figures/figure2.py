"""Figure 2: the more a model's errors differ from the base's, the more their ensemble gains.

Error inconsistency of each main model with the base, against three measures of their ensemble: its
improvement over the mean of their accuracies, its accuracy, and its conversion rate (the share that
it gets right of the examples that exactly one of the two gets right). Lines are fitted to models by
least squares, r is Pearson's correlation, and the slope is in percentage points of improvement for
one point of inconsistency. All is averaged over bases where there are several; dots are means of a
category with each. A category's mean has 95 % intervals over its models and the bases, drawn for
three models or more.
"""

import pandas as pd
from matplotlib import rc_context

from workflow.lib.outputs.tables import read_table
from workflow.lib.show import marks as plots
from workflow.lib.show.labels import label_points
from workflow.lib.show.style import RC, TEXT_WIDTH

X = "error_inconsistency"
QUANTITIES = {
    "improvement": "Improvement (percentage points)",
    "ensemble_accuracy": "Ensemble accuracy (%)",
    "conversion_rate": "Conversion rate (%)",
}


@rc_context(RC)
def figure2(
    *, table: str, combination: str, label: list[list[str]], pdf: str, svg: str, png: str
) -> None:
    """Draw what an ensemble with the base gains against error inconsistency.

    Parameters
    ----------
    table : str
        What to draw (see `comparison`).
    combination : str
        How two models are combined in it. With "unstated", a publication's, conversion
        rates are upper bounds.
    label : list of list of str
        Pairs of models to name in the figure, if it shows them.
    pdf, svg, png : str
        Figure in three formats, to write.
    """
    rows = plots.in_percent(read_table(table), X, *QUANTITIES)
    figure, axes = plots.subplots(TEXT_WIDTH, 2.5, columns=len(QUANTITIES))
    fits = rows[rows["what"] == "fit"].set_index("quantity")
    for ax, (column, title) in zip(axes, QUANTITIES.items(), strict=True):
        plots.draw_scatter(ax, rows, X, column)
        ax.set(xlabel="Error inconsistency (%)", ylabel=title)
        if pd.notna(fits.at[column, "r"]):
            slope = f", slope {fits.at[column, 'slope']:.2f}" if column == "improvement" else ""
            text = f"r = {fits.at[column, 'r']:.3f}{slope}"
            ax.set_title(text.replace("-", "−"), loc="left")
    if combination == "unstated":
        axes[-1].set_ylabel("Conversion rate, at most (%)")
    plots.add_legend(figure, [*plots.category_keys(rows["category"]), *plots.mean_keys(rows)])
    wanted = [set(pair) for pair in label]
    named = rows[[set(pair) in wanted for pair in zip(rows["base"], rows["model"], strict=True)]]
    for ax, column in zip(axes, QUANTITIES, strict=True):
        label_points(ax, named, X, column)
    plots.save(figure, pdf, svg, png)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(figure2, snakemake)
