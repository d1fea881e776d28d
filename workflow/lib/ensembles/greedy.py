"""Ensembles of many models: chosen greedily, all triples, and scored, while logits stream by.

An ensemble's score of a class is the sum of its members' scores, added one after the other in
float64: softmax(logits / temperature) for the mean of probabilities, logits / temperature for the
mean of logits. The class of the highest sum is its prediction, the lowest index among equals.

Whether a candidate makes an ensemble right is settled from a few sorted classes of the candidate
that are kept in memory: a class beyond them adds at most the last one's score (the threshold
algorithm of Fagin, Lotem, Naor 2003). Rows that this does not settle are read whole. So the answer
is the dense one, on every example.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numba
import numpy as np

from workflow.lib.run.errors import InputError

CANDIDATES = 16  # sorted classes kept of each model and example
FEW = 8  # sorted classes of each model in the search of triples
BLOCK = 512  # rows read at a time
STRIP = 64  # rows of which exponentials are held: few, to stay in the processor's cache
GAP = 8  # rows that a read goes on over, instead of starting another
HELD = 64e6  # bytes of scores of all models that are held at a time, of all threads together
# Exponentials may be out of order by their last bit: a bound must not be below what it bounds.
SLACK = 1 + 1e-12


@dataclass(frozen=True)
class Candidates:
    """What is kept in memory of all models' logits.

    Attributes
    ----------
    logits : sequence of arrays, shape (examples, classes)
        As they were given, for the rows that must be read again.
    labels : ndarray of int64, shape (examples,)
    temperatures : ndarray of float64, shape (models,)
    classes : ndarray of uint16 or uint32, shape (models, examples, kept)
        Those of the largest logits, largest first, equal ones by index.
    values : ndarray of float32 or float64, shape (models, examples, kept)
        Their logits.
    own, lowest : ndarray of float32 or float64, shape (models, examples)
        The logit of the label, and the lowest of all.
    sums : ndarray of float64, shape (models, examples)
        Denominators of the softmax whose largest numerator is 1.
    cache : dict
        Whole rows by (model, example), as far as `room` goes.
    room : int
        Rows that the cache may hold.
    """

    logits: Sequence
    labels: np.ndarray
    temperatures: np.ndarray
    classes: np.ndarray
    values: np.ndarray
    own: np.ndarray
    lowest: np.ndarray
    sums: np.ndarray
    room: int
    cache: dict = field(default_factory=dict)


def read_candidates(
    logits: Sequence,
    labels: np.ndarray,
    temperatures: Sequence[float],
    *,
    names: Sequence[str] | None = None,
    threads: int = 1,
    memory: float = 1e9,
    progress: Callable[[int], None] = lambda rows: None,
) -> Candidates:
    """Read all logits once, and keep what settles most examples.

    Parameters
    ----------
    logits : sequence of arrays of float32 or float64, shape (examples, classes)
        One a model; NumPy arrays or HDF5 datasets, read in contiguous blocks of rows.
    labels : ndarray of int, shape (examples,)
    temperatures : sequence of float
        One a model.
    names : sequence of str, optional
        Of the models, for messages.
    threads : int
        The result does not depend on it.
    memory : float
        Bytes that sorted classes and the cache of rows may take, if 4 classes of each model and
        example take less.
    progress : callable, optional
        Told the number of rows of logits read, in the calling thread.

    Raises
    ------
    InputError
        If logits are not finite, shapes differ, a label is out of range, or a temperature is not
        positive and finite.
    """
    names, labels, temperatures = _check(logits, labels, temperatures, names)
    models, (examples, classes) = len(logits), logits[0].shape
    kind = np.result_type(np.float32, *(array.dtype for array in logits))
    index = np.uint16 if classes <= 2**16 else np.uint32
    each = models * max(examples, 1) * (np.dtype(index).itemsize + kind.itemsize)
    kept = min(classes, CANDIDATES, max(4, int(0.8 * memory / each)))
    candidates = Candidates(
        logits,
        labels,
        temperatures,
        np.empty((models, examples, kept), index),
        np.empty((models, examples, kept), kind),
        np.empty((models, examples), kind),
        np.empty((models, examples), kind),
        np.empty((models, examples)),
        int(0.2 * memory / (kind.itemsize * classes)),
    )

    def read(model: int, block: slice) -> int:
        values = _read(logits[model], block, names[model])
        _sort(
            values,
            labels[block],
            candidates.classes[model, block],
            candidates.values[model, block],
            candidates.own[model, block],
            candidates.lowest[model, block],
        )
        for strip in _cut(len(values), STRIP):
            scaled = np.divide(values[strip], temperatures[model], dtype=np.float64)
            scaled -= scaled.max(axis=1, keepdims=True)
            np.exp(scaled, out=scaled)
            rows = slice(block.start + strip.start, block.start + strip.stop)
            candidates.sums[model, rows] = scaled.sum(axis=1)
        return len(values)

    jobs = [(model, block) for model in range(models) for block in _cut(examples, BLOCK)]
    for rows in _in_threads(read, jobs, threads):
        progress(rows)
    return candidates


def grow(
    candidates: Candidates,
    base: int,
    pool: Sequence[int],
    *,
    size: int,
    mean: str,
    replacement: bool,
    threads: int = 1,
) -> tuple[list[int], list[int], tuple[int, int] | None]:
    """Add to a base, step by step, the model that makes most examples right.

    Beside the candidates, float64 sums of every example and class are held.

    Parameters
    ----------
    candidates : Candidates
    base : int
        Number of the model to begin with.
    pool : sequence of int
        Numbers of the models to add; the earlier of equally good ones is added.
    size : int
        Members at most, the base included. It ends earlier when none makes more examples right.
    mean : str
        "probability" or "logit".
    replacement : bool
        Whether a model may come in more than once, and the base again; each time counts.
    threads : int
        The result does not depend on it.

    Returns
    -------
    members : list of int
        In the order in which they came in, the base first.
    correct : list of int
        Examples that the ensemble gets right with each of them added.
    refused : (int, int) or None
        The model that was best to add next, and the examples that would be right with it; None if
        there was none to add.
    """
    total = np.zeros(candidates.logits[0].shape)
    members, correct, best = [], [], base
    while True:
        own, rival, right = _add(candidates, total, best, mean, threads)
        members.append(best)
        correct.append(right)
        left = [model for model in pool if replacement or model not in members]
        if len(members) == size or not left:
            return members, correct, None
        jobs = [(candidates, total, own, rival, model, mean) for model in left]
        counts = list(_in_threads(_count_right, jobs, threads))
        best = left[int(np.argmax(counts))]
        if max(counts) <= correct[-1]:
            return members, correct, (best, max(counts))


def score_ensembles(
    logits: Sequence,
    labels: np.ndarray,
    temperatures: Sequence[float],
    ensembles: Sequence[tuple[str, Sequence[int]]],
    *,
    names: Sequence[str] | None = None,
    threads: int = 1,
    progress: Callable[[int], None] = lambda examples: None,
) -> list[np.ndarray]:
    """Say what ensembles get right with each member added, reading all logits once.

    Parameters
    ----------
    logits, labels, temperatures, names, threads
        As for `read_candidates`.
    ensembles : sequence of (str, sequence of int)
        The mean, "probability" or "logit", and the members in order; one may come several times.
    progress : callable, optional
        Told the number of examples of every block done, in the calling thread.

    Returns
    -------
    list of ndarray of bool, shape (members, examples)
        For each ensemble, whether its first member, its first two and so on are right.

    Raises
    ------
    InputError
        As `read_candidates` does.
    """
    names, labels, temperatures = _check(logits, labels, temperatures, names)
    examples, classes = logits[0].shape
    means = sorted({mean for mean, _ in ensembles})
    used = sorted({model for _, members in ensembles for model in members})
    places = [np.array([used.index(model) for model in members]) for _, members in ensembles]
    right = [np.empty((len(members), examples), bool) for _, members in ensembles]
    share = HELD / threads / (8 * len(means) * max(len(used), 1) * classes)

    def score(block: slice) -> int:
        values = [_read(logits[model], block, names[model]) for model in used]
        scores = {
            mean: np.stack(
                [_scores(v, temperatures[m], mean) for v, m in zip(values, used, strict=True)]
            )
            for mean in means
        }
        for (mean, _), members, found in zip(ensembles, places, right, strict=True):
            _follow(scores[mean], members, labels[block], found[:, block])
        return block.stop - block.start

    for done in _in_threads(score, [(b,) for b in _cut(examples, _rows(share))], threads):
        progress(done)
    return right


def count_triples(
    logits: Sequence,
    labels: np.ndarray,
    temperatures: Sequence[float],
    *,
    mean: str,
    names: Sequence[str] | None = None,
    threads: int = 1,
    progress: Callable[[int], None] = lambda examples: None,
) -> np.ndarray:
    """Count what every ensemble of three models gets right, reading all logits once.

    Parameters
    ----------
    logits, labels, temperatures, names, threads
        As for `read_candidates`.
    mean : str
        "probability" or "logit".
    progress : callable, optional
        Told the number of examples of every block done, in the calling thread.

    Returns
    -------
    ndarray of int64, shape (models, models, models)
        Examples that a < b < c, added in this order, get right; 0 elsewhere.

    Raises
    ------
    InputError
        As `read_candidates` does.
    """
    names, labels, temperatures = _check(logits, labels, temperatures, names)
    models, (examples, classes) = len(logits), logits[0].shape
    counts = np.zeros((models, models, models), np.int64)
    share = HELD / threads / (8 * models * classes)
    counting = threading.Lock()

    def count(block: slice) -> int:
        scores = np.stack(
            [
                _scores(_read(logits[model], block, names[model]), temperatures[model], mean)
                for model in range(models)
            ],
            axis=1,
        )  # (rows, models, classes)
        found = np.zeros_like(counts)
        _count_triples(scores, labels[block], found)
        with counting:
            np.add(counts, found, out=counts)
        return block.stop - block.start

    for done in _in_threads(count, [(b,) for b in _cut(examples, _rows(share))], threads):
        progress(done)
    return counts


def _check(logits, labels, temperatures, names) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Refuse what can't be combined; gives names, labels and temperatures as they are used."""
    names = list(names or map(str, range(len(logits))))
    labels = np.asarray(labels, dtype=np.int64)
    temperatures = np.asarray(temperatures, dtype=np.float64)
    classes = logits[0].shape[1]
    for name, array, temperature in zip(names, logits, temperatures, strict=True):
        if array.shape != (len(labels), classes):
            raise InputError(
                f"the logits of '{name}' have the shape {array.shape}, "
                f"not {(len(labels), classes)} as others"
            )
        if not 0 < temperature < np.inf:
            raise InputError(
                f"the temperature of '{name}' is {temperature}, not positive and finite"
            )
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise InputError(f"labels go from {labels.min()} to {labels.max()}: {classes} classes")
    return names, labels, temperatures


