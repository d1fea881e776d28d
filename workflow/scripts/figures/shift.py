"""Error inconsistency and improvement by category, on the test images and on each test set."""

from matplotlib import rc_context

from workflow.lib.outputs.tables import read_table
from workflow.lib.show import marks as plots
from workflow.lib.show.style import LOOKS, PALE, RC, TEXT_WIDTH
from workflow.lib.study.categories import CATEGORIES

QUANTITIES = {
    "error_inconsistency": "Error inconsistency (%)",
    "improvement": "Improvement (points)",
}
CLEAN = "clean"
STEP = 0.13  # between the markers of two categories in a column


@rc_context(RC)
def shift(*, table: str, pdf: str, svg: str, png: str) -> None:
    """Draw each category's mean on each test set, and hollow that on the images beside it.

    Parameters
    ----------
    table : str
        What to draw (see `robustness`).
    pdf, svg, png : str
        Figure in three formats, to write.
    """
    rows = plots.in_percent(read_table(table), "mean")
    rows[["low", "high"]] *= 100
    rows = rows.dropna(subset=["mean"])
    quantities = [name for name in QUANTITIES if (rows["quantity"] == name).any()]
    if rows.empty:
        plots.save_blank("no models to compare with the base", pdf, svg, png)
        return
    sets = list(dict.fromkeys(rows["test"]))
    rows["place"] = rows["test"].map(sets.index)
    shown = [name for name in CATEGORIES if (rows["category"] == name).any()]
    width = TEXT_WIDTH * (0.3 + 0.35 * len(quantities))
    figure, axes = plots.subplots(width, 2.9, columns=len(quantities))
    for ax, quantity in zip(axes, quantities, strict=True):
        for number, category in enumerate(shown):
            own = rows[(rows["quantity"] == quantity) & (rows["category"] == category)]
            here, beside = own[own["where"] != CLEAN], own[own["where"] == CLEAN]
            offset = STEP * (number - (len(shown) - 1) / 2)
            look = {"color": LOOKS[category].colour, "marker": LOOKS[category].marker}
            place = here["place"] + offset
            known = here["models"] >= plots.SEVERAL
            ax.vlines(place[known], here["low"][known], here["high"][known],
                      color=look["color"], linewidth=0.8, alpha=0.6)  # fmt: skip
            ax.plot(beside["place"] + offset, beside["mean"], **look, linestyle="none",
                    markersize=3.6, markerfacecolor="white", markeredgewidth=0.7)  # fmt: skip
            ax.plot(place, here["mean"], **look, linestyle="none", markersize=4.4,
                    markeredgecolor="white", markeredgewidth=0.3)  # fmt: skip
        if quantity == "improvement":
            ax.axhline(0, color=PALE, linewidth=0.8, zorder=0)
        # An interval too wide for the panel runs off it.
        means = rows.loc[rows["quantity"] == quantity, "mean"]
        room = 0.15 * (means.max() - means.min()) or 1
        ax.set_ylim(means.min() - room, means.max() + room)
        ax.set_ylabel(QUANTITIES[quantity])
        ax.set_xticks(range(len(sets)), sets, rotation=40, ha="right", rotation_mode="anchor")
        ax.set_xlim(-0.5, len(sets) - 0.5)
        ax.grid(axis="y")
        for edge in range(1, len(sets)):
            ax.axvline(edge - 0.5, color=PALE, linewidth=0.4)
    keys = plots.category_keys(shown, alpha=1)
    ink = {"color": "#333333", "marker": "o", "markersize": 3.6}
    keys.append(plots.marker_key("clean", markerfacecolor="white", **ink))
    plots.add_legend(figure, keys)
    plots.save(figure, pdf, svg, png)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(shift, snakemake)
