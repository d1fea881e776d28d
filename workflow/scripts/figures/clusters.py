"""Clusters of models: error inconsistency of all pairs, with those that err alike side by side.

Average linkage of the distances joins the nearest first; the tree shows at which distance.
"""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot, rc_context
from seaborn.matrix import ClusterGrid

from workflow.lib.measures.maps import DISTANCE, cluster
from workflow.lib.outputs.tables import read_table
from workflow.lib.show import escape
from workflow.lib.show import marks as plots
from workflow.lib.show.style import LOOKS, RC, TEXT_WIDTH

ROW, LEAST = 0.066, 3.4  # inches, of a row and of the whole
TOP, BOTTOM = 0.15, 0.7  # inches, above and below the matrix
TREE, STRIP, MATRIX = 0.1, 0.115, 0.72  # right ends, as shares of the width


@rc_context(RC)
def clusters(*, table: str, pdf: str, svg: str, png: str) -> None:
    """Draw the distances as a matrix, with the tree of clusters and the categories beside it.

    Parameters
    ----------
    table : str
        What to draw (see `distances`).
    pdf, svg, png : str
        Figure in three formats, to write.
    """
    rows = read_table(table)
    count = round(len(rows) ** 0.5)
    models = rows.drop_duplicates("model_2").reset_index(drop=True)
    models = models.rename(columns={f"{c}_2": c for c in ("model", "name", "category")})
    grid = draw_clusters(rows[DISTANCE].to_numpy().reshape(count, count), models)
    plots.save(grid.figure, pdf, svg, png)
    pyplot.close(grid.figure)


def draw_clusters(matrix: np.ndarray, models: pd.DataFrame) -> ClusterGrid:
    """Draw the matrix of distances, its rows named.

    Parameters
    ----------
    matrix : ndarray of float64, shape (models, models)
    models : DataFrame
        `model`, `name` and `category`, in the order of the matrix.
    """
    joins, _ = cluster(matrix, models)
    names = [escape.label(name) for name in models["name"].astype(str)]
    colours = [LOOKS[category].colour for category in models["category"]]
    height = max(LEAST, ROW * len(models) + TOP + BOTTOM)
    grid = sns.clustermap(
        pd.DataFrame(100 * matrix, index=names, columns=names),
        row_linkage=joins,
        col_linkage=joins,
        row_colors=colours,
        figsize=(TEXT_WIDTH, height),
        cbar_pos=(TREE, 0.4 / height, 0.3, 0.09 / height),
        cbar_kws={"orientation": "horizontal", "extend": "both"},
        cmap="viridis",
        **limits(matrix),
        mask=np.eye(len(matrix), dtype=bool),
        xticklabels=False,
        yticklabels=1,
        rasterized=True,
    )
    low, up = BOTTOM / height, 1 - (TOP + BOTTOM) / height
    grid.ax_row_dendrogram.set_position((0.005, low, TREE - 0.005, up))
    grid.ax_row_colors.set_position((TREE, low, STRIP - TREE, up))
    grid.ax_heatmap.set_position((STRIP, low, MATRIX - STRIP, up))
    grid.ax_col_dendrogram.set_visible(False)  # the same tree
    grid.ax_row_colors.tick_params(bottom=False, labelbottom=False)
    grid.ax_cbar.set_title("Error inconsistency (%)", fontsize=RC["axes.labelsize"], pad=3)
    size = min(6.0, 72 * up * height / len(models) * 0.95)
    grid.ax_heatmap.tick_params(axis="y", labelsize=size, length=0, pad=1)
    grid.ax_heatmap.set(xlabel="", ylabel="")
    keys = plots.category_keys(models["category"], alpha=1)
    for key in keys:
        key.set_marker("s")
    grid.figure.legend(handles=keys, loc="lower right", ncols=4)
    return grid


def limits(matrix: np.ndarray) -> dict[str, float]:
    """Give the ends of the colours: where all but a few of the distances lie, in per cent."""
    apart = 100 * matrix[~np.eye(len(matrix), dtype=bool)]
    low, high = np.percentile(apart, [2, 98])
    return {"vmin": float(low), "vmax": float(max(high, low + 1e-9))}


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(clusters, snakemake)