def _cut(examples: int, rows: int) -> Iterator[slice]:
    """Cut examples into blocks of rows."""
    return (slice(start, min(start + rows, examples)) for start in range(0, examples, rows))


def _rows(share: float) -> int:
    return max(4, min(int(share), BLOCK))


def _in_threads(function: Callable, jobs: Iterable[tuple], threads: int) -> Iterator:
    """Call a function with the arguments of each job; gives what it returns, in order."""
    with ThreadPoolExecutor(threads) as executor:
        try:
            yield from executor.map(lambda job: function(*job), jobs)
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise


def _read(array, block: slice, name: str) -> np.ndarray:
    """Read rows of logits, refusing NaN and infinity."""
    values = np.ascontiguousarray(array[block])
    if not np.isfinite(values).all():
        raise InputError(f"the logits of '{name}' hold NaN or infinity")
    return values


def _scores(values: np.ndarray, temperature: float, mean: str) -> np.ndarray:
    """What a member adds to the sums of its ensemble: float64, shape (rows, classes)."""
    scores = np.divide(values, temperature, dtype=np.float64)
    if mean == "probability":
        for strip in _cut(len(scores), STRIP):
            part = scores[strip]
            part -= part.max(axis=1, keepdims=True)
            np.exp(part, out=part)
            part /= part.sum(axis=1, keepdims=True)
    return scores


