"""What ensembles of any size get right, in one pass over their members' logits."""

from collections.abc import Sequence

import numpy as np

from workflow.lib.ensembles import kernels
from workflow.lib.ensembles.combine import COMBINATIONS
from workflow.lib.ensembles.logits import Logits, Strip, stream


class Scorer:
    """Says what ensembles get right with each member added, as a task of `stream`.

    Parameters
    ----------
    logits : Logits
    ensembles : sequence of (str, sequence of int)
        The combination, and the members in order; one may come several times.
    """

    def __init__(self, logits: Logits, ensembles: Sequence[tuple[str, Sequence[int]]]):
        self.labels, self.ensembles = logits.labels, list(ensembles)
        self._parts = {}
        for name in dict.fromkeys(name for name, _ in self.ensembles):
            members = [own for combination, own in self.ensembles if combination == name]
            ends = np.cumsum([len(own) for own in members])
            places = np.concatenate(members).astype(np.int64)
            right = np.empty((len(places), logits.shape[1]), bool)
            self._parts[name] = places, ends, right

    def __call__(self, strip: Strip, rows: slice) -> None:
        """Score a strip."""
        for name, (places, ends, right) in self._parts.items():
            scores = COMBINATIONS[name](strip)
            kernels.follow(scores, places, ends, self.labels[rows], right[:, rows])

    def right(self) -> list[np.ndarray]:
        """For each ensemble, whether its first members are right together: (members, examples)."""
        parts = {
            name: iter(np.split(right, ends[:-1])) for name, (_, ends, right) in self._parts.items()
        }
        return [next(parts[name]) for name, _ in self.ensembles]


def score_ensembles(
    logits: Logits, ensembles: Sequence[tuple[str, Sequence[int]]], **options
) -> list[np.ndarray]:
    """Score ensembles, reading their members' logits once; options are those of `stream`."""
    used = sorted({model for _, members in ensembles for model in members})
    own = logits.of(used)
    scorer = Scorer(own, [(name, [used.index(m) for m in members]) for name, members in ensembles])
    stream(own, scorer, **options)
    return scorer.right()
