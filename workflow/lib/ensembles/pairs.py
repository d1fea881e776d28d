"""All pairs of models in one pass over their logits: what both get right, and what they gain.

Whether an ensemble is right comes from sorted candidates of both members with an early stop (the
threshold algorithm of Fagin, Lotem, Naor 2003), not from adding all classes; where both members
have the same top class there is nothing to do. Counts of right and wrong come from a product of
correctness matrices.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import numba
import numpy as np

from workflow.lib.measures.pairs import MEANS, PairCounts
from workflow.lib.run.errors import InputError

CANDIDATES = 8  # sorted classes of each model and example; beyond them all classes are looked at
# The bits of the exponent in each type of logits.
EXPONENTS = {
    np.dtype(np.float32): np.int32(0x7F800000),
    np.dtype(np.float64): np.int64(0x7FF0000000000000),
}
STRIP = 4  # rows of which exponentials are held: few, to stay in the processor's cache


def count_pairs(
    logits: Sequence,
    labels: np.ndarray,
    temperatures: Sequence[float],
    *,
    names: Sequence[str] | None = None,
    threads: int = 1,
    memory: float = 100e6,
    progress: Callable[[int], None] = lambda examples: None,
) -> PairCounts:
    """Compare and combine all pairs of models.

    An ensemble predicts the class with the largest mean of its members' calibrated probabilities,
    softmax(logits / temperature), or of their calibrated logits, logits / temperature, both in
    float64; the lowest class index wins a tie.

    Parameters
    ----------
    logits : sequence of arrays of float32 or float64, shape (examples, classes)
        One a model; NumPy arrays or HDF5 datasets, read once, in contiguous blocks of rows. All
        are worked on in the widest of their types.
    labels : ndarray of int, shape (examples,)
    temperatures : sequence of float
        One a model.
    names : sequence of str, optional
        Of the models, for messages.
    threads : int
        The counts do not depend on it.
    memory : float
        Bytes that the logits and exponentials in work may take, of all threads together. Each
        holds at least 4 examples: for every model, class and example of them 12 bytes of float32
        logits, 16 of float64. What an HDF5 file caches is beside this.
    progress : callable, optional
        Told the number of examples of every block done, in the calling thread.

    Raises
    ------
    InputError
        If logits are not finite, shapes differ, a label is out of range, or a temperature is not
        positive and finite.
    """
    names = list(names or map(str, range(len(logits))))
    labels = np.asarray(labels, dtype=np.int64)
    temperatures = np.asarray(temperatures, dtype=np.float64)
    examples, classes = logits[0].shape
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
    if examples and not 0 <= labels.min() <= labels.max() < classes:
        raise InputError(f"labels go from {labels.min()} to {labels.max()}: {classes} classes")

    models = len(logits)
    # A thread holds the logits of a block as they were read, and exponentials of a few rows of it.
    kind = np.result_type(np.float32, *(array.dtype for array in logits))
    share = memory / threads - 8 * STRIP * models * classes
    rows = int(share / (kind.itemsize * models * classes))
    rows = max(STRIP, min(rows, 512, -(-examples // threads)))
    blocks = [slice(start, min(start + rows, examples)) for start in range(0, examples, rows)]
    buffers = SimpleQueue()
    for _ in range(threads):
        buffers.put(np.empty((models, rows, classes), kind))
    reading = threading.Lock()

    def count(block: slice) -> tuple[np.ndarray, np.ndarray]:
        buffer = buffers.get()
        try:
            return compare(block, buffer)
        finally:
            buffers.put(buffer)

    def compare(block: slice, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        size = block.stop - block.start
        for model in range(models):
            with reading:
                values[model, :size] = logits[model][block]
        right = np.empty((size, models), np.bool_)
        gained = np.zeros((2, len(MEANS), models, models), np.int64)
        for start in range(0, size, STRIP):
            strip = slice(start, min(start + STRIP, size))
            exponentials, sums = _exponentials(values, strip, temperatures, names)
            _compare(values, start, exponentials, sums, temperatures, labels[block], right, gained)
        single = right.astype(np.float32)  # exact: counts stay far below 2^24
        return (single.T @ single).astype(np.int64), gained

    both_right = np.zeros((models, models), np.int64)
    gained = np.zeros((2, len(MEANS), models, models), np.int64)
    with ThreadPoolExecutor(threads) as pool:
        try:
            for block, (right, more) in zip(blocks, pool.map(count, blocks), strict=True):
                both_right += right
                gained += more
                progress(block.stop - block.start)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    gained += gained.transpose(0, 1, 3, 2)
    converted, rescued = (dict(zip(MEANS, part, strict=True)) for part in gained)
    return PairCounts(examples, both_right.diagonal().copy(), both_right, converted, rescued)


def _exponentials(
    values: np.ndarray, strip: slice, temperatures: np.ndarray, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Numerators and denominators of the calibrated softmax of a strip of rows.

    NumPy's own exponential is used, so that probabilities are bit for bit those of a plain NumPy
    computation; and on all models at once, since each call into NumPy holds up other threads.

    Returns
    -------
    exponentials : ndarray of float64, shape (models, rows, classes)
    sums : ndarray of float64, shape (models, rows)
    """
    models, _, classes = values.shape
    exponentials = np.empty((models, strip.stop - strip.start, classes))
    exponent = EXPONENTS[values.dtype]
    bits = values.view(exponent.dtype)
    bad = _scale(values, bits, exponent, strip.start, temperatures, exponentials)
    if bad >= 0:
        raise InputError(f"the logits of '{names[bad]}' hold NaN or infinity")
    np.exp(exponentials, out=exponentials)
    return exponentials, exponentials.sum(axis=2)


