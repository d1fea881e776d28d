"""Greedy ensembles are the dense ones, whatever the blocks and threads."""

import h5py
import numpy as np
import pytest

from tests.lib.ensembles.dense import member_scores, models_that_agree
from workflow.lib.ensembles.combine import COMBINATIONS
from workflow.lib.ensembles.greedy import grow, read_candidates
from workflow.lib.ensembles.logits import Logits
from workflow.lib.measures.statistics import paired_gain

pytestmark = pytest.mark.numeric


def dense_grow(logits, labels, temperatures, base, pool, size, combination, replacement):
    """The definition, spelt out: all candidates added to all classes at every step."""
    scores = member_scores(logits, temperatures, combination)
    members, total = [base], scores[base].copy()
    correct = [(total.argmax(1) == labels).sum()]
    while len(members) < size:
        best, most = None, -1
        for model in pool:
            if replacement or model not in members:
                count = ((total + scores[model]).argmax(1) == labels).sum()
                if count > most:
                    best, most = model, count
        if best is None:
            break
        if most <= correct[-1]:
            return [*members, best], [*correct, most], True
        members.append(best)
        correct.append(most)
        total = total + scores[best]
    return members, correct, False


def check(logits, labels, temperatures, size=5, threads=1, memory=1e9):
    """Compare all ways to grow from the first model, from a pool that it is in."""
    candidates = read_candidates(
        Logits(logits, labels, temperatures), threads=threads, memory=memory
    )
    pool, paths = list(range(len(logits))), []
    for combination in COMBINATIONS:
        for replacement in (False, True):
            own = {"size": size, "combination": combination, "replacement": replacement}
            found = grow(candidates, 0, pool, threads=threads, **own)
            wanted = dense_grow(logits, labels, temperatures, 0, pool, **own)
            assert found[:3] == wanted
            assert found.right.sum(axis=1).tolist() == found.correct
            enter = len(found.members) - found.refused
            paths.append((combination, found.members[:enter], found.correct[:enter]))
    return candidates, paths


@pytest.mark.parametrize(
    ("models", "examples", "classes"),
    [(6, 1300, 10), (4, 333, 2), (5, 700, 300), (3, 1, 5), (4, 40, 33)],
)
@pytest.mark.parametrize(("threads", "memory"), [(1, 1e9), (3, 1e3)])
def test_grows_as_the_dense_search_does(models, examples, classes, threads, memory):
    data = models_that_agree(models, examples, classes)
    check(*data, threads=threads, memory=memory)


def test_grows_as_the_dense_search_does_where_rows_must_be_read_whole():
    # Nearly flat, unrelated models: a few of a thousand classes settle next to nothing.
    rng = np.random.default_rng(1)
    logits = [rng.normal(size=(600, 1000)).astype(np.float32) * 0.01 for _ in range(4)]
    candidates, _ = check(logits, rng.integers(0, 1000, 600), np.ones(4))
    assert candidates.cache
    # And with no room to keep them.
    candidates, _ = check(logits, rng.integers(0, 1000, 600), np.ones(4), memory=1.0)
    assert not candidates.cache


def test_grows_as_the_dense_search_does_among_ties():
    rng = np.random.default_rng(2)
    logits = [rng.integers(0, 3, (900, 60)).astype(np.float32) for _ in range(4)]
    check(logits, rng.integers(0, 60, 900), np.ones(4))


def test_grows_as_the_dense_search_does_for_float64():
    logits, labels, temperatures = models_that_agree(4, 400, 50)
    rng = np.random.default_rng(4)
    check([x + rng.normal(size=x.shape) for x in logits], labels, temperatures)


def test_a_path_worked_out_by_hand():
    # Of two classes, logits of class 0 against 0 for class 1; labels are 0: right if positive.
    def model(*margins):
        return np.array([[margin, 0.0] for margin in margins], np.float32)

    base = model(3, -1, -2, -9)
    second = model(0, 2, 1, 0)  # with the base 3, 1, -1, -9: one more is right
    third = model(-1, 0, 4, 0)  # with the base 2, -1, 2, -9: one more; with both 2, 1, 3, -9
    copy = second.copy()
    candidates = read_candidates(Logits([base, second, third, copy], np.zeros(4, int), np.ones(4)))
    options = {"combination": "logit", "replacement": False}
    # Second and third are equally good: the earlier comes first. The last row is never right.
    path = grow(candidates, 0, [1, 2, 3], size=4, **options)
    assert path[:3] == ([0, 1, 2, 3], [1, 2, 3, 3], True)
    # Rows that are right: the last one is never.
    assert path.right[:, 3].tolist() == [False] * 4
    assert grow(candidates, 0, [2, 1, 3], size=4, **options)[0] == [0, 2, 1, 3]
    assert grow(candidates, 0, [3, 2, 1], size=4, **options)[0] == [0, 3, 2, 1]
    assert grow(candidates, 0, [1, 2, 3], size=2, **options)[:3] == ([0, 1], [1, 2], False)
    assert grow(candidates, 0, [1, 2, 3], size=1, **options)[:3] == ([0], [1], False)


