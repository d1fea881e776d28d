"""Figure 3: a model that is right alone tends to be the more confident one.

Above, each pair's calibrated confidences against each other, on a scale that spreads those near 1:
the density of all test examples, and as points those that exactly one model gets right. Below, the
specialisation angle by who is right, over the examples that exactly one model of at least one of
the pairs gets right. Dotted, the angles from which on a model's top class is that of the ensemble
on at least 99 % of the examples on which the top classes differ.
"""

import textwrap

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from workflow.lib.outputs.tables import read_table
from workflow.lib.show import marks as plots
from workflow.lib.show.style import INK, LOOKS, PALE, RC

DOTTED = {"color": INK, "linewidth": 0.7, "linestyle": (0, (1, 1.5))}
# Blue and red stay apart without red, green or blue cones, and are no category's.
LINES = {
    "both_right": {"color": INK, "linestyle": "-", "linewidth": 0.8},
    "both_wrong": {"color": "#888888", "linestyle": "--", "linewidth": 0.9},
    "only_1": {"color": "#0077BB", "linestyle": "-", "linewidth": 1.3},
    "only_2": {"color": "#CC3311", "linestyle": "-.", "linewidth": 1.3},
}
TICKS = [0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999]


@rc_context(RC)
def figure3(*, specialisation: str, table: str, pdf: str, svg: str, png: str) -> None:
    """Draw the confidences and the angles of each pair.

    Parameters
    ----------
    specialisation : str
        Table of confidences, the points.
    table : str
        Histograms and prevailing angles.
    pdf, svg, png : str
        Figure in three formats, to write.
    """
    rows = read_table(specialisation)
    counted = plots.in_percent(read_table(table), "share")
    pairs = [pair for _, pair in rows.groupby("pair", sort=False)]
    if not pairs:
        plots.save_blank("no pairs configured", pdf, svg, png)
        return
    figure = Figure(figsize=(2.3 * max(len(pairs), 1.4), 4.2), layout="constrained")
    axes = figure.subplots(2, len(pairs), squeeze=False, height_ratios=[1.55, 1])
    limits = plane_limits(rows)
    tallest = counted["share"].where(counted["what"] == "histogram").max()
    for number, (pair, plane, below) in enumerate(zip(pairs, *axes, strict=True)):
        mine = counted[counted["pair"] == pair["pair"].iloc[0]]
        draw_plane(plane, pair, mine, limits)
        draw_histograms(below, pair, mine)
        below.set_ylim(0, 1.05 * tallest if tallest > 0 else 1)
        if number == 0:
            below.set_ylabel("Share of such examples (%)")
        else:
            below.tick_params(labelleft=False)
    plots.save(figure, pdf, svg, png)


