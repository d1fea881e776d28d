"""The streaming engine gives the dense answer on every pair, whatever its blocks and threads."""

import threading

import h5py
import numpy as np
import pytest
from scipy.special import softmax

from workflow.lib.ensembles.pairs import count_pairs
from workflow.lib.measures.pairs import MEANS
from workflow.lib.run.errors import InputError

pytestmark = pytest.mark.numeric


def dense(logits, labels, temperatures):
    """The definition, spelt out: counts by pair, adding all classes in float64."""
    scaled = [x.astype(np.float64) / t for x, t in zip(logits, temperatures, strict=True)]
    right = np.array([x.argmax(1) == labels for x in scaled])
    models = len(logits)
    found = {name: np.zeros((2, models, models), int) for name in MEANS}
    for a in range(models):
        for b in range(models):
            for mean, scores in (("probability", [softmax(x, axis=1) for x in scaled]),
                                 ("logit", scaled)):  # fmt: skip
                if a != b:
                    ensemble = (scores[a] + scores[b]).argmax(1) == labels
                    assert ensemble[right[a] & right[b]].all()
                    found[mean][0, a, b] = (ensemble & (right[a] ^ right[b])).sum()
                    found[mean][1, a, b] = (ensemble & ~right[a] & ~right[b]).sum()
    return right, found


def models_that_agree(models, examples, classes, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, examples)
    shared = rng.normal(size=(examples, classes)) * 1.5
    shared[np.arange(examples), labels] += 2.5
    logits = [
        (shared + rng.normal(size=shared.shape) * noise).astype(np.float32) for _ in range(models)
    ]
    return logits, labels, rng.uniform(0.4, 2.5, models)


def check(logits, labels, temperatures, **options):
    counts = count_pairs(logits, labels, temperatures, **options)
    right, found = dense(logits, labels, temperatures)
    np.testing.assert_array_equal(counts.correct, right.sum(1))
    np.testing.assert_array_equal(counts.both_right, right.astype(int) @ right.T.astype(int))
    for mean in MEANS:
        np.testing.assert_array_equal(counts.converted[mean], found[mean][0])
        np.testing.assert_array_equal(counts.rescued[mean], found[mean][1])
    return counts


@pytest.mark.parametrize(
    ("models", "examples", "classes"),
    [(5, 700, 10), (4, 333, 2), (3, 50, 3), (4, 400, 1000), (2, 1, 5), (2, 17, 17), (1, 9, 4)],
)
@pytest.mark.parametrize(("threads", "memory"), [(1, 400e6), (3, 1e4)])
def test_equals_the_dense_answer(models, examples, classes, threads, memory):
    data = models_that_agree(models, examples, classes)
    check(*data, threads=threads, memory=memory)


def test_equals_the_dense_answer_where_all_classes_must_be_looked_at():
    # Nearly flat, unrelated models: 16 candidates of a thousand settle next to nothing.
    rng = np.random.default_rng(1)
    logits = [rng.normal(size=(300, 1000)).astype(np.float32) * 0.01 for _ in range(3)]
    counts = check(logits, rng.integers(0, 1000, 300), [1.0, 1.0, 1.0])
    logits[0][:] = 0
    check(logits, np.zeros(300, int), [1.0, 1.0, 1.0])
    assert counts.examples == 300


def test_equals_the_dense_answer_among_ties():
    rng = np.random.default_rng(2)
    logits = [rng.integers(0, 3, (2000, 6)).astype(np.float32) for _ in range(4)]
    counts = check(logits, rng.integers(0, 6, 2000), np.ones(4))
    assert counts.rescued["logit"].sum() > 0


def test_equals_the_dense_answer_for_near_duplicates():
    logits, labels, temperatures = models_that_agree(4, 500, 100, noise=1e-4)
    check(logits, labels, np.full(4, temperatures[0]))


def test_a_pair_worked_out_by_hand():
    # Rows: both right; only the first, converted; only the second, lost; both wrong, rescued.
    first = np.log([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.45, 0.25]])
    second = np.log([[0.6, 0.3, 0.1], [0.4, 0.5, 0.1], [0.5, 0.4, 0.1], [0.3, 0.2, 0.5]])
    counts = count_pairs([first, second], np.zeros(4, int), [1.0, 1.0])
    # Sums of probabilities: 1.4; 1.1 and 0.7; 0.6 and 1.2; 0.6, 0.65 and 0.75: not rescued.
    assert counts.correct.tolist() == [2, 2]
    assert counts.both_right[0, 1] == 1
    assert counts.converted["probability"][0, 1] == 1
    assert counts.rescued["probability"][0, 1] == 0
    # Products: 0.28 and 0.1; 0.05 and 0.32; 0.09, 0.09 (0.45 x 0.2) and 0.125: not rescued.
    assert counts.converted["logit"][0, 1] == 1
    assert counts.rescued["logit"][0, 1] == 0


