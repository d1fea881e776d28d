"""Figure 6: features of models that were trained differently, combined and compressed.

Linear probes on a share of the base's features, filled up with those of another model; and on the
first dimensions of both, ranked by how they vary together. Of a model with several draws the mean
is drawn. Intervals over the models of a category (95 %, Student's t-distribution) are in its table.
"""

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, ScalarFormatter

from workflow.lib.measures.statistics import mean_interval
from workflow.lib.outputs.tables import read_table
from workflow.lib.probes.dimensions import dimensions_needed
from workflow.lib.run.files import replacing
from workflow.lib.show import marks as plots
from workflow.lib.show.style import INK, LOOKS, RC, TEXT_WIDTH
from workflow.lib.study.categories import CATEGORIES

ALL = 100  # per cent of the base's features


@rc_context(RC)
def figure6(
    *,
    models: str,
    features: list[str],
    statistic: str,
    direction: str,
    target: float,
    pdf: str,
    svg: str,
    png: str,
    tsv: str,
) -> None:
    """Draw accuracy by share of the base's features, by dimensions, and the dimensions needed.

    Parameters
    ----------
    models : str
        Table of models.
    features : list of str
        Tables of probes, one a model.
    statistic, direction : str
        Of the compression that is drawn.
    target : float
        Accuracy to reach by compression, as a share of that on all of the base's features, where
        these were evaluated.
    pdf, svg, png, tsv : str
        Figure in three formats and the table that it draws, to write.
    """
    probes = pd.concat([read_table(file) for file in features], ignore_index=True)
    table = summarise(probes, read_table(models), statistic, direction, target)
    with replacing(tsv) as part:
        table.to_csv(part, sep="\t", index=False)

    figure, (combined, compressed, needed) = plots.subplots(
        TEXT_WIDTH, 2.6, columns=3, width_ratios=[1.2, 1.2, 1]
    )
    draw_curves(combined, table[table["panel"] == "combined"], "share")
    combined.set(xlabel="Share of the base's features kept (%)", ylabel="Accuracy of the probe (%)")
    combined.set_xticks(sorted(table["share"].dropna().unique()))
    draw_curves(compressed, table[table["panel"] == "compressed"], "dimensions")
    goal = float(table.loc[table["panel"] == "needed", "target"].iloc[0])
    compressed.axhline(100 * goal, color=INK, linewidth=0.6, linestyle=":")
    compressed.annotate(
        f"target {100 * goal:.1f} %",
        (0.02, 100 * goal),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        fontsize=6,
    )
    compressed.set(xlabel=f"Dimensions kept ({direction} {statistic})")
    compressed.set_xscale("log", base=2)
    compressed.xaxis.set_major_formatter(ScalarFormatter())
    compressed.xaxis.set_minor_locator(NullLocator())
    for ax, panel in ((combined, "combined"), (compressed, "compressed")):
        values = 100 * table.loc[(table["panel"] == panel) & (table["what"] == "mean"), "accuracy"]
        ax.set_ylim(*limits(values, 100 * goal, shown=panel == "compressed"))
    plots.draw_strip(needed, table[table["panel"] == "needed"], "dimensions", scale=1)
    needed.set_xlabel("Dimensions to reach the target")
    plots.add_legend(figure, table[table["panel"] == "needed"])
    failed = int((~probes["converged"]).sum())
    if failed:
        combined.set_title(f"{failed} of {len(probes)} probes did not converge", loc="left")
    plots.save(figure, pdf, svg, png)