def _add(
    candidates: Candidates, total: np.ndarray, model: int, mean: str, threads: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Add a member's scores to the sums of all examples.

    Returns
    -------
    own, rival : ndarray of float64, shape (examples,)
        The sum of the label, and the highest of the other classes.
    right : int
        Examples whose label wins.
    """
    own, rival = np.empty(len(total)), np.empty(len(total))

    def add(block: slice) -> int:
        values = np.ascontiguousarray(candidates.logits[model][block])
        total[block] += _scores(values, candidates.temperatures[model], mean)
        return _lead(total[block], candidates.labels[block], own[block], rival[block])

    jobs = [(block,) for block in _cut(len(total), BLOCK)]
    return own, rival, sum(_in_threads(add, jobs, threads))


def _count_right(
    candidates: Candidates,
    total: np.ndarray,
    own: np.ndarray,
    rival: np.ndarray,
    model: int,
    mean: str,
) -> int:
    """Count what an ensemble gets right with one more member.

    Parameters
    ----------
    candidates : Candidates
    total, own, rival
        Sums of the ensemble, and what `_add` returned of them.
    model : int
        Number of the member to be.
    mean : str
    """
    temperature, sums = candidates.temperatures[model], candidates.sums[model]
    values, classes = candidates.values[model], candidates.classes[model]
    labels = candidates.labels

    def scores(logits: np.ndarray, rows=slice(None)) -> np.ndarray:
        """The same operations on the same numbers as in `_scores`, so the same result."""
        scaled = np.divide(logits.T, temperature, dtype=np.float64)
        if mean == "logit":
            return scaled.T
        scaled -= np.divide(values[rows, 0], temperature, dtype=np.float64)
        np.exp(scaled, out=scaled)
        scaled /= sums[rows]
        return scaled.T

    score = own + scores(candidates.own[model])
    highest = scores(values[:, 0])
    # A probability adds at least nothing.
    lowest = np.zeros(len(sums)) if mean == "probability" else scores(candidates.lowest[model])
    state = np.empty(len(sums), np.int8)
    _settle(total, rival, labels, classes, score, highest, lowest, state)
    rows = np.flatnonzero(state < 0)
    known = np.ascontiguousarray(scores(values[rows], rows))
    bounds = known[:, -1] * SLACK if mean == "probability" else known[:, -1]
    _settle_sorted(total, labels, rows, classes, score, known, bounds, lowest, state)
    for part, whole in _whole_rows(candidates, model, np.flatnonzero(state < 0)):
        sums_then = total[part] + _scores(whole, temperature, mean)
        state[part] = sums_then.argmax(axis=1) == labels[part]
    return int(state.sum())


def _whole_rows(
    candidates: Candidates, model: int, rows: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give a model's logits of some examples, from the cache or in few contiguous reads.

    Yields
    ------
    rows : ndarray of int64, shape (some,)
    logits : ndarray, shape (some, classes)
    """
    cache, array = candidates.cache, candidates.logits[model]
    cached = np.array([(model, row) in cache for row in rows.tolist()], bool)
    for part in np.array_split(rows[cached], -(-int(cached.sum()) // BLOCK) or 1):
        if len(part):
            yield part, np.stack([cache[model, row] for row in part.tolist()])
    rest = rows[~cached]
    start = 0
    while start < len(rest):
        stop = start + 1
        while (
            stop < len(rest)
            and rest[stop] - rest[stop - 1] <= GAP
            and rest[stop] - rest[start] < BLOCK
        ):
            stop += 1
        part = rest[start:stop]
        whole = array[int(part[0]) : int(part[-1]) + 1][part - part[0]]
        for row, values in zip(part.tolist(), whole, strict=True):
            if len(cache) < candidates.room:
                cache[model, row] = values.copy()
        yield part, whole
        start = stop


@numba.njit(nogil=True, cache=True)
def _sort(logits, labels, classes, values, own, lowest):
    """Fill in what `Candidates` keeps of a block of one model, but the sums."""
    kept = classes.shape[1]
    for row in range(len(logits)):
        here, best, largest = logits[row], classes[row], values[row]
        found = 0
        least = bottom = here[0]
        for c in range(len(here)):
            value = here[c]
            bottom = min(bottom, value)
            if found == kept and value <= least:
                continue
            place = min(found, kept - 1)
            while place > 0 and largest[place - 1] < value:
                best[place] = best[place - 1]
                largest[place] = largest[place - 1]
                place -= 1
            best[place] = c
            largest[place] = value
            found = min(found + 1, kept)
            least = largest[found - 1]
        own[row] = here[labels[row]]
        lowest[row] = bottom


@numba.njit(nogil=True, cache=True)
def _lead(total, labels, own, rival):
    """Fill in the sum of the label and the highest of the others; count the labels that win."""
    right = 0
    for row in range(len(total)):
        label = labels[row]
        highest, first = -np.inf, -1
        for c in range(total.shape[1]):
            if total[row, c] > highest and c != label:
                highest, first = total[row, c], c
        own[row], rival[row] = total[row, label], highest
        if own[row] > highest or (own[row] == highest and label < first):
            right += 1
    return right


@numba.njit(nogil=True, cache=True)
def _settle(total, rival, labels, classes, score, highest, lowest, state):
    """Say by a few numbers of each example whether the label wins: 1, 0, or -1 if they can't tell.

    Parameters
    ----------
    total : ndarray of float64, shape (examples, classes)
    rival : ndarray of float64, shape (examples,)
        Its highest in each row, the label left out.
    labels : ndarray of int64, shape (examples,)
    classes : ndarray of uint16 or uint32, shape (examples, kept)
        Of the new member, best first.
    score : ndarray of float64, shape (examples,)
        The label's sum with the new member.
    highest, lowest : ndarray of float64, shape (examples,)
        What the new member adds at most to a class, namely to its first, and at least.
    state : ndarray of int8, shape (examples,)
        Filled in.
    """
    for row in range(len(state)):
        state[row] = -1
        if rival[row] + highest[row] < score[row]:
            state[row] = 1
        elif rival[row] + lowest[row] > score[row]:
            state[row] = 0
        else:
            c = np.int64(classes[row, 0])
            sum_then = total[row, c] + highest[row]
            if c != labels[row] and (
                sum_then > score[row] or (sum_then == score[row] and c < labels[row])
            ):
                state[row] = 0


@numba.njit(nogil=True, cache=True)
def _settle_sorted(total, labels, rows, classes, score, known, bounds, lowest, state):
    """Say so of some rows by all classes that are kept of the new member.

    Parameters
    ----------
    total, labels, classes, score, lowest, state
        As for `_settle`.
    rows : ndarray of int64, shape (some,)
    known : ndarray of float64, shape (some, kept)
        Scores of `classes` of these rows.
    bounds : ndarray of float64, shape (some,)
        What the new member adds at most to any other class.
    """
    kept = classes.shape[1]
    for i in range(len(rows)):
        row = rows[i]
        label, own = labels[row], score[row]
        settled = 1
        for place in range(kept):
            c = np.int64(classes[row, place])
            sum_then = total[row, c] + known[i, place]
            if c != label and (sum_then > own or (sum_then == own and c < label)):
                settled = 0
                break
        if settled == 1 and kept < total.shape[1]:
            for c in range(total.shape[1]):
                if total[row, c] + bounds[i] < own or c == label or np.any(classes[row] == c):
                    continue
                if total[row, c] + lowest[row] > own:
                    settled = 0
                    break
                settled = -1
        state[row] = settled


@numba.njit(nogil=True, cache=True)
def _follow(scores, members, labels, right):
    """Fill in whether an ensemble is right with each member added, (members, rows).

    Parameters
    ----------
    scores : ndarray of float64, shape (models, rows, classes)
    members : ndarray of int64
    labels : ndarray of int64, shape (rows,)
    right : ndarray of bool, shape (members, rows)
    """
    total = np.empty(scores.shape[2])
    for row in range(len(labels)):
        total[:] = 0
        for place in range(len(members)):
            here = scores[members[place], row]
            for c in range(len(total)):
                total[c] += here[c]
            right[place, row] = np.argmax(total) == labels[row]


@numba.njit(nogil=True, cache=True)
def _count_triples(scores, labels, counts):
    """Add one for every row and three models a < b < c that are right together.

    Parameters
    ----------
    scores : ndarray of float64, shape (rows, models, classes)
    labels : ndarray of int64, shape (rows,)
    counts : ndarray of int64, shape (models, models, models)
    """
    _, models, classes = scores.shape
    kept = min(FEW, classes)
    order = np.empty((models, kept), np.int64)
    known = np.empty((models, kept))
    own, lowest = np.empty(models), np.empty(models)
    total = np.empty(classes)
    for row in range(len(labels)):
        label = labels[row]
        here = scores[row]
        _sort(here, np.full(models, label), order, known, own, lowest)
        for a in range(models):
            for b in range(a + 1, models - 1):
                for k in range(classes):
                    total[k] = here[a, k] + here[b, k]
                pair = total[label]
                total[label] = -np.inf
                rival = _largest_value(total)
                for c in range(b + 1, models):
                    score = pair + own[c]
                    # The first test settles most: to make it here takes half the time.
                    if rival + known[c, 0] < score or _wins(
                        label, score, total, rival, c, order, known, here
                    ):
                        counts[a, b, c] += 1


@numba.njit(nogil=True, cache=True, fastmath={"nnan", "nsz", "reassoc"})
def _largest_value(values):
    """So that several values are compared at a time; infinity is allowed."""
    largest = values[0]
    for value in values:
        largest = max(largest, value)
    return largest


@numba.njit(nogil=True, cache=True)
def _wins(label, score, total, rival, model, order, known, scores):
    """Whether no class has a higher sum than the label's score, or an equal one before it.

    Parameters
    ----------
    label : int
    score : float
        Its sum.
    total : ndarray of float64, shape (classes,)
        What is added to; minus infinity at the label.
    rival : float
        Its largest.
    model : int
        What is added.
    order, known : ndarray of int64 and of float64, shape (models, kept)
        Sorted classes of each model, and their scores.
    scores : ndarray of float64, shape (models, classes)
        All of them.
    """
    for place in range(order.shape[1]):
        if rival + known[model, place] < score:
            return True
        k = order[model, place]
        sum_then = total[k] + known[model, place]
        if sum_then > score or (sum_then == score and k < label):
            return False
    for k in range(len(total)):
        sum_then = total[k] + scores[model, k]
        if sum_then > score or (sum_then == score and k < label):
            return False
    return True
