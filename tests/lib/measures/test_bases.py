"""Averages over bases, their intervals, and counts by image: by hand, and by simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from workflow.lib.measures import bases
from workflow.lib.measures.bases import X, average, class_heterogeneity, compare, two_way_mean

NAN = np.nan


def pairs(*rows) -> pd.DataFrame:
    """Rows of pairs.tsv: both models with their categories, and the inconsistency."""
    columns = ["model_1", "category_1", "model_2", "category_2", X]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(
        name_1=table["model_1"].str.upper(), name_2=table["model_2"].str.upper(),
        accuracy_1=0.8, accuracy_2=0.7, combination="probability", main=True,
    )  # fmt: skip


STUDY = pairs(
    ("base", "base", "twin", "reinit", 0.1),
    ("base", "base", "other", "arch", 0.2),
    ("twin", "reinit", "other", "arch", 0.4),
    ("base", "base", "drop", "hparam", 0.15),
    ("twin", "reinit", "drop", "hparam", 0.25),
    ("other", "arch", "drop", "hparam", 0.9),
)


def test_each_base_is_compared_with_every_other_model():
    found = compare(STUDY, "probability", [X], ["base", "twin"])
    assert found.bases == ["base", "twin"]
    # The base is a model too, as another base sees it.
    assert found.models["model"].tolist() == ["twin", "base", "drop", "other"]
    assert found.models["category"].tolist() == ["reinit", "reinit", "hparam", "arch"]
    expected = [[0.1, NAN, 0.15, 0.2], [NAN, 0.1, 0.25, 0.4]]
    np.testing.assert_allclose(found.values[X], expected)
    np.testing.assert_allclose(average(found.values[X]), [0.1, 0.1, 0.2, 0.3])
    assert found.rank.tolist() == [0, 0, 1, 2]


def test_without_bases_only_the_base_counts_and_columns_that_lack_are_left_out():
    found = compare(STUDY, "probability", [X, "improvement"])
    assert found.bases == ["base"]
    assert found.models["name"].tolist() == ["TWIN", "DROP", "OTHER"]
    assert set(found.values) == {X, "accuracy"}


def test_bases_outside_the_main_models_are_left_out():
    rows = STUDY.assign(main=~(STUDY[["model_1", "model_2"]] == "twin").any(axis=1))
    found = compare(rows, "probability", [X], ["base", "twin"])
    assert (found.bases, found.models["model"].tolist()) == (["base"], ["drop", "other"])


def test_an_average_is_weighted_by_how_often_a_base_was_drawn():
    values = np.array([[1.0, NAN], [4.0, 6.0]])
    drawn = average(values, np.array([[2.0, 1.0], [0.0, 3.0], [3.0, 0.0]]))
    # Where no base of a model was drawn, all of its bases count.
    np.testing.assert_allclose(drawn, [[2, 6], [4, 6], [1, 6]])
    per_draw = average(np.stack([values, values + 1]), np.array([[2.0, 1.0], [0.0, 3.0]]))
    np.testing.assert_allclose(per_draw, [[2, 6], [5, 7]])


def test_an_interval_by_hand():
    # Models average 2 and 6, bases 3 and 5: variances of the mean 8 / 2 and 2 / 2.
    mean, low, high = two_way_mean(np.array([[1.0, 5.0], [3.0, 7.0]]))
    degrees = 5**2 / (4**2 / 1 + 1**2 / 1)
    half = stats.t.ppf(0.975, degrees) * 5**0.5
    assert (mean, low, high) == pytest.approx((4, 4 - half, 4 + half))


def test_with_one_base_it_is_students_interval():
    values = np.array([0.1, 0.2, 0.4])
    half = stats.t.ppf(0.975, 2) * stats.sem(values)
    assert two_way_mean(values[None]) == pytest.approx(
        (values.mean(), values.mean() - half, values.mean() + half)
    )
    assert np.isnan(two_way_mean(np.array([[0.3]]))[1:]).all()


def test_intervals_hold_the_mean_as_often_as_they_say():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        own = rng.normal(size=(6, 1)) + rng.normal(size=(1, 7)) + 0.5 * rng.normal(size=(6, 7))
        _, low, high = two_way_mean(own)
        held += low < 0 < high
    assert 0.93 <= held / 400 <= 1


def test_drawing_all_images_once_gives_the_study_itself(monkeypatch):
    rng = np.random.default_rng(0)
    right = rng.random((3, 50)) < 0.7

    class Once:
        def integers(self, count, size):
            return np.arange(count)

    found = bases.resample_images(right, [0, 1], [0, 2], 1, Once())
    assert found[X][0] == pytest.approx(
        np.array([[NAN, (right[0] ^ right[2]).mean()],
                  [(right[1] ^ right[0]).mean(), (right[1] ^ right[2]).mean()]]), nan_ok=True,
    )  # fmt: skip
    kappa = cohen_kappa_score(right[1], right[2])
    assert found["error_consistency"][0, 1, 1] == pytest.approx(kappa)
    assert found["accuracy"][0, 0, 1] == pytest.approx(right[2].mean())


def test_classes_of_one_model_each_are_as_uneven_as_can_be():
    labels = np.repeat([0, 1], 30)
    first, second = labels == 0, labels == 1
    found = class_heterogeneity(np.array([first, second]), labels, [0], [1])
    # Pearson's chi-squared is 60, of which chance gives 60 / 59.
    assert found[0, 0] == pytest.approx(1 - 1 / 59)
    assert np.isnan(class_heterogeneity(np.array([first, first]), labels, [0], [1])[0, 0])
    few = slice(0, 60, 4)  # 15 discordant images
    found = class_heterogeneity(np.array([first, second])[:, few], labels[few], [0], [1])
    assert np.isnan(found[0, 0])


def test_heterogeneity_is_pearsons_and_nothing_on_average():
    rng = np.random.default_rng(0)
    labels = rng.integers(5, size=400)
    found = []
    for _ in range(300):
        winner = rng.random(400) < 0.3
        found.append(class_heterogeneity(np.array([winner, ~winner]), labels, [0], [1])[0, 0])
    assert abs(np.mean(found)) < 3 * np.std(found) / 300**0.5
    table = [np.bincount(labels[rows], minlength=5) for rows in (winner, ~winner)]
    squared = stats.chi2_contingency(table, correction=False).statistic
    assert found[-1] == pytest.approx(squared / 400 - 4 / 399)
