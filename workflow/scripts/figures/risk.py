"""Risk against coverage: how many answers can be used at which share of wrong ones."""

from typing import Any

import seaborn as sns
from matplotlib import rc_context

from workflow.lib.measures.uncertainty import RISK
from workflow.lib.outputs.tables import read_table
from workflow.lib.show import marks as plots
from workflow.lib.show.style import COLUMN_WIDTH, PALE, RC

COLOURS = {"single": "#9C9C9C", "pair": "#3F8FC4", "triple": "#123A63", "cascade": "#D55E00"}
DASHES: dict[str, Any] = {"single": (1, 1), "pair": "", "triple": (4, 1.5), "cascade": (4, 1, 1, 1)}
FROM = 0.02  # coverage from which on a risk is of enough images to be drawn


@rc_context(RC)
def risk(*, table: str, pdf: str, svg: str, png: str) -> None:
    """Draw risk against coverage.

    Parameters
    ----------
    table : str
        What to draw (see the rule `uncertainty`).
    pdf, svg, png : str
        Figure in three formats, to write.
    """
    rows = read_table(table)
    rows = rows[rows["coverage"] >= FROM].assign(
        coverage=100 * rows["coverage"], risk=100 * rows["risk"]
    )
    kinds = [kind for kind in COLOURS if kind in set(rows["kind"])]
    figure, (ax,) = plots.subplots(1.7 * COLUMN_WIDTH, 3.0)
    ax.axhline(100 * RISK, color=PALE, linewidth=0.8, zorder=0)
    ax.annotate(
        f"{100 * RISK:g} % risk", (0, 100 * RISK), (2, 2), textcoords="offset points", fontsize=6
    )
    looks = {"hue": "kind", "palette": COLOURS, "hue_order": kinds}
    looks |= {"style": "kind", "style_order": kinds, "dashes": [DASHES[kind] for kind in kinds]}
    sns.lineplot(
        rows, x="coverage", y="risk", ax=ax, legend=False, errorbar=None, estimator=None,
        linewidth=1.1, **looks,
    )  # fmt: skip
    ax.set(xlabel="Coverage (% of test images answered)", ylabel="Risk (% of answers wrong)")
    ax.set_xlim(0, 100)
    ax.set_ylim(0)
    first = rows.drop_duplicates("kind").set_index("kind")
    handles = [
        plots.marker_key(
            f"{kind.capitalize()}: {first.at[kind, 'name']}",
            color=COLOURS[kind],
            linestyle=(0, DASHES[kind] or (None, None)) if DASHES[kind] else "-",
        )
        for kind in kinds
    ]
    ax.legend(handles=handles, loc="upper left", handlelength=2.2, fontsize=6)
    plots.save(figure, pdf, svg, png)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(risk, snakemake)
