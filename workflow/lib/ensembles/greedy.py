"""Greedy ensembles: to a base, add at each step the model that makes most examples right.

Whether a candidate makes an ensemble right is settled from a few sorted classes of the candidate
that are kept in memory: a class beyond them adds at most the last one's score. Rows that this does
not settle are read whole.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from workflow.lib.ensembles import kernels
from workflow.lib.ensembles.combine import add_scores
from workflow.lib.ensembles.logits import BLOCK, Logits, Strip, blocks, in_threads, runs, stream

CANDIDATES = 16  # sorted classes kept of each model and example
# Exponentials may be out of order by their last bit: a bound must not be below what it bounds.
SLACK = 1 + 1e-12


class Candidates:
    """What is kept in memory of all models' logits: fills itself as a task of `stream`.

    Parameters
    ----------
    logits : Logits
        Rows that are not settled are read again.
    memory : float
        Bytes that sorted classes and the cache of rows may take, if 4 classes of each model and
        example take less.

    Attributes
    ----------
    classes : ndarray of uint16 or uint32, shape (models, examples, kept)
        Those of the largest logits, largest first, equal ones by index.
    values : ndarray of float32 or float64, shape (models, examples, kept)
        Their logits.
    own, lowest : ndarray of float32 or float64, shape (models, examples)
        The logit of the label, and the lowest of all.
    sums : ndarray of float64, shape (models, examples)
        Denominators of the softmax whose largest numerator is 1.
    cache : dict
        Whole rows by (model, example), `room` of them at most.
    """

    def __init__(self, logits: Logits, memory: float = 1e9):
        models, examples, classes = logits.shape
        kind, index = logits.kind, np.dtype(np.uint16 if classes <= 2**16 else np.uint32)
        each = models * max(examples, 1) * (index.itemsize + kind.itemsize)
        kept = min(classes, CANDIDATES, max(4, int(0.8 * memory / each)))
        self.logits = logits
        self.classes = np.empty((models, examples, kept), index)
        self.values = np.empty((models, examples, kept), kind)
        self.own, self.lowest = np.empty((2, models, examples), kind)
        self.sums = np.empty((models, examples))
        self.cache, self.room = {}, int(0.2 * memory / (kind.itemsize * classes))

    def __call__(self, strip: Strip, rows: slice) -> None:
        """Keep what settles most examples of a strip."""
        at, here = (slice(None), rows), np.arange(strip.start, strip.stop)
        kernels.sort_rows(strip.values, strip.start, self.classes[at], self.values[at])
        self.own[at] = strip.values[:, here, self.logits.labels[rows]]
        self.lowest[at] = strip.values[:, strip.start : strip.stop].min(axis=2)
        self.sums[at] = strip.softmax[1]


def read_candidates(logits: Logits, memory: float = 1e9, **options) -> Candidates:
    """Read all logits once, and keep what settles most examples; options are those of `stream`."""
    candidates = Candidates(logits, memory)
    stream(logits, candidates, **options)
    return candidates


class Growth(NamedTuple):
    """A greedy ensemble.

    Attributes
    ----------
    members : list of int
        In the order in which they come in, the base first.
    correct : list of int
        Examples that the ensemble gets right with each of them added.
    refused : bool
        Whether the last one does not come in: it is the best to add, and makes no more right.
    right : ndarray of bool, shape (members, examples)
        Which examples these are.
    """

    members: list[int]
    correct: list[int]
    refused: bool
    right: np.ndarray


def grow(
    candidates: Candidates,
    base: int,
    pool: Sequence[int],
    *,
    size: int,
    combination: str,
    replacement: bool,
    threads: int = 1,
) -> Growth:
    """Add to a base, step by step, the model that makes most examples right.

    Beside the candidates, float64 sums of every example and class are in memory.

    Parameters
    ----------
    candidates : Candidates
    base : int
        Number of the model to begin with.
    pool : sequence of int
        Numbers of the models to add; the earlier of equally good ones is added.
    size : int
        Members at most, the base included. It ends earlier when none makes more examples right.
    combination : str
        "probability" or "logit".
    replacement : bool
        Whether a model may come in more than once, and the base again; each time counts.
    threads : int
        The result does not depend on it.
    """
    total = np.zeros(candidates.logits.shape[1:])
    own, rival, right = _add(candidates.logits, total, base, combination, threads)
    members, steps, refused = [base], [right], False
    while len(members) < size and not refused:
        left = [model for model in pool if replacement or model not in members]
        if not left:
            break
        jobs = [(candidates, total, own, rival, model, combination) for model in left]
        found = list(in_threads(_right_with, jobs, threads))
        best = int(np.argmax([right.sum() for right in found]))
        members.append(left[best])
        steps.append(found[best])
        refused = bool(steps[-1].sum() <= steps[-2].sum())
        if not refused:
            own, rival, _ = _add(candidates.logits, total, members[-1], combination, threads)
    return Growth(members, [int(right.sum()) for right in steps], refused, np.array(steps))


def _add(
    logits: Logits, total: np.ndarray, model: int, combination: str, threads: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Add a member's scores to the sums of all examples.

    Returns the sum of the label, the highest of the other classes, and whether the label wins.
    """
    own, rival, right = np.empty(len(total)), np.empty(len(total)), np.empty(len(total), bool)

    def add(block: slice) -> None:
        add_scores(logits, model, logits.read(model, block), combination, total[block])
        kernels.lead(total[block], logits.labels[block], own[block], rival[block], right[block])

    list(in_threads(add, [(block,) for block in blocks(len(total))], threads))
    return own, rival, right


