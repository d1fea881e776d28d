"""Accuracy on each test set against that on the test images, with the line of single models."""

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from scipy.special import ndtr, ndtri

from workflow.lib.outputs.tables import read_table
from workflow.lib.show import marks as plots
from workflow.lib.show.style import INK, RC, TEXT_WIDTH

COLUMNS = 4
ENSEMBLES = {"pair": "o", "triple": "^", "cascade": "s"}
LEAST = 1e-3  # accuracy, and its distance from 1, that is drawn at most


@rc_context(RC)
def effective(*, table: str, pdf: str, svg: str, png: str) -> None:
    """Draw a panel a test set, on axes of the normal distribution's quantiles.

    Parameters
    ----------
    table : str
        What to draw (see `robustness`).
    pdf, svg, png : str
        Figure in three formats, to write.
    """
    rows = read_table(table).dropna(subset=["test_accuracy", "accuracy"])
    sets = list(dict.fromkeys(rows["test"]))
    for column in ("test_accuracy", "accuracy"):
        rows[column] = ndtri(rows[column].clip(LEAST, 1 - LEAST))
    columns = min(COLUMNS, len(sets))
    lines = -(-len(sets) // columns)
    width = TEXT_WIDTH if columns > 2 else TEXT_WIDTH * columns / 3
    figure = Figure(figsize=(width, 0.5 + 1.6 * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False, sharex=True).ravel()
    for ax, name in zip(axes, sets, strict=False):
        own = rows[rows["test"] == name]
        single = own["kind"] == "single"
        line = own["slope"].iloc[0], own["intercept"].iloc[0]
        ends = np.array([own["test_accuracy"].min(), own["test_accuracy"].max()])
        if np.isfinite(line).all():
            ax.plot(ends, line[0] * ends + line[1], color=INK, **plots.LINE)
        plots.draw_points(ax, own[single], "test_accuracy", "accuracy")
        for kind, marker in ENSEMBLES.items():
            some = own[own["kind"] == kind]
            ax.plot(some["test_accuracy"], some["accuracy"], marker, color="none",
                    markeredgecolor="black", markersize=6, markeredgewidth=0.9)  # fmt: skip
        ax.set_title(name, fontsize=RC["axes.labelsize"])
        ax.set(xlabel="", ylabel="")
        for axis in (ax.xaxis, ax.yaxis):
            values = own["test_accuracy" if axis is ax.xaxis else "accuracy"]
            axis.set_ticks(ndtri(_round_shares(ndtr(values.min()), ndtr(values.max()))))
            axis.set_major_formatter(FuncFormatter(lambda z, _: f"{100 * ndtr(z):g}"))
    for ax in axes[len(sets) :]:
        ax.set_visible(False)
    for place, ax in enumerate(axes[: len(sets)]):
        ax.tick_params(labelbottom=place + columns >= len(sets))
    figure.supxlabel("Accuracy on the test images (%)", fontsize=RC["axes.labelsize"])
    figure.supylabel("Accuracy on the test set (%)", fontsize=RC["axes.labelsize"])
    keys = plots.category_keys(rows.loc[rows["kind"] == "single", "category"])
    look = {"color": "none", "markeredgecolor": "black", "markersize": 5}
    keys += [
        plots.marker_key(f"best {kind}", marker=marker, **look)
        for kind, marker in ENSEMBLES.items()
        if (rows["kind"] == kind).any()
    ]
    figure.legend(handles=keys, loc="outside upper center", ncols=min(len(keys), 5))
    plots.save(figure, pdf, svg, png)


def _round_shares(low: float, high: float) -> np.ndarray:
    """Choose two to four round shares from one to another, as steps of ticks."""
    for step in (0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002):
        found = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
        found = found[(found > 0) & (found < 1)]
        if len(found) >= 3:
            break
    return np.round(found, 6)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(effective, snakemake)
