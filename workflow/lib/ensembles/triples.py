"""All ensembles of three models in one pass over their logits."""

from collections.abc import Sequence

import numpy as np

from workflow.lib.ensembles import kernels
from workflow.lib.ensembles.combine import COMBINATIONS
from workflow.lib.ensembles.logits import Logits, PerThread, Strip, stream


class TripleCounter:
    """Counts what every ensemble of three models gets right, as a task of `stream`.

    Parameters
    ----------
    logits : Logits
    combination : str
    models : sequence of int, optional
        Ascending numbers of the models to count triples of; by default, all.
    """

    def __init__(self, logits: Logits, combination: str, models: Sequence[int] | None = None):
        self.labels, self.combination = logits.labels, combination
        count = logits.shape[0] if models is None else len(models)
        # All as they are: a list would copy each strip's scores.
        self.models = slice(None) if count == logits.shape[0] else models
        self._counts = PerThread(*3 * [count])

    def __call__(self, strip: Strip, rows: slice) -> None:
        """Count a strip."""
        scores = COMBINATIONS[self.combination](strip)[self.models]
        kernels.count_triples(scores, self.labels[rows], self._counts.own)

    def counts(self) -> np.ndarray:
        """Examples that the a-th < b-th < c-th, added in this order, get right; 0 elsewhere."""
        return self._counts.sum()


def count_triples(logits: Logits, combination: str, **options) -> np.ndarray:
    """Count all triples, reading all logits once; options are those of `stream`."""
    counter = TripleCounter(logits, combination)
    stream(logits, counter, **options)
    return counter.counts()
