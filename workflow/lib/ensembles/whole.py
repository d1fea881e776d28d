"""Ensembles by all classes: fitted weights, and everything that scores need of each image.

Blocks of rows are read and calibrated once, by the models; then threads share out the ensembles, so
that no sum depends on their number.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from workflow.lib.ensembles import dense, kernels
from workflow.lib.ensembles.logits import BLOCK, CANDIDATES, LEAST, Logits, blocks, in_threads

SEARCH = 500  # images that the search for weights begins with, evenly spread, if there are more
STEPS = 30  # of Newton's method
ENOUGH = 1e-7  # nats that the last step gains; what another would gain is far below its square


class Members:
    """Ensembles as the kernels take them.

    Parameters
    ----------
    ensembles : sequence of sequence of int
        Numbers of the members of each.
    """

    def __init__(self, ensembles: Sequence[Sequence[int]]):
        self.ensembles = [tuple(own) for own in ensembles]
        self.sizes = np.array([len(own) for own in self.ensembles], np.int64)
        self.ends = self.sizes.cumsum()
        flat = [model for own in self.ensembles for model in own]
        self.flat = np.array(flat, np.int64)

    def parts(self, number: int) -> Iterator[tuple[slice, slice]]:
        """Cut into parts of about as many members: slices of ensembles, and of members."""
        cuts = np.linspace(0, len(self.flat), number + 1)
        cuts = np.unique(np.searchsorted(self.ends, cuts, side="right"))
        cuts[-1:] = len(self.ends)
        for start, stop in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
            first = int(self.ends[start - 1]) if start else 0
            yield slice(start, stop), slice(first, int(self.ends[stop - 1]))


@dataclass(frozen=True)
class Block:
    """Calibrated rows of all models, as `dense.combine` takes them."""

    rows: slice
    scaled: np.ndarray
    exponentials: np.ndarray
    roots: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    order: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """In the order of the kernel's arguments."""
        return self.scaled, self.exponentials, self.roots, self.sums, self.squares, self.order


def read_blocks(
    logits: Logits,
    threads: int,
    memory: float,
    *,
    whole: bool,
    factors: np.ndarray | None = None,
) -> Iterator[Block]:
    """Read and calibrate logits block by block.

    Parameters
    ----------
    logits : Logits
    threads : int
    memory : float
        Bytes of a block.
    whole : bool
        Whether exponentials, their roots and squares, and sorted classes are needed, too.
    factors : ndarray of float64, shape (models, examples), optional
        What calibrated logits are multiplied by.
    """
    models, examples, classes = logits.shape
    size = int(memory / (models * classes * (32 if whole else 16)))
    size = max(LEAST, min(size, BLOCK, max(examples, 1)))
    shape = models, size, classes
    scaled = np.empty(shape)
    exponentials, roots = (np.empty(shape), np.empty(shape)) if whole else (scaled, scaled)
    sums, squares = np.empty(shape[:2]), np.empty(shape[:2])
    order = np.empty((models, size, min(CANDIDATES, classes)), np.int64)
    kept = np.empty(order.shape, logits.kind)

    def calibrate(model: int, rows: slice) -> None:
        count = rows.stop - rows.start
        values = logits.read(model, rows)[None]
        own = scaled[model : model + 1, :count]
        kernels.scale(values, 0, logits.temperatures[[model]], own)
        if factors is not None:
            own *= factors[model, rows][None, :, None]
        if whole:
            one = slice(model, model + 1), slice(count)
            kernels.sort_rows(values, 0, order[one], kept[one])
            np.exp(own, out=exponentials[one])
            sums[one] = exponentials[one].sum(axis=2)
            np.sqrt(exponentials[one], out=roots[one])
            squares[one] = np.einsum("mrc,mrc->mr", exponentials[one], exponentials[one])

    for rows in blocks(examples, size):
        count = rows.stop - rows.start
        for _ in in_threads(calibrate, [(model, rows) for model in range(models)], threads):
            pass
        parts = (a[:, :count] for a in (scaled, exponentials, roots, sums, squares, order))
        yield Block(rows, *parts)


@dataclass(frozen=True)
class Weights:
    """Weights of calibrated logits with the highest likelihood, none of them negative.

    Attributes
    ----------
    values : list of ndarray of float64, shape (members,)
        One an ensemble.
    nll : ndarray of float64, shape (ensembles,)
        Mean negative log-likelihood where they were fitted, in nats.
    converged : ndarray of bool, shape (ensembles,)
        False if the likelihood still grows after `STEPS` steps, or without end, since every example
        is right.
    """

    values: list[np.ndarray]
    nll: np.ndarray
    converged: np.ndarray