def _right_with(
    candidates: Candidates,
    total: np.ndarray,
    own: np.ndarray,
    rival: np.ndarray,
    model: int,
    combination: str,
) -> np.ndarray:
    """Say what an ensemble, of the sums that `_add` made and returned, gets right with a member."""
    logits, sums = candidates.logits, candidates.sums[model]
    temperature, labels = logits.temperatures[model], logits.labels
    values, classes = candidates.values[model], candidates.classes[model]
    softmax = combination == "probability"

    def added(logits: np.ndarray, rows=slice(None)) -> np.ndarray:
        """The same operations on the same numbers as in `add_scores`, so the same result."""
        scaled = np.divide(logits.T, temperature, dtype=np.float64)
        if softmax:
            scaled -= np.divide(values[rows, 0], temperature, dtype=np.float64)
            np.exp(scaled, out=scaled)
            scaled /= sums[rows]
        return scaled.T

    score = own + added(candidates.own[model])
    highest = added(values[:, 0])
    # A probability adds at least nothing.
    lowest = np.zeros(len(sums)) if softmax else added(candidates.lowest[model])
    state = np.empty(len(sums), np.int8)
    kernels.settle(total, rival, labels, classes, score, highest, lowest, state)
    rows = np.flatnonzero(state < 0)
    known = np.ascontiguousarray(added(values[rows], rows))
    bounds = known[:, -1] * SLACK if softmax else known[:, -1]
    kernels.settle_sorted(total, labels, rows, classes, score, known, bounds, lowest, state)
    for part, whole in _whole_rows(candidates, model, np.flatnonzero(state < 0)):
        sums_then = total[part]
        add_scores(logits, model, whole, combination, sums_then)
        state[part] = sums_then.argmax(axis=1) == labels[part]
    return state.astype(bool)


def _whole_rows(
    candidates: Candidates, model: int, rows: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give rows and a model's logits there, from the cache or in few contiguous reads."""
    cache = candidates.cache
    cached = np.array([(model, row) in cache for row in rows.tolist()], bool)
    for part in np.array_split(rows[cached], -(-int(cached.sum()) // BLOCK) or 1):
        if len(part):
            yield part, np.stack([cache[model, row] for row in part.tolist()])
    for part in runs(rows[~cached]):
        whole = candidates.logits.scattered(model, part)
        for row, values in zip(part.tolist(), whole, strict=True):
            if len(cache) < candidates.room:
                cache[model, row] = values.copy()
        yield part, whole
