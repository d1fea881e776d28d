"""Figure 7: a further task, which models and which pairs of models do well on it.

Mean average precision (11-point, as of Pascal VOC 2007) of linear probes on frozen features:
against a model's accuracy on the study's own classes, against how inconsistent its errors there are
with the base's, and of concatenated pairs against their own inconsistency. Bars are 95 % intervals
over test images; lines are fitted by least squares, r is Pearson's correlation.
"""

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from workflow.lib.measures.statistics import fit_line
from workflow.lib.outputs.tables import read_table
from workflow.lib.run.files import replacing
from workflow.lib.show import marks as plots
from workflow.lib.show.style import INK, LOOKS, RC, TEXT_WIDTH
from workflow.lib.study.categories import BASE, CATEGORIES

Y = "average_precision"


@rc_context(RC)
def figure7(
    *,
    models: str,
    pairs: str,
    probes: list[str],
    base: str,
    mean: str,
    pdf: str,
    svg: str,
    png: str,
    tsv: str,
) -> None:
    """Draw mean average precision of models and pairs.

    Parameters
    ----------
    models, pairs : str
        Tables of models and of pairs.
    probes : list of str
        Tables of the rule `downstream`.
    base : str
        Key of the base.
    mean : str
        Which mean of two models' predictions to take from `pairs`; the inconsistency does not
        depend on it.
    pdf, svg, png, tsv : str
        Figure in three formats and the table that it draws, to write.
    """
    rows = pd.concat([read_table(file) for file in probes], ignore_index=True)
    known = read_table(pairs)
    table = join(rows, read_table(models), known[known["mean"] == mean], base)
    with replacing(tsv) as part:
        table.to_csv(part, sep="\t", index=False)

    figure, axes = plots.subplots(TEXT_WIDTH, 2.6, columns=3)
    single, pair = (table[table["what"] == what] for what in ("model", "pair"))
    panels = (
        (single, "accuracy", "Accuracy on the study's classes (%)"),
        (single[single["category"] != BASE], "error_inconsistency",
         "Error inconsistency with the base (%)"),
        (pair, "error_inconsistency", "Error inconsistency of the pair (%)"),
    )  # fmt: skip
    for ax, (points, x, label) in zip(axes, panels, strict=True):
        r = draw_points(ax, points, x)
        ax.set_xlabel(label)
        if pd.notna(r):
            ax.set_title(f"r = {r:.2f}".replace("-", "−"), loc="left")
    axes[0].set_ylabel("mAP of the model (%)")
    axes[1].set_ylabel("mAP of the model (%)")
    axes[2].set_ylabel("mAP of both together (%)")
    there = [name for name in (BASE, *CATEGORIES) if name in set(table["category"])]
    handles = [Line2D([], [], label=LOOKS[name].name, **plots.faint(name)) for name in there]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    for ax, (points, x, _) in zip(axes, panels, strict=True):
        plots.label_points(ax, points.nlargest(1, Y), x, Y)
    failed = int((~table["converged"]).sum())
    if failed:
        figure.text(0, 0, f"{failed} of {len(table)} probes did not converge", va="top", color=INK)
    plots.save(figure, pdf, svg, png)


def join(
    probes: pd.DataFrame, models: pd.DataFrame, pairs: pd.DataFrame, base: str
) -> pd.DataFrame:
    """Put the mean average precisions beside what is known of models and pairs.

    Parameters
    ----------
    probes : DataFrame
        Tables of the rule `downstream`, one below the other.
    models, pairs : DataFrame
        As in models.tsv, and in pairs.tsv for one mean.
    base : str

    Returns
    -------
    DataFrame
        `what` is "model" or "pair"; `category` (of a pair its more divergent model's), `name`,
        `model_1`, `model_2`; `accuracy` of a model, `error_inconsistency` (of a model with the
        base, which has 0 with itself), `average_precision` with its interval, and for a pair its
        `gain` over the better of the two.
    """
    means = probes[probes["task"] == "mean"].drop(columns=["task", "l2"])
    inconsistency = {
        frozenset(key): value
        for *key, value in pairs[["model_1", "model_2", "error_inconsistency"]].itertuples(
            index=False
        )
    } | {frozenset([base]): 0.0}
    by_key = models.set_index("model")
    alone = means[means["model_2"].isna()].set_index("model_1")[Y]
    order = (BASE, *CATEGORIES).index
    rows = []
    for row in means.to_dict("records"):
        keys = [row["model_1"]] if pd.isna(row["model_2"]) else [row["model_1"], row["model_2"]]
        single = len(keys) == 1
        rows.append(
            {
                "what": "model" if single else "pair",
                "category": max(by_key.loc[keys, "category"], key=order),
                "name": " + ".join(by_key.loc[keys, "name"]),
            }
            | row
            | {
                "accuracy": by_key.at[keys[0], "accuracy"] if single else None,
                "error_inconsistency": inconsistency[
                    frozenset(keys if not single else {*keys, base})
                ],
                "gain": None if single else row[Y] - max(alone[keys]),
            }
        )
    return pd.DataFrame(rows)


def draw_points(ax: Axes, points: pd.DataFrame, x: str) -> float:
    """Draw models or pairs by category with their intervals, and a line; gives its correlation.

    Parameters
    ----------
    ax : Axes
    points : DataFrame
        Rows of `join`.
    x : str
        Column of the horizontal axis.
    """
    fit = fit_line(points[x], points[Y])
    ends = points[x].agg(["min", "max"])
    if pd.notna(fit[2]):
        ax.plot(100 * ends, 100 * (fit[1] + fit[0] * ends), color=INK, linewidth=0.8, zorder=1)
    for category, group in points.groupby("category", sort=False):
        ax.errorbar(
            100 * group[x],
            100 * group[Y],
            yerr=100 * (group[[f"{Y}_low", f"{Y}_high"]].sub(group[Y], axis=0).abs().to_numpy().T),
            elinewidth=0.4,
            ecolor=(*_rgb(LOOKS[category].colour), 0.35),
            **plots.faint(category),
        )
    ax.grid(color="#DDDDDD", linewidth=0.4)
    return fit[2]


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(figure7, snakemake)