def fit_weights(
    logits: Logits,
    ensembles: Sequence[Sequence[int]],
    *,
    folds: np.ndarray | None = None,
    left_out: Sequence[int] | None = None,
    threads: int = 1,
    memory: float = 100e6,
) -> Weights:
    """Fit softmax(Σ w z) with w >= 0 by maximum likelihood, all ensembles in one pass a step.

    The negative log-likelihood is convex in w, so Newton's method finds its minimum; each step
    solves the quadratic model under w >= 0 (`scipy.optimize.nnls`), and is halved while the loss
    grows. Of many images, the first steps look at some 500. Where a step gains next to nothing,
    since members are equal, a tiny ridge on the step keeps weights as they are, and so equal.

    Parameters
    ----------
    logits : Logits
    ensembles : sequence of sequence of int
        Numbers of the members; one model makes its temperature anew.
    folds : ndarray of int, shape (examples,), optional
        The fold of each example.
    left_out : sequence of int, optional
        The fold that each ensemble is not fitted on.
    threads : int
        The result does not depend on it.
    memory : float
        Bytes of calibrated logits in work.
    """
    examples = logits.shape[1]
    members = Members(ensembles)
    count, widest = len(members.ends), int(members.sizes.max(initial=1))
    folds = np.zeros(examples, np.int64) if folds is None else np.asarray(folds, np.int64)
    out = np.full(count, -1, np.int64) if left_out is None else np.asarray(left_out, np.int64)
    start = np.repeat(1 / members.sizes, members.sizes)
    search = _Search(logits, members, folds, out, threads, memory, widest)
    step = examples // SEARCH
    if step > 1:
        start, _, _ = search.run(start, step, 1e-5)
    values, nll, converged = search.run(start, 1, ENOUGH)
    return Weights(np.split(values, members.ends[:-1]), nll, converged)


