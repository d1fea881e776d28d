"""Draw how the headline numbers move with the choices that the paper leaves open."""

import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.show import marks as plots
from workflow.lib.show.style import BY_CATEGORY, INK, LOOKS, PALE, RC, TEXT_WIDTH
from workflow.lib.study.categories import CATEGORIES

PAIRS = {
    "slope": "Slope of improvement\nby inconsistency",
    "correlation": "Correlation of improvement\nand inconsistency",
    "improvement": "Mean improvement\n(percentage points)",
    "conversion_rate": "Mean conversion\nrate (%)",
}
GREEDY = {
    "greedy_gain": "Mean gain of greedy ensembles over\ntheir bases (percentage points)",
}
PLAIN = ("slope", "correlation")  # all others are fractions
TEMPERATURES = {"none": "uncalibrated", "calibration": "held-out T", "test": "T of test images"}


@rc_context(RC)
def sensitivity(*, variants: str, pdf: str, svg: str, png: str, tsv: str) -> None:
    """Draw every number under every variant, the study's own choice filled.

    Parameters
    ----------
    variants : str
        Table of numbers under all variants.
    pdf, svg, png, tsv : str
        Figure in three formats and the table that it draws, to write.
    """
    table = read_table(variants)
    write_table(tsv, table)

    rows = table.assign(variant=[name_variant(row) for row in table.to_dict("records")])
    figure = Figure(figsize=(TEXT_WIDTH, 4.2), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[1, 1.15])
    axes = above.subplots(1, len(PAIRS), sharey=True)
    greedy, compressed = below.subplots(1, 2, width_ratios=[1, 1.25])
    of_pairs = list(rows.loc[rows["number"].isin(PAIRS), "variant"].unique())  # on one axis
    for ax, (number, label) in zip([*axes, greedy], (PAIRS | GREEDY).items(), strict=True):
        mine = rows[rows["number"] == number]
        order = of_pairs if number in PAIRS else None
        draw_values(ax, mine if number in PLAIN else plots.in_percent(mine, "value"), order)
        ax.set_xlabel(label)
    needed = rows[rows["number"] == "dimensions"]
    draw_values(compressed, needed, by_category=True)
    if len(needed):
        compressed.set_xlabel("Dimensions to reach the target,\nby category")
        handles = plots.category_keys(needed["category"], alpha=1)
        compressed.legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=6)
    look = {"marker": "o", "markersize": 4, "color": INK, "markeredgewidth": 0.8}
    filled = plots.marker_key("the study's choice", **look)
    plots.add_legend(figure, [filled, plots.marker_key("another", markerfacecolor="white", **look)])
    plots.save(figure, pdf, svg, png)


def name_variant(row: dict) -> str:
    """Name the choices of a row: those that were made for its number."""
    if row["number"] in PAIRS:
        return f"{row['combination']}, {TEMPERATURES[row['temperature']]}"
    if row["number"] in GREEDY:
        again = "with" if str(row["replacement"]) == "True" else "without"
        return f"{row['combination']}, {row['protocol']}, {again} repeats"
    return f"{row['direction']} {row['statistic']}"


def draw_values(
    ax: Axes, rows: pd.DataFrame, order: list[str] | None = None, *, by_category: bool = False
) -> None:
    """Draw the values of each variant on a row, with their intervals.

    Parameters
    ----------
    ax : Axes
    rows : DataFrame
        `variant`, `value`, `value_low`, `value_high`, `chosen`, `category`.
    order : list of str, optional
        Variants from top to bottom; by default, those of `rows`.
    by_category : bool
        Draw a marker for each category, one above the other. Their intervals, of few models each,
        are left to the table.
    """
    if rows.empty:
        ax.set(xticks=[], yticks=[])
        ax.text(0.5, 0.5, "not in this study", transform=ax.transAxes, ha="center", va="center")
        return
    variants = order or list(rows["variant"].unique())
    if by_category:
        there = [name for name in CATEGORIES if name in set(rows["category"])]
        looks = {"hue": "category", "hue_order": there, "dodge": 0.13 * (len(there) - 1)}
        looks |= {"palette": BY_CATEGORY["palette"], "markers": [LOOKS[c].marker for c in there]}
    else:
        looks = {"color": INK, "markers": "o"}
    plain = {"errorbar": None, "linestyle": "none", "legend": False}
    looks |= {"markersize": 4, "markeredgewidth": 0.8}
    for chosen, inside in ((True, {}), (False, {"markerfacecolor": "white"})):
        own, looks = rows[rows["chosen"] == chosen], looks | inside
        sns.pointplot(own, x="value", y="variant", order=variants, ax=ax, **plain, **looks)
    if not by_category:
        ends = rows["value_low"], rows["value_high"]
        ax.hlines(rows["variant"], *ends, color=PALE, linewidth=1.2, zorder=1)
    ax.set_ylim(len(variants) - 0.4, -0.6)
    ax.set_ylabel("")
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=4)
    ax.margins(x=0.15 if by_category else 0.05)
    ax.grid(axis="x")


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(sensitivity, snakemake)
