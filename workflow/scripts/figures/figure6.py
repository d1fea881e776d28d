"""Figure 6: features of models that were trained differently, combined and compressed.

Linear probes on a share of the base's features, filled up with those of another model; and on the
first dimensions of both, ranked by how they vary together. Of a model with several draws the mean
is drawn. Intervals over the models of a category (95 %, Student's t-distribution) are in its table.
"""

import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, ScalarFormatter

from workflow.lib.outputs.tables import read_table
from workflow.lib.show import marks as plots
from workflow.lib.show.style import BY_CATEGORY, INK, RC, TEXT_WIDTH


@rc_context(RC)
def figure6(
    *,
    table: str,
    statistic: str,
    direction: str,
    pdf: str,
    svg: str,
    png: str,
) -> None:
    """Draw accuracy by share of the base's features, by dimensions, and the dimensions needed.

    Parameters
    ----------
    table : str
        What to draw (see `combined`).
    statistic, direction : str
        Of the compression that is drawn.
    pdf, svg, png : str
        Figure in three formats, to write.
    """
    rows = plots.in_percent(read_table(table), "accuracy", "target")
    figure, (combined, compressed, needed) = plots.subplots(
        TEXT_WIDTH, 2.6, columns=3, width_ratios=[1.2, 1.2, 1]
    )
    draw_curves(combined, rows[rows["panel"] == "combined"], "share")
    combined.set(xlabel="Share of the base's features kept (%)", ylabel="Accuracy of the probe (%)")
    combined.set_xticks(sorted(rows["share"].dropna().unique()))
    draw_curves(compressed, rows[rows["panel"] == "compressed"], "dimensions")
    goal = float(rows.loc[rows["panel"] == "needed", "target"].iloc[0])
    compressed.axhline(goal, color=INK, linewidth=0.6, linestyle=":")
    compressed.annotate(
        f"target {goal:.1f} %",
        (0.02, goal),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        fontsize=6,
    )
    compressed.set(xlabel=f"Dimensions kept ({direction} {statistic})", ylabel="")
    compressed.set_xscale("log", base=2)
    compressed.xaxis.set_major_formatter(ScalarFormatter())
    compressed.xaxis.set_minor_locator(NullLocator())
    for ax, panel in ((combined, "combined"), (compressed, "compressed")):
        values = rows.loc[(rows["panel"] == panel) & (rows["what"] == "mean"), "accuracy"]
        ax.set_ylim(*limits(values, goal, shown=panel == "compressed"))
    plots.draw_strip(needed, rows[rows["panel"] == "needed"], "dimensions")
    needed.set_xlabel("Dimensions to reach the target")
    plots.add_legend(figure, [*plots.category_keys(rows["category"]), *plots.mean_keys(rows)])
    probes = rows[(rows["what"] == "model") & (rows["panel"] != "needed")]
    failed = int((~probes["converged"]).sum())
    if failed:
        combined.set_title(f"{failed} of {len(probes)} probes did not converge", loc="left")
    plots.save(figure, pdf, svg, png)


def limits(values: pd.Series, goal: float, *, shown: bool) -> tuple[float, float]:
    """Choose the ends of an axis of accuracies in per cent, with the target in view if `shown`."""
    low, high = values.min(), max(values.max(), goal) if shown else values.max()
    # Far below the target, nothing is to be told apart, unless nothing else is there.
    if values.max() > goal - 15:
        low = max(low, goal - 15)
    room = high - low or 1.0
    return low - 0.05 * room, high + 0.12 * room


def draw_curves(ax: Axes, table: pd.DataFrame, x: str) -> None:
    """Draw a faint line a model, and a category's mean with its intervals.

    Parameters
    ----------
    ax : Axes
    table : DataFrame
        Rows of `summaries.combined`.
    x : str
        Column of the horizontal axis.
    """
    palette = BY_CATEGORY["palette"]
    each, strong = {"alpha": 0.35, "linewidth": 0.6}, {"linewidth": 1.2, "markersize": 3.5}
    common = {"x": x, "y": "accuracy", "estimator": None, "legend": False, "ax": ax}
    models, means = (table[table["what"] == what] for what in ("model", "mean"))
    sns.lineplot(models, units="model", hue="category", palette=palette, **common, **each)
    sns.lineplot(means, dashes=False, **BY_CATEGORY, **common, **strong, markeredgewidth=0.3)
    ax.grid(axis="y")


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(figure6, snakemake)
