"""How images fare with all models: by hand, and against a plain computation."""

import time
from collections import Counter

import numpy as np
import pytest

from workflow.lib.measures.images import describe_images

pytestmark = pytest.mark.numeric


def test_images_described_by_hand():
    top = np.array(
        [
            [0, 1, 1, 2, -1, 0],
            [0, 1, 1, 1, -1, 1],
            [0, 1, 2, 0, -1, 0],
            [2, 1, 2, 1, -1, 1],
        ]
    )
    confidence = np.array(
        [
            [0.9, 0.8, 0.5, 0.5, np.nan, 0.7],
            [0.8, np.nan, 0.5, 0.4, np.nan, 0.9],
            [0.7, 0.9, 0.7, 0.3, np.nan, 0.8],
            [0.6, 1.0, 0.5, 0.8, np.nan, 0.4],
        ]
    )
    labels = np.array([0, 0, 0, 1, 1, 0])
    table = describe_images(top, confidence, labels, ["base", "arch", "arch", "dataset"])
    assert table["right"].tolist() == [3, 0, 0, 2, 0, 2]
    assert table["right_arch"].tolist() == [2, 0, 0, 1, 0, 1]
    assert table["right_base"].tolist() == [1, 0, 0, 0, 0, 1]
    # Of the third, two answer 1 with a mean of 0.5, and two 2, with one of 0.6; of the last, two
    # answer the label, which counts though others are as many.
    assert table["answer"].tolist() == [0, 1, 2, 1, -1, 0]
    assert table["agree"].tolist() == [3, 4, 2, 2, 0, 2]
    expected = [0.8, 0.9, 0.6, 0.6, np.nan, 0.75]
    np.testing.assert_allclose(table["confidence"], expected)
    assert table["rank"].tolist()[1:3] == [1, 2]
    assert table["rank"].isna().tolist() == [True, False, False, True, True, True]


def plainly(top, confidence, labels):
    """The same with loops."""
    rows = []
    for image, label in enumerate(labels):
        votes = Counter(answer for answer in top[:, image] if answer >= 0)
        best = (0, False, 0.0, 0, -1, np.nan)
        for answer, count in votes.items():
            own = confidence[top[:, image] == answer, image]
            own = own[~np.isnan(own)]
            mean = own.mean() if len(own) else np.nan
            key = count, answer == label, 0.0 if np.isnan(mean) else mean, -answer
            if key > best[:4] or best[4] < 0:
                best = (*key, answer, mean)
        rows.append((best[4], best[0], best[5]))
    against = [i for i, (answer, count, _) in enumerate(rows) if count and answer != labels[i]]
    against.sort(key=lambda i: (-rows[i][1], -np.nan_to_num(rows[i][2]), i))
    return rows, against


@pytest.mark.parametrize("seed", range(10))
def test_images_agree_with_a_plain_computation(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    models, examples, classes = rng.integers(1, 9), 60, rng.integers(2, 5)
    top = rng.integers(-1, classes, (models, examples))
    confidence = rng.choice([0.25, 0.5, 1.0, np.nan], (models, examples))
    labels = rng.integers(0, classes, examples)
    monkeypatch.setattr("workflow.lib.measures.images.MOST_IN_A_BLOCK", int(7 * models))
    table = describe_images(top, confidence, labels, ["base"] * models)
    rows, against = plainly(top, confidence, labels)
    assert table["answer"].tolist() == [answer for answer, _, _ in rows]
    assert table["agree"].tolist() == [count for _, count, _ in rows]
    np.testing.assert_allclose(table["confidence"], [mean for _, _, mean in rows])
    ranked = table.dropna(subset="rank").sort_values("rank")
    assert ranked.index.tolist() == against
    assert ranked["rank"].tolist() == list(range(1, len(against) + 1))


def test_fifty_thousand_images_of_a_hundred_models_take_seconds():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 1000, 50_000)
    top = np.where(rng.random((108, 50_000)) < 0.75, labels, rng.integers(0, 1000, (108, 50_000)))
    start = time.process_time()
    table = describe_images(top, rng.random(top.shape), labels, ["base"] * 108)
    assert time.process_time() - start < 15
    assert len(table) == 50_000
    np.testing.assert_array_equal(table["right"], (top == labels).sum(axis=0))


def test_answers_as_small_integers_and_no_image():
    top = np.array([[3, 0], [3, 1]], np.uint16)
    table = describe_images(top, np.full((2, 2), np.nan), np.array([3, 3]), ["base", "arch"])
    assert table["answer"].tolist() == [3, 0]
    none = describe_images(top[:, :0], np.zeros((2, 0)), np.zeros(0, int), ["base", "arch"])
    assert len(none) == 0 and "rank" in none