def test_only_with_replacement_a_model_comes_in_twice():
    base = np.array([[-3.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    other = np.array([[2.0, 0.0], [0.0, 0.0], [2.0, 0.0]])  # once: -1, 1, 1; twice: 1, 1, 3
    candidates = read_candidates(Logits([base, other], np.zeros(3, int), [1.0, 1.0]))
    options = {"size": 5, "combination": "logit"}
    # To add one once more makes no more right.
    path = grow(candidates, 0, [0, 1], replacement=True, **options)
    assert path[:3] == ([0, 1, 1, 1], [1, 2, 3, 3], True)
    assert grow(candidates, 0, [0, 1], replacement=False, **options)[:3] == ([0, 1], [1, 2], False)
    assert grow(candidates, 0, [0], replacement=False, **options)[:3] == ([0], [1], False)


def test_what_does_not_help_is_refused_and_named():
    base = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    one, two = np.array([[-2.0, 0.0], [0.0, 0.0], [0.0, 0.0]]), np.full((3, 2), [-2.0, 0.0])
    candidates = read_candidates(Logits([base, two, one], np.zeros(3, int), np.ones(3)))
    options = {"size": 5, "combination": "logit", "replacement": False}
    assert grow(candidates, 0, [1, 2], **options)[:3] == ([0, 2], [3, 2], True)


def test_adding_never_lowers_what_is_selected_by():
    _, paths = check(*models_that_agree(8, 500, 20), size=8)
    for _, members, correct in paths:
        assert (np.diff(correct) > 0).all()
        assert len(members) > 2
    for without, replaced in (paths[:2], paths[2:]):
        # The first step has the same choice, since to add the base to itself changes nothing.
        assert without[1][:2] == replaced[1][:2]


def test_does_not_depend_on_the_order_of_rows_or_names_of_classes():
    logits, labels, temperatures = models_that_agree(5, 400, 40)
    rng = np.random.default_rng(3)
    rows, classes = rng.permutation(400), rng.permutation(40)
    _, before = check(logits, labels, temperatures)
    moved = [values[rows][:, classes] for values in logits]
    assert check(moved, np.argsort(classes)[labels[rows]], temperatures)[1] == before


def test_streams_from_hdf5(tmp_path):
    logits, labels, temperatures = models_that_agree(4, 1100, 200)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for i, values in enumerate(logits):
            file.create_dataset(str(i), data=values, chunks=(64, 200))
    seen = []
    with h5py.File(tmp_path / "a.h5", rdcc_nbytes=0) as file:
        arrays = [file[str(i)] for i in range(4)]
        candidates = read_candidates(
            Logits(arrays, labels, temperatures), threads=2, memory=1e4, progress=seen.append
        )
        for combination in COMBINATIONS:
            found = grow(
                candidates,
                3,
                [0, 1, 2],
                size=4,
                combination=combination,
                replacement=False,
                threads=2,
            )
            assert found[:3] == dense_grow(
                logits, labels, temperatures, 3, [0, 1, 2], 4, combination, replacement=False
            )
    assert candidates.classes.shape[2] == 4
    assert sum(seen) == 1100


def test_gain_worked_out_by_hand():
    # 6 of 100 become right and 2 wrong: mean 0.04, mean square 0.08.
    before = np.repeat([False, True, True, False], [6, 2, 50, 42])
    right = np.repeat([True, False, True, False], [6, 2, 50, 42])
    half = 1.959964 * np.sqrt((0.08 - 0.04**2) / 100)
    np.testing.assert_allclose(
        paired_gain(right, before), (0.04, 0.04 - half, 0.04 + half), rtol=1e-6
    )
    assert paired_gain(before, before) == (0, 0, 0)
    assert np.isnan(paired_gain(before[:0], before[:0])).all()
    gain, low, high = paired_gain(before, right)
    assert (gain, low, high) == pytest.approx((-0.04, -0.04 - half, -0.04 + half))
