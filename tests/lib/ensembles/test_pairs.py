"""The streaming engine gives the dense answer on every pair, whatever its blocks and threads."""

import threading
from itertools import permutations

import h5py
import numpy as np
import pytest

from tests.lib.ensembles.dense import member_scores, models_that_agree
from workflow.lib.ensembles.combine import COMBINATIONS
from workflow.lib.ensembles.logits import Logits, stream
from workflow.lib.ensembles.pairs import PairCounter, count_pairs, pair_classes
from workflow.lib.ensembles.whole import combine

pytestmark = pytest.mark.numeric


def dense(logits, labels, temperatures):
    """The definition, spelt out: counts by pair, adding all classes in float64."""
    right = np.array([x.argmax(1) == labels for x in logits])
    models = len(logits)
    found = {name: np.zeros((2, models, models), int) for name in COMBINATIONS}
    for combination, counts in found.items():
        scores = member_scores(logits, temperatures, combination)
        for a, b in permutations(range(models), 2):
            ensemble = (scores[a] + scores[b]).argmax(1) == labels
            assert ensemble[right[a] & right[b]].all()
            counts[0, a, b] = (ensemble & (right[a] ^ right[b])).sum()
            counts[1, a, b] = (ensemble & ~right[a] & ~right[b]).sum()
    return right, found


def check(logits, labels, temperatures, **options):
    counts = count_pairs(Logits(logits, labels, temperatures), **options)
    agree(counts, logits, labels, temperatures)
    return counts


def agree(counts, logits, labels, temperatures):
    right, found = dense(logits, labels, temperatures)
    np.testing.assert_array_equal(counts.correct, right.sum(1))
    np.testing.assert_array_equal(counts.both_right, right.astype(int) @ right.T.astype(int))
    for combination in COMBINATIONS:
        np.testing.assert_array_equal(counts.converted[combination], found[combination][0])
        np.testing.assert_array_equal(counts.rescued[combination], found[combination][1])


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


def test_several_right_labels_equal_the_dense_answer():
    logits, labels, temperatures = models_that_agree(4, 900, 9)
    rng = np.random.default_rng(3)
    accepted = np.stack([labels, rng.integers(-1, 9, 900), rng.integers(-1, 9, 900)], axis=1)
    for column in (1, 2):  # each label once
        again = (accepted[:, column, None] == accepted[:, :column]).any(axis=1)
        accepted[again, column] = -1
    data = Logits(logits, accepted, temperatures)
    counts = count_pairs(data, threads=2)
    combined = combine(
        data, [(a, b) for a in range(4) for b in range(a + 1, 4)], [np.ones(2)] * 6,
        np.zeros(900, int), 1,
    )  # fmt: skip

    def holds(top):
        return (top[:, None] == accepted).any(axis=1)

    right = np.array([holds(x.argmax(1)) for x in logits])
    np.testing.assert_array_equal(counts.both_right, right.astype(int) @ right.T.astype(int))
    np.testing.assert_array_equal(combined.alone.right, right)
    lost = 0
    for kind, name in enumerate(COMBINATIONS):
        scores = member_scores(logits, temperatures, name)
        for pair, (a, b) in enumerate(combined.ensembles):
            ensemble = holds((scores[a] + scores[b]).argmax(1))
            np.testing.assert_array_equal(combined.right[pair, kind], ensemble)
            both, neither = right[a] & right[b], ~right[a] & ~right[b]
            lost += (both & ~ensemble).sum()
            gained = (ensemble & neither).sum() - (~ensemble & both).sum()
            assert counts.rescued[name][a, b] == gained
            assert counts.converted[name][a, b] == (ensemble & (right[a] ^ right[b])).sum()
            whole = counts.both_right + counts.converted[name] + counts.rescued[name]
            assert whole[a, b] == ensemble.sum()
    assert lost > 0  # both right by different labels, and their ensemble by none


def test_a_pair_worked_out_by_hand():
    # Rows: both right; only the first, converted; only the second, lost; both wrong, rescued.
    first = np.log([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.45, 0.25]])
    second = np.log([[0.6, 0.3, 0.1], [0.4, 0.5, 0.1], [0.5, 0.4, 0.1], [0.3, 0.2, 0.5]])
    counts = count_pairs(Logits([first, second], np.zeros(4, int), [1.0, 1.0]))
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
    counts = count_pairs(Logits([first, second], np.array([0]), [1.0, 1.0]))
    assert counts.correct.tolist() == [0, 0]
    assert counts.rescued["probability"][0, 1] == counts.rescued["logit"][0, 1] == 1


def test_a_tie_goes_to_the_lowest_class():
    first, second = np.array([[2.0, 1.0, 0.0]]), np.array([[1.0, 2.0, 0.0]])
    for label, converted in ((0, 1), (1, 0)):
        counts = count_pairs(Logits([first, second], np.array([label]), [1.0, 1.0]))
        assert counts.converted["logit"][0, 1] == converted
        assert counts.converted["probability"][0, 1] == converted


def test_float64_logits_are_not_rounded_to_float32():
    # Float32 holds neither 1 + 1e-10 apart from 1, nor 1e300.
    first, second = np.array([[1.0, 1.0 + 1e-10, 0.0]]), np.array([[1e300, 0.0, -1e300]])
    counts = count_pairs(Logits([first, second], np.array([0]), [1.0, 1.0]))
    assert counts.correct.tolist() == [0, 1]
    mixed = count_pairs(Logits([first, np.zeros((1, 3), np.float32)], np.array([1]), [1.0, 1.0]))
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
        Logits(logits, labels, temperatures),
        threads=3,
        memory=1e3,
        progress=lambda _: told.append(threading.get_ident()),
    )
    assert len(told) > 3
    assert set(told) == {threading.get_ident()}


