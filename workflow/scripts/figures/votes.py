"""Votes of three models: what they gain, by how inconsistent the errors of the three are.

Each dot is one of all threes of main models, the base among them. The most frequent answer counts;
of different ones the most confident model's or, unless all say how sure they are, any at random.
"""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes

from workflow.lib.measures.statistics import fit_line
from workflow.lib.outputs.tables import read_table
from workflow.lib.show import marks as plots
from workflow.lib.show.style import BY_CATEGORY, INK, RC, TEXT_WIDTH

X = "error_inconsistency"
QUANTITIES = {
    "improvement": "Vote over mean of members (points)",
    "gain": "Vote over best member (points)",
    "oracle_accuracy": "At least one right (%)",
}


@rc_context(RC)
def votes(*, table: str, pdf: str, svg: str, png: str) -> None:
    """Draw each three models' vote, a panel a quantity.

    Parameters
    ----------
    table : str
        Table of votes.
    pdf, svg, png : str
        Figure in three formats, to write.
    """
    rows = plots.in_percent(read_table(table), X, *QUANTITIES)
    if rows.empty:
        plots.save_blank("fewer than three models in the band", pdf, svg, png)
        return
    figure, axes = plots.subplots(TEXT_WIDTH, 2.5, columns=len(QUANTITIES))
    for ax, (column, label) in zip(axes, QUANTITIES.items(), strict=True):
        draw_votes(ax, rows, column)
        ax.set(xlabel="Mean error inconsistency (%)", ylabel=label)
    keys = plots.category_keys(rows["category"])
    plots.add_legend(figure, keys)
    plots.save(figure, pdf, svg, png)


def draw_votes(ax: Axes, rows: pd.DataFrame, column: str) -> None:
    """Draw a quantity against inconsistency, with a line and its correlation.

    Parameters
    ----------
    ax : Axes
    rows : DataFrame
        Of votes, in per cent.
    column : str
    """
    size = float(np.clip(2000 / len(rows), 2, 15))
    looks = {"alpha": 0.5, "linewidth": 0, "s": size, "rasterized": True, "legend": False}
    sns.scatterplot(rows, x=X, y=column, ax=ax, **BY_CATEGORY, **looks)
    _, _, r = fit_line(rows[X], rows[column])
    if np.isnan(r):
        return
    sns.regplot(rows, x=X, y=column, scatter=False, ci=None, color=INK, line_kws=plots.LINE, ax=ax)
    text = f"r = {r:.2f}".replace("-", "−")
    ax.text(0.04, 0.97, text, transform=ax.transAxes, va="top", fontsize=RC["xtick.labelsize"])


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(votes, snakemake)
