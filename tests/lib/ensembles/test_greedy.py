"""Greedy ensembles, triples and scores are the dense ones, whatever the blocks and threads."""

from itertools import combinations

import h5py
import numpy as np
import pytest
from scipy.special import softmax

from workflow.lib.ensembles.greedy import count_triples, grow, read_candidates, score_ensembles
from workflow.lib.ensembles.pairs import count_pairs
from workflow.lib.measures.pairs import MEANS
from workflow.lib.measures.statistics import paired_gain
from workflow.lib.run.errors import InputError

pytestmark = pytest.mark.numeric


def member_scores(logits, temperatures, mean):
    scaled = [x.astype(np.float64) / t for x, t in zip(logits, temperatures, strict=True)]
    return scaled if mean == "logit" else [softmax(x, axis=1) for x in scaled]


def dense_grow(logits, labels, temperatures, base, pool, size, mean, replacement):
    """The definition, spelt out: all candidates added to all classes at every step."""
    scores = member_scores(logits, temperatures, mean)
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
            return members, correct, (best, most)
        members.append(best)
        correct.append(most)
        total = total + scores[best]
    return members, correct, None


def models_that_agree(models, examples, classes, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, examples)
    shared = rng.normal(size=(examples, classes)) * 1.5
    shared[np.arange(examples), labels] += 2.5
    logits = [
        (shared + rng.normal(size=shared.shape) * noise).astype(np.float32) for _ in range(models)
    ]
    return logits, labels, rng.uniform(0.4, 2.5, models)


def check(logits, labels, temperatures, size=5, threads=1, memory=1e9):
    """Compare all ways to grow from the first model, from a pool that it is in."""
    candidates = read_candidates(logits, labels, temperatures, threads=threads, memory=memory)
    pool, paths = list(range(len(logits))), []
    for mean in MEANS:
        for replacement in (False, True):
            found = grow(
                candidates, 0, pool, size=size, mean=mean, replacement=replacement, threads=threads
            )
            wanted = dense_grow(logits, labels, temperatures, 0, pool, size, mean, replacement)
            assert found == wanted
            paths.append((mean, *found[:2]))
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
    candidates = read_candidates([base, second, third, copy], np.zeros(4, int), np.ones(4))
    options = {"mean": "logit", "replacement": False}
    # Second and third are equally good: the earlier comes first. The last row is never right.
    path = grow(candidates, 0, [1, 2, 3], size=4, **options)
    assert path == ([0, 1, 2], [1, 2, 3], (3, 3))
    assert grow(candidates, 0, [2, 1, 3], size=4, **options)[0] == [0, 2, 1]
    assert grow(candidates, 0, [3, 2, 1], size=4, **options)[0] == [0, 3, 2]
    assert grow(candidates, 0, [1, 2, 3], size=2, **options) == ([0, 1], [1, 2], None)
    assert grow(candidates, 0, [1, 2, 3], size=1, **options) == ([0], [1], None)