@dataclass
class _Search:
    logits: Logits
    members: Members
    folds: np.ndarray
    left_out: np.ndarray
    threads: int
    memory: float
    widest: int

    def run(
        self, weights: np.ndarray, step: int, enough: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Take Newton's steps until the next gains less than `enough` nats an example."""
        members = self.members
        count = len(members.ends)
        best, at = weights.copy(), weights.copy()  # where the loss is known; to be looked at
        loss = np.full(count, np.inf)
        gradient = np.zeros((count, self.widest))
        hessian = np.zeros((count, self.widest, self.widest))
        active, converged = np.ones(count, bool), np.zeros(count, bool)
        nll = np.zeros(count)
        for _ in range(STEPS):
            found = self.derivatives(at, step, active)
            for e in np.flatnonzero(active).tolist():
                own = slice(int(members.ends[e] - members.sizes[e]), int(members.ends[e]))
                if found[0][e] > loss[e] + 1e-13:
                    at[own] = (at[own] + best[own]) / 2
                    continue
                best[own] = at[own]
                loss[e], gradient[e], hessian[e] = (array[e] for array in found)
                size = members.sizes[e]
                proposed, gain = _newton_step(
                    best[own], gradient[e, :size], hessian[e, :size, :size]
                )
                at[own], nll[e] = proposed, loss[e] - gain
                if gain < enough:
                    best[own] = proposed
                    active[e] = False
                    converged[e] = nll[e] > 10 * enough
            if not active.any():
                break
        return best, np.where(active, loss, nll), converged

    def derivatives(
        self, weights: np.ndarray, step: int, active: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean loss of each active ensemble, its gradient and Hessian."""
        members = self.members
        count = len(members.ends)
        loss, gradient = np.zeros(count), np.zeros((count, self.widest))
        hessian = np.zeros((count, self.widest, self.widest))
        # What is still searched for is shared out evenly.
        left = np.flatnonzero(active)
        places = np.concatenate(
            [np.arange(members.ends[e] - members.sizes[e], members.ends[e]) for e in left]
        )
        some = Members([members.ensembles[e] for e in left])
        values = weights[places]
        sums = [loss[left], gradient[left], hessian[left]]
        seen = np.zeros(len(left))
        counted = np.ones(len(left), bool)
        for block in read_blocks(self.logits, self.threads, self.memory, whole=False):
            labels, folds = self.logits.labels[block.rows], self.folds[block.rows]
            looked = folds[::step]
            seen += len(looked) - (looked[:, None] == self.left_out[left]).sum(axis=0)
            jobs = [
                (block.scaled, labels, folds, step, some.flat[inner],
                 some.ends[outer] - inner.start, values[inner], self.left_out[left][outer],
                 counted[outer], *(array[outer] for array in sums))
                for outer, inner in some.parts(self.threads)
            ]  # fmt: skip
            for _ in in_threads(dense.newton, jobs, self.threads):
                pass
        share = 1 / np.maximum(seen, 1)
        loss[left], gradient[left] = sums[0] * share, sums[1] * share[:, None]
        hessian[left] = sums[2] * share[:, None, None]
        return loss, gradient, hessian


def _newton_step(
    weights: np.ndarray, gradient: np.ndarray, hessian: np.ndarray
) -> tuple[np.ndarray, float]:
    """The minimum of the quadratic model over w >= 0, and what it gains."""
    size = len(weights)
    damped = hessian + (1e-9 * np.trace(hessian) / size + 1e-15) * np.eye(size)
    lower = np.linalg.cholesky(damped)
    # |Lᵀw - L⁻¹(Hw₀ - g)|² is the quadratic model but for a constant.
    target = np.linalg.solve(lower, damped @ weights - gradient)
    proposed, _ = nnls(lower.T, target)
    move = proposed - weights
    gain = -float(gradient @ move + move @ damped @ move / 2)
    return (proposed, gain) if gain > 0 else (weights, 0.0)


@dataclass(frozen=True)
class Combined:
    """What ensembles answer, in the ways of `dense.KINDS`, and what models answer alone.

    Attributes
    ----------
    ensembles : list of tuple of int
    alone : Alone
    right : ndarray of bool, shape (ensembles, 3, examples)
    log_confidence : ndarray of float32, shape (ensembles, 3, examples)
        Logarithm of the answer's probability.
    losses : ndarray of float64, shape (ensembles, 3, 2, groups)
        Sums of the negative log-likelihood and of the Brier score over each group's examples.
    """

    ensembles: list[tuple[int, ...]]
    alone: "Alone"
    right: np.ndarray
    log_confidence: np.ndarray
    losses: np.ndarray


@dataclass(frozen=True)
class Alone:
    """What calibrated models answer: arrays of shape (models, examples).

    Attributes
    ----------
    top : ndarray of int64
        The class of the largest logit, of equal ones the lowest.
    right : ndarray of bool
    log_confidence : ndarray of float64
        Logarithm of the largest probability.
    losses : ndarray of float64, shape (models, 2, examples)
        Negative log-likelihood, and Brier score.
    """

    top: np.ndarray
    right: np.ndarray
    log_confidence: np.ndarray
    losses: np.ndarray

    @classmethod
    def empty(cls, models: int, examples: int) -> "Alone":
        """Arrays to fill in."""
        shape = models, examples
        return cls(np.empty(shape, np.int64), np.empty(shape, bool), np.empty(shape),
                   np.empty((models, 2, examples)))  # fmt: skip

    def fill(self, block: "Block", logits: Logits) -> None:
        """Fill in a block's rows."""
        rows, labels = block.rows, logits.labels[block.rows]
        here = np.arange(len(labels))
        zed = np.log(block.sums)
        own = block.scaled[:, here, labels] - zed
        self.top[:, rows] = block.order[..., 0]
        self.right[:, rows] = logits.right(self.top[:, rows], rows)
        self.log_confidence[:, rows] = -zed
        self.losses[:, 0, rows] = -own
        self.losses[:, 1, rows] = block.squares / block.sums**2 + 1 - 2 * np.exp(own)


def read_alone(logits: Logits, *, threads: int = 1, memory: float = 100e6) -> Alone:
    """Read all logits once, for what models answer alone."""
    alone = Alone.empty(*logits.shape[:2])
    for block in read_blocks(logits, threads, memory, whole=True):
        alone.fill(block, logits)
    return alone


def combine(
    logits: Logits,
    ensembles: Sequence[Sequence[int]],
    weights: Sequence[np.ndarray],
    group: np.ndarray,
    groups: int,
    *,
    factors: np.ndarray | None = None,
    threads: int = 1,
    memory: float = 100e6,
    progress: Callable[[int], None] = lambda examples: None,
) -> Combined:
    """Combine ensembles on every example, reading logits once.

    Parameters
    ----------
    logits : Logits
    ensembles : sequence of sequence of int
    weights : sequence of ndarray
        Of calibrated logits, one array an ensemble.
    group : ndarray of int, shape (examples,)
        Whose losses are added up.
    groups : int
    factors : ndarray of float64, shape (models, examples), optional
        What calibrated logits are multiplied by before anything else.
    threads : int
        The result does not depend on it.
    memory : float
        Bytes of calibrated logits in work.
    progress : callable, optional
        Given the number of examples of every block done.
    """
    members, examples = Members(ensembles), logits.shape[1]
    count = len(members.ends)
    right = np.empty((count, len(dense.KINDS), examples), bool)
    log_confidence = np.empty(right.shape, np.float32)
    losses = np.zeros((count, len(dense.KINDS), 2, groups))
    values = np.concatenate([*weights, []]).astype(np.float64)
    group = np.asarray(group, np.int64)
    alone = Alone.empty(*logits.shape[:2])
    for block in read_blocks(logits, threads, memory, whole=True, factors=factors):
        rows = block.rows
        alone.fill(block, logits)
        arrays = block.arrays
        jobs = [
            (*arrays, logits.accepted[rows], members.flat[inner], members.ends[outer] - inner.start,
             values[inner], group[rows], right[outer, :, rows], log_confidence[outer, :, rows],
             losses[outer])
            for outer, inner in members.parts(threads)
        ]  # fmt: skip
        for _ in in_threads(dense.combine, jobs, threads):
            pass
        progress(rows.stop - rows.start)
    return Combined(members.ensembles, alone, right, log_confidence, losses)