def test_what_both_get_wrong_can_be_rescued():
    # The label is second for both, whose first choices differ: 0.8 beats 0.5 + 0.1.
    first = np.log([[0.4, 0.5, 0.1]])
    second = np.log([[0.4, 0.1, 0.5]])
    counts = count_pairs([first, second], np.array([0]), [1.0, 1.0])
    assert counts.correct.tolist() == [0, 0]
    assert counts.rescued["probability"][0, 1] == counts.rescued["logit"][0, 1] == 1


def test_a_tie_goes_to_the_lowest_class():
    first, second = np.array([[2.0, 1.0, 0.0]]), np.array([[1.0, 2.0, 0.0]])
    for label, converted in ((0, 1), (1, 0)):
        counts = count_pairs([first, second], np.array([label]), [1.0, 1.0])
        assert counts.converted["logit"][0, 1] == converted
        assert counts.converted["probability"][0, 1] == converted


def test_float64_logits_are_not_rounded_to_float32():
    # Float32 holds neither 1 + 1e-10 apart from 1, nor 1e300.
    first, second = np.array([[1.0, 1.0 + 1e-10, 0.0]]), np.array([[1e300, 0.0, -1e300]])
    counts = count_pairs([first, second], np.array([0]), [1.0, 1.0])
    assert counts.correct.tolist() == [0, 1]
    mixed = count_pairs([first, np.zeros((1, 3), np.float32)], np.array([1]), [1.0, 1.0])
    assert mixed.correct.tolist() == [1, 0]
    assert mixed.converted["logit"][0, 1] == 1


def test_equals_the_dense_answer_for_float64():
    logits, labels, temperatures = models_that_agree(4, 400, 30)
    rng = np.random.default_rng(4)
    check([x + rng.normal(size=x.shape) for x in logits], labels, temperatures, threads=2)


def test_progress_is_told_in_the_calling_thread():
    logits, labels, temperatures = models_that_agree(2, 200, 5)
    told = []
    count_pairs(
        logits, labels, temperatures, threads=3, memory=1e3,
        progress=lambda _: told.append(threading.get_ident()),
    )  # fmt: skip
    assert len(told) > 3
    assert set(told) == {threading.get_ident()}


def test_temperatures_decide_who_is_heard():
    first, second = np.array([[3.0, 0.0]]), np.array([[0.0, 2.0]])
    for temperatures, converted in (([1, 1], 1), ([2, 1], 0)):
        counts = count_pairs([first, second], np.array([0]), temperatures)
        assert counts.converted["logit"][0, 1] == converted


def test_does_not_depend_on_the_order_of_rows_or_models_or_names_of_classes():
    logits, labels, temperatures = models_that_agree(4, 300, 12)
    rng = np.random.default_rng(3)
    rows, classes, models = rng.permutation(300), rng.permutation(12), rng.permutation(4)
    before = count_pairs(logits, labels, temperatures)
    moved = [logits[model][rows][:, classes] for model in models]
    after = count_pairs(moved, np.argsort(classes)[labels[rows]], temperatures[models])
    for mean in MEANS:
        for name in ("converted", "rescued"):
            was, now = getattr(before, name)[mean], getattr(after, name)[mean]
            np.testing.assert_array_equal(now, was[np.ix_(models, models)])


def test_streams_from_hdf5(tmp_path):
    logits, labels, temperatures = models_that_agree(3, 600, 20)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for i, values in enumerate(logits):
            file.create_dataset(str(i), data=values, chunks=(64, 20))
    seen = []
    with h5py.File(tmp_path / "a.h5") as file:
        counts = count_pairs(
            [file[str(i)] for i in range(3)], labels, temperatures, progress=seen.append, memory=1e5
        )
    assert sum(seen) == 600
    np.testing.assert_array_equal(
        counts.converted["logit"], count_pairs(logits, labels, temperatures).converted["logit"]
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_logits_that_are_not_finite_are_refused_with_their_model(value, kind):
    logits, labels, temperatures = models_that_agree(3, 30, 5)
    logits = [values.astype(kind) for values in logits]
    logits[1][7, 2] = value
    with pytest.raises(InputError, match="logits of 'second' hold NaN or infinity"):
        count_pairs(logits, labels, temperatures, names=["first", "second", "third"])


def test_what_does_not_fit_is_refused():
    logits, labels, temperatures = models_that_agree(2, 30, 5)
    with pytest.raises(InputError, match=r"labels go from 0 to 5"):
        count_pairs(logits, np.where(labels == 1, 5, labels * 0), temperatures)
    with pytest.raises(InputError, match=r"'1' have the shape \(30, 4\)"):
        count_pairs([logits[0], logits[1][:, :4]], labels, temperatures)
    for temperature in (-1.0, 0.0, np.nan, np.inf):
        with pytest.raises(InputError, match=rf"temperature of '1' is {temperature}"):
            count_pairs(logits, labels, [1.0, temperature])
