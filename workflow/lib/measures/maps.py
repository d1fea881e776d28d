"""Models as points of a map: error inconsistency is a distance between them."""

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform
from sklearn.manifold import MDS

from workflow.lib.study.categories import BASE

DISTANCE = "error_inconsistency"
MODEL = ["model", "name", "category", "group", "accuracy"]


def distances(pairs: pd.DataFrame, models: pd.DataFrame) -> np.ndarray:
    """Set the error inconsistency of all pairs into a matrix.

    It is a metric: the share of examples on which two vectors of right and wrong differ, which is
    Hamming's distance.

    Parameters
    ----------
    pairs : DataFrame
        As in pairs.tsv, with each pair at least once.
    models : DataFrame
        As in models.tsv; their order is that of the rows and columns.

    Returns
    -------
    ndarray of float64, shape (models, models)
        Symmetric, with zeros on its diagonal.
    """
    place = {key: row for row, key in enumerate(models["model"])}
    matrix = np.zeros((len(place), len(place)))
    first, second = (pairs[f"model_{member}"].map(place).to_numpy() for member in (1, 2))
    matrix[first, second] = matrix[second, first] = pairs[DISTANCE]
    return matrix


def model_map(matrix: np.ndarray, models: pd.DataFrame) -> pd.DataFrame:
    """Place models in a plane so that distances between them come near those of the matrix.

    Metric multidimensional scaling (SMACOF, de Leeuw 1977), begun with the classical solution
    (Torgerson 1952). The map is turned so that its longest axis is across and most of it right of
    and above the base.

    Parameters
    ----------
    matrix : ndarray of float64, shape (models, models)
    models : DataFrame
        As in models.tsv.

    Returns
    -------
    DataFrame
        `model`, `name`, `category`, `group`, `accuracy`; `x` and `y` in units of error
        inconsistency from the base, as a fraction; and `stress`, the same in each row: Kruskal's
        (1964) stress-1, the root of the squared errors of all distances over the squared distances
        of the map, 0 if these are exact.
    """
    scaling = MDS(
        metric="precomputed",
        init="classical_mds",
        n_init=1,
        normalized_stress=True,
        max_iter=1000,
        eps=1e-9,
        random_state=0,
    )
    alike = not matrix.any()  # which divides by nothing
    points = np.zeros((len(matrix), 2)) if alike else scaling.fit_transform(matrix)
    centre = points - points.mean(axis=0)
    _, axes = np.linalg.eigh(centre.T @ centre)
    points = centre @ axes[:, ::-1]
    base = int(np.argmax(models["category"] == BASE))
    points = points - points[base]
    points *= np.where(points.sum(axis=0) < 0, -1, 1)
    stress = 0.0 if alike else float(scaling.stress_)
    return models[MODEL].assign(x=points[:, 0], y=points[:, 1], stress=stress)


def cluster(matrix: np.ndarray, models: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """Join models into clusters by their mean distance, the nearest first.

    Parameters
    ----------
    matrix : ndarray of float64, shape (models, models)
    models : DataFrame
        As in models.tsv.

    Returns
    -------
    joins : ndarray of float64, shape (models - 1, 4)
        As scipy's `linkage` gives them (average linkage, leaves in the order of least distances
        between neighbours), of `models` in the order that they are given in.
    table : DataFrame
        A row a pair, both ways round and each model with itself, in the order of the leaves:
        `model_1`, `model_2`, `name_1`, `name_2`, `category_1`, `category_2`, and the error
        inconsistency.
    """
    joins = linkage(squareform(matrix), "average", optimal_ordering=True)
    order = leaves_list(joins)
    first, second = (side.ravel() for side in np.meshgrid(order, order, indexing="ij"))
    columns = {}
    for what in ("model", "name", "category"):
        values = models[what].to_numpy()
        columns |= {f"{what}_1": values[first], f"{what}_2": values[second]}
    return joins, pd.DataFrame(columns | {DISTANCE: matrix[first, second]})
