"""All pairs of models in one pass over their logits: what both get right, and what they gain.

Where both members have the same top class there is nothing to do; elsewhere sorted candidates of
both settle whether their ensemble is right. Counts of right and wrong come from a product of
correctness matrices.
"""

from collections.abc import Callable, Sequence

import numpy as np

from workflow.lib.ensembles import kernels
from workflow.lib.ensembles.combine import COMBINATIONS, add_scores
from workflow.lib.ensembles.logits import Logits, PerThread, Strip, runs, stream
from workflow.lib.measures.pairs import PairCounts


class PairCounter:
    """Compares and combines all pairs, as a task of `stream`.

    Parameters
    ----------
    logits : Logits
    others : mapping of str to ndarray of float64, shape (models,)
        Further temperatures to count under, by a name.

    confidences : bool
        Whether to keep these, too.

    Attributes
    ----------
    top : ndarray of uint16 or uint32, shape (models, examples)
        The class of the largest logit, of equal ones the lowest.
    log_confidence : ndarray of float64, shape (models, examples)
        Natural logarithm of the calibrated maximum probability.
    """

    def __init__(
        self,
        logits: Logits,
        others: Sequence[np.ndarray] = (),
        confidences: bool = False,
    ):
        models, examples, classes = logits.shape
        self.logits, self.others = logits, list(others)
        self.top = np.empty((models, examples), np.uint16 if classes <= 2**16 else np.uint32)
        self.log_confidence = np.empty((models, examples)) if confidences else None
        # The kernel knows both combinations.
        self._gained = PerThread(1 + len(self.others), 2, 2, models, models)

    def __call__(self, strip: Strip, rows: slice) -> None:
        """Count a strip."""
        models, _, classes = strip.values.shape
        candidates, _ = strip.candidates
        self.top[:, rows] = candidates[..., 0]
        kinds = [strip, *(strip.at(temperatures) for temperatures in self.others)]
        for gained, own in zip(self._gained.own, kinds, strict=True):
            at = self.logits.accepted[rows], gained
            kernels.compare(own.values, own.start, candidates, *own.softmax, own.temperatures, *at)
        if self.log_confidence is not None:
            # The largest has exponential 1. Left out of the sum, it does not drown the others.
            exponentials = strip.softmax[0].reshape(-1, classes)
            largest = np.arange(len(exponentials)), candidates[..., 0].ravel()
            exponentials[largest] = 0
            self.log_confidence[:, rows] = -np.log1p(exponentials.sum(axis=1)).reshape(models, -1)
            exponentials[largest] = 1

    def counts(self) -> list[PairCounts]:
        """Counts at the logits' own temperatures, then at the others."""
        right = self.logits.right(self.top).astype(np.float32)  # exact: far below 2^24
        both_right = (right @ right.T).astype(np.int64)
        gained = self._gained.sum()
        gained += gained.swapaxes(-1, -2)
        return [
            PairCounts(
                right.shape[1],
                both_right.diagonal().copy(),
                both_right,
                *(dict(zip(COMBINATIONS, part, strict=True)) for part in own),
            )
            for own in gained
        ]


def count_pairs(logits: Logits, **options) -> PairCounts:
    """Count all pairs, reading all logits once; options are those of `stream`."""
    counter = PairCounter(logits)
    stream(logits, counter, **options)
    return counter.counts()[0]


def classes_together(
    logits: Logits,
    first: int,
    second: int,
    top: np.ndarray,
    add: Callable[[int, np.ndarray, np.ndarray], None],
) -> np.ndarray:
    """Class of the highest sum of two models' scores, reading logits only where they differ.

    A common top class has it: no class has a higher sum, and of equal ones it has the lowest index.

    Parameters
    ----------
    logits : Logits
    first, second : int
        Numbers of the models.
    top : ndarray of int, shape (models, examples)
        Top class of each model.
    add : callable
        Given a model's number, its logits of some rows and the sums, adds its scores to these.

    Returns
    -------
    ndarray of int, shape (examples,)
    """
    classes = top[first].copy()
    for rows in runs(np.flatnonzero(top[first] != top[second])):
        total = np.zeros((len(rows), logits.shape[2]))
        for model in (first, second):
            add(model, logits.scattered(model, rows), total)
        classes[rows] = total.argmax(axis=1)
    return classes


def pair_classes(
    logits: Logits, first: int, second: int, top: np.ndarray, combination: str
) -> np.ndarray:
    """Class that a pair's ensemble predicts by one of `COMBINATIONS`; see `classes_together`."""

    def add(model: int, values: np.ndarray, total: np.ndarray) -> None:
        add_scores(logits, model, values, combination, total)

    return classes_together(logits, first, second, top, add)