def summarise(
    probes: pd.DataFrame, models: pd.DataFrame, statistic: str, direction: str, target: float
) -> pd.DataFrame:
    """Average draws, then models of a category.

    Parameters
    ----------
    probes : DataFrame
        Tables of the rule `features`, one below the other.
    models : DataFrame
        As in models.tsv.
    statistic, direction : str
    target : float

    Returns
    -------
    DataFrame
        `panel` is "combined", "compressed" or "needed"; `what` "model" or "mean"; `category`,
        `model`, `name`, `models` (that a mean is of); `share`, `dimensions`, `accuracy`, each with
        `_low` and `_high` where it is measured; `draws`, `converged` (whether all did) and `target`
        (an accuracy).
    """
    probes = probes.merge(models[["model", "name", "category"]], on="model", validate="m:1")
    keys = ["category", "model", "name"]
    combined = probes[probes["what"] == "share"]
    chosen = (probes["statistic"] == statistic) & (probes["direction"] == direction)
    compressed = probes[(probes["what"] == "compression") & chosen]
    alone = combined.loc[combined["share"] == ALL, "accuracy"]
    goal = target * alone.iloc[0] if len(alone) else target

    panels = []
    for panel, rows, x in (
        ("combined", combined, "share"),
        ("compressed", compressed, "dimensions"),
    ):
        means = [
            dict(zip([*keys, x], key, strict=True))
            | {"models": 1, "draws": len(group), "converged": group["converged"].all()}
            | interval("accuracy", group["accuracy"])
            for key, group in rows.groupby([*keys, x], sort=False)
        ]
        panels.append(_with_categories(pd.DataFrame(means), x, "accuracy").assign(panel=panel))
    needed = [
        dict(zip(keys, key, strict=True))
        | {"models": 1, "converged": group["converged"].all()}
        | {"dimensions": dimensions_needed(*_sorted(group), goal)}
        for key, group in compressed.groupby(keys, sort=False)
    ]
    needed = _with_categories(pd.DataFrame(needed), None, "dimensions")
    # An interval from two models (t = 12.7) would cross the whole panel and tell nothing.
    needed.loc[needed["models"] < 3, ["dimensions_low", "dimensions_high"]] = float("nan")
    panels.append(needed.assign(panel="needed", target=goal))
    table = pd.concat(panels, ignore_index=True)
    first = ["panel", "what", *keys, "models", "draws", "share"]
    return table[first + [column for column in table if column not in first]]


def interval(column: str, values: pd.Series) -> dict[str, float]:
    """Name a mean and its interval."""
    names = (column, f"{column}_low", f"{column}_high")
    return dict(zip(names, mean_interval(values), strict=True))


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
        Rows of `summarise`.
    x : str
        Column of the horizontal axis.
    """
    for (category, _), curve in table[table["what"] == "model"].groupby(["category", "model"]):
        curve, look = curve.sort_values(x), LOOKS[category]
        ax.plot(curve[x], 100 * curve["accuracy"], color=look.colour, alpha=0.35, linewidth=0.6)
    means = table[table["what"] == "mean"]
    for category in [name for name in CATEGORIES if name in set(means["category"])]:
        curve, look = means[means["category"] == category].sort_values(x), LOOKS[category]
        ax.plot(
            curve[x],
            100 * curve["accuracy"],
            color=look.colour,
            marker=look.marker,
            markersize=3.5,
            markeredgecolor="white",
            markeredgewidth=0.3,
            linewidth=1.2,
        )
    ax.grid(axis="y", color="#DDDDDD", linewidth=0.4)


def _sorted(group: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    group = group.sort_values("dimensions")
    return group["dimensions"], group["accuracy"]


def _with_categories(models: pd.DataFrame, x: str | None, column: str) -> pd.DataFrame:
    """Append the mean of each category, at each value of `x` if there is one."""
    keys = ["category", x] if x else ["category"]
    means = [
        dict(zip(keys, key if isinstance(key, tuple) else (key,), strict=True))
        | {"what": "mean", "models": group[column].count(), "converged": group["converged"].all()}
        | interval(column, group[column])
        for key, group in models.groupby(keys, sort=False)
    ]
    table = pd.concat([models.assign(what="model"), pd.DataFrame(means)], ignore_index=True)
    order = table["category"].map(CATEGORIES.index)
    return table.loc[order.sort_values(kind="stable").index]


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(figure6, snakemake)