@numba.njit(nogil=True, cache=True)
def _scale(values, bits, exponent, start, temperatures, scaled):
    """Fill in values / temperature minus its largest in each row; gives a model with a bad value.

    Blocks are passed whole, with the first row of the strip, so that a row is known to lie in one
    piece and several of its values are handled at a time.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (models, block, classes)
    bits : ndarray of int32 or int64
        The same memory: numbers that are not finite have all bits of the exponent set.
    exponent : int32 or int64
        Those bits.
    start : int
    temperatures : ndarray of float64, shape (models,)
    scaled : ndarray of float64, shape (models, rows, classes)

    Returns
    -------
    int
        -1 if all values are finite.
    """
    models, rows, classes = scaled.shape
    for model in range(models):
        temperature = temperatures[model]
        for row in range(rows):
            here = values[model, start + row]
            exponents = exponent & 0
            for c in range(classes):
                exponents = max(exponents, bits[model, start + row, c] & exponent)
            if exponents == exponent:
                return model
            largest = np.float64(_largest_value(here)) / temperature
            for c in range(classes):
                scaled[model, row, c] = np.float64(here[c]) / temperature - largest
    return -1


@numba.njit(nogil=True, cache=True, fastmath=True)  # so that several values are compared at a time
def _largest_value(values):
    largest = values[0]
    for value in values:
        largest = max(largest, value)
    return largest


@numba.njit(nogil=True, cache=True)
def _compare(values, start, exponentials, sums, temperatures, labels, right, gained):
    """Find who is right, and which pairs are right together though not both alone.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (models, block, classes)
    start : int
        First row of the block that is looked at.
    exponentials, sums
        Of the rows from there, as `_exponentials` gives them.
    temperatures : ndarray of float64, shape (models,)
    labels : ndarray of int64, shape (block,)
    right : ndarray of bool, shape (block, models)
        Filled in.
    gained : ndarray of int64, shape (2, means, models, models)
        Added to, above the diagonal: examples that exactly one of a pair gets right and their
        ensemble too, and examples that both get wrong and their ensemble gets right.
    """
    models, rows, classes = exponentials.shape
    count = min(CANDIDATES, classes)
    candidates = np.empty((models, count), np.int64)
    # The sorted candidates' scores, and the label's, for both means.
    scores = np.empty((2, models, count))
    own = np.empty((2, models))
    for row in range(rows):
        at = start + row
        label = labels[at]
        for model in range(models):
            _largest(values[model, at], candidates[model])
            right[at, model] = candidates[model, 0] == label
            for place in range(count):
                c = candidates[model, place]
                scores[0, model, place] = exponentials[model, row, c] / sums[model, row]
                scores[1, model, place] = values[model, at, c] / temperatures[model]
            own[0, model] = exponentials[model, row, label] / sums[model, row]
            own[1, model] = values[model, at, label] / temperatures[model]
        for a in range(models):
            for b in range(a + 1, models):
                inconsistent = right[at, a] != right[at, b]
                # With one top class for both, it is the ensemble's: no score is above the sum of
                # both highest, and among equals it has the lowest index for both.
                if not inconsistent and candidates[a, 0] == candidates[b, 0]:
                    continue
                kind = 0 if inconsistent else 1
                if _label_wins(
                    label,
                    own[0, a] + own[0, b],
                    candidates[a],
                    candidates[b],
                    scores[0, a],
                    scores[0, b],
                    exponentials[a, row],
                    exponentials[b, row],
                    sums[a, row],
                    sums[b, row],
                ):
                    gained[kind, 0, a, b] += 1
                if _label_wins(
                    label,
                    own[1, a] + own[1, b],
                    candidates[a],
                    candidates[b],
                    scores[1, a],
                    scores[1, b],
                    values[a, at],
                    values[b, at],
                    temperatures[a],
                    temperatures[b],
                ):
                    gained[kind, 1, a, b] += 1


@numba.njit(nogil=True, cache=True)
def _largest(values, candidates):
    """Fill in the indices of the largest values, largest first, equal ones by index."""
    count = len(candidates)
    found = 0
    least = values[0]
    for c in range(len(values)):
        value = values[c]
        if found == count and value <= least:
            continue
        place = min(found, count - 1)
        while place > 0 and values[candidates[place - 1]] < value:
            candidates[place] = candidates[place - 1]
            place -= 1
        candidates[place] = c
        found = min(found + 1, count)
        least = values[candidates[found - 1]]


@numba.njit(nogil=True, cache=True, inline="always")
def _label_wins(label, score, first, second, first_scores, second_scores,
                first_row, second_row, first_scale, second_scale):  # fmt: skip
    """Whether no class has a higher sum of both scores than the label, or an equal one before it.

    Classes are looked at in the order of both members' sorted candidates, until what is left can't
    reach the label: a class that neither list has shown yet is at most as good as both their ends.
    """
    for place in range(len(first)):
        a, b = first[place], second[place]
        total = first_scores[place] + second_row[a] / second_scale
        if total > score or (total == score and a < label):
            return False
        total = first_row[b] / first_scale + second_scores[place]
        if total > score or (total == score and b < label):
            return False
        if first_scores[place] + second_scores[place] < score:
            return True
    for c in range(len(first_row)):
        total = first_row[c] / first_scale + second_row[c] / second_scale
        if total > score or (total == score and c < label):
            return False
    return True
