"""Maps and clusters: known distances are found again, whatever the order of the models."""

import numpy as np
import pandas as pd
import pytest

from workflow.lib.measures.maps import cluster, distances, model_map

pytestmark = pytest.mark.numeric
CATEGORIES = ["base", "reinit", "arch", "arch", "dataset"]
MODELS = pd.DataFrame(
    {"model": list("abcde"), "name": list("ABCDE"), "category": CATEGORIES,
     "group": ["base", "main", "main", "others", "main"], "accuracy": 0.7}
)  # fmt: skip
# A rectangle of 3 by 4 with the base at a corner, and a model far off.
PLACES = np.array([[0, 0], [4, 0], [0, 3], [4, 3], [20, 1]]) / 100
MATRIX = np.linalg.norm(PLACES[:, None] - PLACES, axis=2)


def test_distances_are_those_of_the_pairs_in_either_order():
    pairs = pd.DataFrame(
        {"model_1": ["b", "a", "c"], "model_2": ["a", "c", "b"],
         "error_inconsistency": [0.1, 0.2, 0.3]}
    )  # fmt: skip
    found = distances(pairs, MODELS[:3])
    assert found.tolist() == [[0, 0.1, 0.2], [0.1, 0, 0.3], [0.2, 0.3, 0]]


def test_a_plane_is_found_again_without_stress():
    table = model_map(MATRIX, MODELS)
    points = table[["x", "y"]].to_numpy()
    assert np.linalg.norm(points[:, None] - points, axis=2) == pytest.approx(MATRIX, abs=1e-4)
    assert points[0].tolist() == [0, 0]
    assert points.sum(axis=0).min() >= 0
    assert np.ptp(points[:, 0]) > np.ptp(points[:, 1])
    assert table["stress"].nunique() == 1 and table["stress"][0] < 1e-3
    assert table["model"].tolist() == list("abcde")


def test_what_has_no_plane_has_stress_by_kruskals_formula():
    matrix = 0.1 * (1 - np.eye(5))  # all as far from each other: a simplex of four dimensions
    table = model_map(matrix, MODELS)
    points = table[["x", "y"]].to_numpy()
    found = np.linalg.norm(points[:, None] - points, axis=2)
    stress = np.sqrt(np.square(found - matrix).sum() / np.square(found).sum())
    assert table["stress"][0] == pytest.approx(stress, rel=1e-3)
    assert 0.2 < stress < 0.5


def test_models_that_are_alike_share_a_place():
    table = model_map(np.zeros((5, 5)), MODELS)
    assert (table[["x", "y", "stress"]].abs() < 1e-12).all(axis=None)


def test_the_nearest_are_joined_first():
    joins, table = cluster(MATRIX, MODELS)
    assert sorted(joins[0, :2]) == [0, 2] or sorted(joins[0, :2]) == [1, 3]  # 3 apart
    assert joins[0, 2] == pytest.approx(0.03)
    # The far one comes last, at the mean of its distances from all others.
    assert joins[-1, 2] == pytest.approx(MATRIX[4, :4].mean())
    order = table["model_1"].drop_duplicates().tolist()
    assert order[0] == "e" or order[-1] == "e"
    assert table["model_2"][:5].tolist() == order
    same = table["model_1"] == table["model_2"]
    assert same.sum() == 5 and (table.loc[same, "error_inconsistency"] == 0).all()
    by_pair = table.set_index(["model_1", "model_2"])["error_inconsistency"]
    assert by_pair["a", "d"] == by_pair["d", "a"] == pytest.approx(0.05)
