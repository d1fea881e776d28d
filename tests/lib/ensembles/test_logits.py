"""The reader refuses what does not fit, and shows every example to every task once."""

import numpy as np
import pytest

from tests.lib.ensembles.dense import models_that_agree
from workflow.lib.data.splits import Split
from workflow.lib.ensembles.greedy import read_candidates
from workflow.lib.ensembles.logits import Logits, PerThread, runs, stream
from workflow.lib.ensembles.pairs import count_pairs
from workflow.lib.ensembles.score import score_ensembles
from workflow.lib.ensembles.triples import count_triples
from workflow.lib.outputs import store
from workflow.lib.run.errors import InputError

NAMES = ["first", "second", "third"]

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_logits_that_are_not_finite_are_refused_with_their_model(value, kind):
    arrays, labels, temperatures = models_that_agree(3, 30, 5)
    arrays = [values.astype(kind) for values in arrays]
    arrays[1][7, 2] = value
    logits = Logits(arrays, labels, temperatures, NAMES)
    for call in (
        lambda: count_pairs(logits, threads=2),
        lambda: count_triples(logits, "logit", threads=2),
        lambda: read_candidates(logits),
        lambda: score_ensembles(logits, [("logit", [0, 1, 2])], threads=2),
        lambda: logits.read(1, slice(5, 9)),
    ):
        with pytest.raises(InputError, match="logits of 'second' hold NaN or infinity"):
            call()


def test_what_does_not_fit_is_refused_with_its_model():
    arrays, labels, temperatures = models_that_agree(3, 30, 5)
    with pytest.raises(InputError, match=r"'second' have the shape \(30, 4\), not \(30, 5\)"):
        Logits([arrays[0], arrays[1][:, :4], arrays[2]], labels, temperatures, NAMES)
    for temperature in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InputError, match=r"temperature of 'third' is .*, not positive"):
            Logits(arrays, labels, [1.0, 1.0, temperature], NAMES)
    with pytest.raises(InputError, match="labels go from 1 to 5: 5 classes"):
        Logits(arrays, labels + 1, temperatures)


@pytest.mark.parametrize(("examples", "classes"), [(1, 3), (1300, 4), (50, 1000)])
@pytest.mark.parametrize(("threads", "memory"), [(1, 100e6), (3, 1e3)])
def test_every_example_comes_once_to_every_task(examples, classes, threads, memory):
    logits = Logits(*models_that_agree(3, examples, classes))
    seen, counts, told = np.full((3, *logits.shape[:2]), np.nan), PerThread(2), []

    def first(strip, rows):
        seen[0, :, rows] = strip.values[:, strip.start : strip.stop, 0]
        counts.own[0] += rows.stop - rows.start

    def second(strip, rows):
        seen[1, :, rows] = strip.scaled.max(axis=2)
        exponentials, sums = strip.at(np.ones(3)).softmax
        seen[2, :, rows] = (exponentials / sums[..., None]).sum(axis=2)
        counts.own[1] += rows.stop - rows.start

    stream(logits, first, second, threads=threads, memory=memory, progress=told.append)
    whole = np.array(logits.arrays)
    np.testing.assert_array_equal(seen[0], whole[..., 0])
    np.testing.assert_array_equal(seen[1], whole.max(axis=2) / logits.temperatures[:, None])
    np.testing.assert_allclose(seen[2], 1)
    assert counts.sum().tolist() == [examples, examples]
    assert sum(told) == examples


def test_runs_are_cut_at_gaps_and_not_too_long():
    rows = np.array([0, 3, 4, 30, 31, 900])
    assert [part.tolist() for part in runs(rows)] == [[0, 3, 4], [30, 31], [900]]
    parts = list(runs(np.arange(2000)))
    assert np.concatenate(parts).tolist() == list(range(2000))
    assert max(map(len, parts)) <= 513
    assert list(runs(np.array([], int))) == []


def test_rows_of_a_run_are_those_asked_for():
    logits = Logits(*models_that_agree(2, 40, 3))
    rows = np.array([5, 6, 11])
    np.testing.assert_array_equal(logits.scattered(1, rows), logits.arrays[1][rows])


def test_a_part_of_a_file_is_its_rows_and_classes(tmp_path):
    rng = np.random.default_rng(0)
    held = Split(np.array([f"i{n}" for n in range(40)]), rng.integers(0, 6, 40))
    values = rng.normal(size=(40, 6)).astype(np.float32)
    path = tmp_path / "model" / "test.h5"
    store.write(path, held, lambda rows: (values[rows], None), {"model": "model"})
    kept = np.array([1, 2, 5])
    rows = np.array([30, 3, 4, 17])
    some = Split(held.ids[rows], np.array([5, 1, 0, 2]), np.array([[1], [-1], [2], [-1]]), kept)
    with Logits.open([path], some, [1.0], ["model"], held) as logits:
        assert logits.shape == (1, 4, 3)
        np.testing.assert_array_equal(logits.read(0, slice(0, 4)), values[rows][:, kept])
        np.testing.assert_array_equal(logits.read(0, slice(1, 3)), values[rows][1:3][:, kept])
        # 5 and 1 are the third and the first of those kept; 0 is not, so 2 comes first.
        np.testing.assert_array_equal(logits.accepted, [[2, 0], [0, -1], [1, -1], [1, -1]])
        np.testing.assert_array_equal(logits.labels, [2, 0, 1, 1])
        assert logits.right(np.array([[0, 1, 2, 1]])).tolist() == [[True, False, False, True]]
    with Logits.open([path], held, [1.0], ["model"]) as logits:
        np.testing.assert_array_equal(logits.read(0, slice(0, 40)), values)