def test_temperatures_decide_who_is_heard():
    first, second = np.array([[3.0, 0.0]]), np.array([[0.0, 2.0]])
    for temperatures, converted in (([1, 1], 1), ([2, 1], 0)):
        counts = count_pairs(Logits([first, second], np.array([0]), temperatures))
        assert counts.converted["logit"][0, 1] == converted


def test_does_not_depend_on_the_order_of_rows_or_models_or_names_of_classes():
    logits, labels, temperatures = models_that_agree(4, 300, 12)
    rng = np.random.default_rng(3)
    rows, classes, models = rng.permutation(300), rng.permutation(12), rng.permutation(4)
    before = count_pairs(Logits(logits, labels, temperatures))
    moved = [logits[model][rows][:, classes] for model in models]
    after = count_pairs(Logits(moved, np.argsort(classes)[labels[rows]], temperatures[models]))
    for combination in COMBINATIONS:
        for name in ("converted", "rescued"):
            was, now = getattr(before, name)[combination], getattr(after, name)[combination]
            np.testing.assert_array_equal(now, was[np.ix_(models, models)])


def test_streams_from_hdf5(tmp_path):
    logits, labels, temperatures = models_that_agree(3, 600, 20)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for i, values in enumerate(logits):
            file.create_dataset(str(i), data=values, chunks=(64, 20))
    seen = []
    with h5py.File(tmp_path / "a.h5") as file:
        counts = count_pairs(
            Logits([file[str(i)] for i in range(3)], labels, temperatures),
            progress=seen.append,
            memory=1e5,
        )
    assert sum(seen) == 600
    np.testing.assert_array_equal(
        counts.converted["logit"],
        count_pairs(Logits(logits, labels, temperatures)).converted["logit"],
    )


@pytest.mark.parametrize(("threads", "memory"), [(1, 100e6), (3, 1e4)])
def test_counts_at_several_temperatures_in_one_pass(threads, memory):
    arrays, labels, temperatures = models_that_agree(4, 500, 30)
    others = [np.ones(4), temperatures / 3]
    logits = Logits(arrays, labels, temperatures)
    counter = PairCounter(logits, others, confidences=True)
    stream(logits, counter, threads=threads, memory=memory)
    for counts, own in zip(counter.counts(), [temperatures, *others], strict=True):
        agree(counts, arrays, labels, own)
    np.testing.assert_array_equal(counter.top, [x.argmax(1) for x in arrays])
    shares = member_scores(arrays, temperatures, "probability")
    np.testing.assert_allclose(np.exp(counter.log_confidence), np.max(shares, axis=2))


def confidences(logits, temperature):
    own = Logits([np.asarray(logits)], np.zeros(len(logits), int), [temperature])
    counter = PairCounter(own, confidences=True)
    stream(own, counter)
    return counter.top[0], counter.log_confidence[0]


def test_confidence_worked_out_by_hand():
    # At temperature 2 the odds are 4 : 2 : 1.
    top, log_confidence = confidences(2 * np.log([[4.0, 2.0, 1.0], [1.0, 1.0, 1.0]]), 2.0)
    np.testing.assert_allclose(np.exp(log_confidence), [4 / 7, 1 / 3])
    assert top.tolist() == [0, 0]  # the lowest of equal ones


def test_confidences_near_one_are_told_apart():
    # The others' odds are 2 e^-60 and 2 e^-61: as float64 both confidences are 1.
    _, log_confidence = confidences([[60.0, 0.0, 0.0], [61.0, 0.0, 0.0]], 1.0)
    np.testing.assert_allclose(log_confidence, [-2 * np.exp(-60), -2 * np.exp(-61)])


def test_huge_logits_do_not_overflow():
    assert confidences([[1e4, -1e4], [0.0, 1e4]], 0.5)[1].tolist() == [0, 0]


def classes_of_pair(first, second, combination="probability", temperatures=(1.0, 1.0)):
    logits = Logits([first, second], np.zeros(len(first), int), temperatures)
    top = np.array([first.argmax(1), second.argmax(1)])
    return pair_classes(logits, 0, 1, top, combination)


def test_classes_of_a_pair_worked_out_by_hand():
    # Probabilities 0.9, 0.1, 0 and 0.3, 0.7, 0: sums of 1.2 and 0.8. Of logits the products count,
    # 0.27 and 0.07. In the second row 0.6, 0.4 and 0.02, 0.98: sums 0.62 and 1.38.
    first = np.log([[0.9, 0.1 - 1e-9, 1e-9], [0.6, 0.4 - 1e-9, 1e-9]])
    second = np.log([[0.3, 0.7 - 1e-9, 1e-9], [0.02, 0.98 - 1e-9, 1e-9]])
    assert classes_of_pair(first, second).tolist() == [0, 1]
    # 0.6, 0.3, 0.1 and 0.001, 0.3, 0.699: sums 0.601, 0.6, 0.799; products 0.0006, 0.09, 0.07.
    third, fourth = np.log([[0.6, 0.3, 0.1]]), np.log([[0.001, 0.3, 0.699]])
    assert classes_of_pair(third, fourth).tolist() == [2]
    assert classes_of_pair(third, fourth, "logit").tolist() == [1]


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_classes_of_a_pair_are_those_that_are_counted(combination):
    arrays, labels, temperatures = models_that_agree(2, 1500, 40)
    counts = count_pairs(Logits(arrays, labels, temperatures))
    right = classes_of_pair(*arrays, combination, temperatures) == labels
    ones, others = (x.argmax(1) == labels for x in arrays)
    assert (right & (ones ^ others)).sum() == counts.converted[combination][0, 1] > 0
    assert (right & ~ones & ~others).sum() == counts.rescued[combination][0, 1] > 0