def test_only_with_replacement_a_model_comes_in_twice():
    base = np.array([[-3.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    other = np.array([[2.0, 0.0], [0.0, 0.0], [2.0, 0.0]])  # once: -1, 1, 1; twice: 1, 1, 3
    candidates = read_candidates([base, other], np.zeros(3, int), [1.0, 1.0])
    options = {"size": 5, "mean": "logit"}
    # To add either once more leaves all three right.
    assert grow(candidates, 0, [0, 1], replacement=True, **options)[:2] == ([0, 1, 1], [1, 2, 3])
    assert grow(candidates, 0, [0, 1], replacement=False, **options) == ([0, 1], [1, 2], None)
    assert grow(candidates, 0, [0], replacement=False, **options) == ([0], [1], None)


def test_what_does_not_help_is_refused_and_named():
    base = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    one, two = np.array([[-2.0, 0.0], [0.0, 0.0], [0.0, 0.0]]), np.full((3, 2), [-2.0, 0.0])
    candidates = read_candidates([base, two, one], np.zeros(3, int), np.ones(3))
    options = {"size": 5, "mean": "logit", "replacement": False}
    assert grow(candidates, 0, [1, 2], **options) == ([0], [3], (2, 2))


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


@pytest.mark.parametrize(("examples", "classes"), [(700, 30), (20, 1000)])
@pytest.mark.parametrize("threads", [1, 3])
def test_scores_what_was_selected_by(examples, classes, threads):
    logits, labels, temperatures = models_that_agree(5, examples, classes)
    _, paths = check(logits, labels, temperatures)
    ensembles = [(mean, members) for mean, members, _ in paths]
    seen = []
    scored = score_ensembles(
        logits, labels, temperatures, ensembles, threads=threads, progress=seen.append
    )
    assert sum(seen) == examples
    for right, (_, members, correct) in zip(scored, paths, strict=True):
        assert right.shape == (len(members), examples)
        assert right.sum(axis=1).tolist() == correct


def test_scores_a_tie_for_the_lowest_class():
    logits = [np.array([[2.0, 1.0, 0.0]]), np.array([[1.0, 2.0, 0.0]])]
    for label, expected in ((0, [[True], [True]]), (1, [[False], [False]])):
        for mean in MEANS:
            (right,) = score_ensembles(logits, np.array([label]), [1.0, 1.0], [(mean, [0, 1])])
            assert right.tolist() == expected


def test_only_the_models_of_ensembles_are_read():
    class Unreadable:
        shape = (9, 3)

        def __getitem__(self, rows):
            raise AssertionError("read")

    logits, labels, _ = models_that_agree(2, 9, 3)
    ensembles = [("logit", [2, 0])]
    score_ensembles([logits[0], Unreadable(), logits[1]], labels, np.ones(3), ensembles)


@pytest.mark.parametrize(
    ("models", "examples", "classes", "noise"),
    [(5, 400, 10, 1), (4, 200, 300, 1), (4, 200, 50, 1e-4), (3, 1, 2, 1), (2, 9, 4, 1)],
)
@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("threads", [1, 3])
def test_triples_are_the_dense_ones(models, examples, classes, noise, mean, threads):
    logits, labels, temperatures = models_that_agree(models, examples, classes, noise=noise)
    check_triples(logits, labels, temperatures, mean, threads)


@pytest.mark.parametrize("mean", MEANS)
def test_triples_are_the_dense_ones_among_ties_and_flat_models(mean):
    rng = np.random.default_rng(2)
    tied = [rng.integers(0, 3, (500, 12)).astype(np.float32) for _ in range(4)]
    flat = [rng.normal(size=(200, 400)).astype(np.float32) * 0.01 for _ in range(4)]
    check_triples(tied, rng.integers(0, 12, 500), np.ones(4), mean)
    check_triples(flat, rng.integers(0, 400, 200), np.ones(4), mean)


def check_triples(logits, labels, temperatures, mean, threads=1):
    counts = count_triples(logits, labels, temperatures, mean=mean, threads=threads)
    scores = member_scores(logits, temperatures, mean)
    expected = np.zeros_like(counts)
    for a, b, c in combinations(range(len(logits)), 3):
        expected[a, b, c] = ((scores[a] + scores[b] + scores[c]).argmax(1) == labels).sum()
    np.testing.assert_array_equal(counts, expected)


def test_a_triple_of_two_and_a_model_without_opinion_is_the_pair():
    logits, labels, temperatures = models_that_agree(2, 500, 8)
    silent = np.zeros_like(logits[0])
    counts = count_triples([*logits, silent], labels, [*temperatures, 1.0], mean="logit")
    pair = count_pairs(logits, labels, temperatures)
    right = pair.both_right[0, 1] + pair.converted["logit"][0, 1] + pair.rescued["logit"][0, 1]
    assert counts[0, 1, 2] == right
    assert counts.sum() == right


def test_streams_from_hdf5(tmp_path):
    logits, labels, temperatures = models_that_agree(4, 1100, 200)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for i, values in enumerate(logits):
            file.create_dataset(str(i), data=values, chunks=(64, 200))
    seen = []
    with h5py.File(tmp_path / "a.h5", rdcc_nbytes=0) as file:
        arrays = [file[str(i)] for i in range(4)]
        candidates = read_candidates(
            arrays, labels, temperatures, threads=2, memory=1e4, progress=seen.append
        )
        for mean in MEANS:
            found = grow(candidates, 3, [0, 1, 2], size=4, mean=mean, replacement=False, threads=2)
            assert found == dense_grow(
                logits, labels, temperatures, 3, [0, 1, 2], 4, mean, replacement=False
            )
    assert candidates.classes.shape[2] == 4
    assert sum(seen) == 4 * 1100


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


def run_all(logits, labels, temperatures, names):
    yield lambda: read_candidates(logits, labels, temperatures, names=names)
    yield lambda: score_ensembles(
        logits, labels, temperatures, [("logit", [0, 1, 2])], names=names, threads=2
    )
    yield lambda: count_triples(logits, labels, temperatures, mean="logit", names=names, threads=2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_refused_with_their_model(value):
    logits, labels, temperatures = models_that_agree(3, 30, 5)
    logits[1][7, 2] = value
    for call in run_all(logits, labels, temperatures, ["first", "second", "third"]):
        with pytest.raises(InputError, match="logits of 'second' hold NaN or infinity"):
            call()


def test_what_does_not_fit_is_refused_with_its_model():
    logits, labels, temperatures = models_that_agree(3, 30, 5)
    names = ["first", "second", "third"]
    for call in run_all([logits[0], logits[1][:, :4], logits[2]], labels, temperatures, names):
        with pytest.raises(InputError, match=r"'second' have the shape \(30, 4\), not \(30, 5\)"):
            call()
    for temperature in (0.0, -1.0, np.nan, np.inf):
        for call in run_all(logits, labels, [1.0, 1.0, temperature], names):
            with pytest.raises(InputError, match=r"temperature of 'third' is .*, not positive"):
                call()
    for call in run_all(logits, labels + 1, temperatures, names):
        with pytest.raises(InputError, match="labels go from 1 to 5: 5 classes"):
            call()