def plane_limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Least and greatest confidence to draw; what is beyond is drawn at the border."""
    confidences = rows[["confidence_1", "confidence_2"]].to_numpy()
    beyond = np.clip(np.quantile(1 - confidences, 0.1), 1e-6, 0.1)
    return min(np.quantile(confidences, 0.001), 0.5), 1 - 10 ** np.floor(np.log10(beyond))


def draw_plane(
    ax: Axes, pair: pd.DataFrame, table: pd.DataFrame, limits: tuple[float, float]
) -> None:
    """Draw model 1's confidences against model 2's, on logit scales.

    Parameters
    ----------
    ax : Axes
    pair : DataFrame
        A pair's rows of specialisation.tsv.
    table : DataFrame
        A pair's rows of `summaries.angles`.
    limits : tuple of float
        Of `plane_limits`.
    """
    low, high = limits
    y, x = (log_odds(pair[f"confidence_{member}"].to_numpy().clip(low, high)) for member in (1, 2))
    start, stop = log_odds(np.array(limits))
    ink = {"rasterized": True, "zorder": 0, "cmap": "Greys", "linewidths": 0.1}
    ink["norm"] = LogNorm(0.5, max(len(pair) / 10, 10))
    ax.hexbin(x, y, gridsize=32, extent=(start, stop, start, stop), mincnt=1, **ink)
    # In the order of the dataset, so that neither colour lies above the other.
    alone = pair["outcome"].isin(["only_1", "only_2"]).to_numpy()
    ink = {"rasterized": True, "alpha": 0.6, "linewidth": 0, "legend": False}
    ink["s"] = float(np.clip(60 / np.sqrt(max(alone.sum(), 1)), 0.8, 2.2)) ** 2
    ink["palette"] = {outcome: look["color"] for outcome, look in LINES.items()}
    sns.scatterplot(x=x[alone], y=y[alone], hue=pair["outcome"].to_numpy()[alone], ax=ax, **ink)
    ax.plot([start, stop], [start, stop], color=INK, linewidth=0.5, zorder=1)
    for theta in table.loc[table["what"] == "prevailing", "theta"].dropna():
        slope = np.tan(theta + np.pi / 4)
        across = np.linspace(low, high / max(slope, 1), 500)
        up = slope * across
        inside = (across >= low) & (up >= low)
        ax.plot(log_odds(across[inside]), log_odds(up[inside]), zorder=3, **DOTTED)
    margin = 0.04 * (stop - start)
    ticks = [tick for tick in TICKS if low <= tick <= high * (1 + 1e-9)]
    if high > 0.9999:
        ticks = ticks[::-2]  # the names of all would run into one another
    names = [f"{100 * tick:.10g}" for tick in ticks]
    span = (start - margin, stop + margin)
    ax.set(xlim=span, ylim=span, aspect="equal")
    ax.set_xticks(log_odds(np.array(ticks)), names)
    ax.set_yticks(log_odds(np.array(ticks)), names)
    ax.set_title(LOOKS[pair["category"].iloc[0]].name, loc="left")
    ax.set_xlabel(textwrap.fill(f"Confidence of {pair['name_2'].iloc[0]} (%)", 36))
    ax.set_ylabel(textwrap.fill(f"Confidence of {pair['name_1'].iloc[0]} (%)", 36))


def draw_histograms(ax: Axes, pair: pd.DataFrame, table: pd.DataFrame) -> None:
    """Draw the angles by outcome, with a legend above for this panel and the plane.

    Parameters
    ----------
    ax : Axes
    pair : DataFrame
        A pair's rows of specialisation.tsv.
    table : DataFrame
        A pair's rows of `summaries.angles`.
    """
    names = {
        "both_right": "both right",
        "both_wrong": "both wrong",
        "only_1": f"only {pair['name_1'].iloc[0]}",
        "only_2": f"only {pair['name_2'].iloc[0]}",
    }
    bars = table[table["what"] == "histogram"]
    for outcome, group in bars.groupby("outcome", sort=False):
        middles = group.assign(theta=(group["bin_low"] + group["bin_high"]) / 2)
        edges = [*group["bin_low"], group["bin_high"].iloc[-1]]
        look = LINES[outcome] | {"element": "step", "fill": False, "zorder": 3}
        look["label"] = f"{names[outcome]}, n = {group['count'].sum():,.0f}"
        sns.histplot(middles, x="theta", weights="share", bins=edges, ax=ax, **look)
    ax.axvline(0, color=PALE, linewidth=0.5, zorder=1)
    for theta in table.loc[table["what"] == "prevailing", "theta"].dropna():
        ax.axvline(theta, zorder=2, **DOTTED)
    ax.set_xlim(bars["bin_low"].min(), bars["bin_high"].max())
    ax.set(xlabel="Specialisation angle θ (radians)", ylabel="")
    close = {"labelspacing": 0.25, "borderaxespad": 0.2, "borderpad": 0.2}
    ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 1), fontsize=6, handlelength=1.8, **close)


def log_odds(confidence: np.ndarray) -> np.ndarray:
    """Spread confidences near 1: log10(c / (1 - c))."""
    return np.log10(confidence / (1 - confidence))


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(figure3, snakemake)
