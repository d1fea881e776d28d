"""Scores of ensembles are the dense ones, and those that they were selected by."""

import numpy as np
import pytest

from tests.lib.ensembles.dense import models_that_agree
from tests.lib.ensembles.test_greedy import check
from workflow.lib.ensembles.combine import COMBINATIONS
from workflow.lib.ensembles.logits import Logits
from workflow.lib.ensembles.score import score_ensembles

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize(("examples", "classes"), [(700, 30), (20, 1000)])
@pytest.mark.parametrize("threads", [1, 3])
def test_scores_what_was_selected_by(examples, classes, threads):
    logits, labels, temperatures = models_that_agree(5, examples, classes)
    _, paths = check(logits, labels, temperatures)
    ensembles = [(combination, members) for combination, members, _ in paths]
    seen = []
    scored = score_ensembles(
        Logits(logits, labels, temperatures), ensembles, threads=threads, progress=seen.append
    )
    assert sum(seen) == examples
    for right, (_, members, correct) in zip(scored, paths, strict=True):
        assert right.shape == (len(members), examples)
        assert right.sum(axis=1).tolist() == correct


def test_scores_a_tie_for_the_lowest_class():
    logits = [np.array([[2.0, 1.0, 0.0]]), np.array([[1.0, 2.0, 0.0]])]
    for label, expected in ((0, [[True], [True]]), (1, [[False], [False]])):
        for combination in COMBINATIONS:
            (right,) = score_ensembles(
                Logits(logits, np.array([label]), [1.0, 1.0]), [(combination, [0, 1])]
            )
            assert right.tolist() == expected


def test_only_the_models_of_ensembles_are_read():
    class Unreadable:
        shape, dtype = (9, 3), np.dtype(np.float32)

        def __getitem__(self, rows):
            raise AssertionError("read")

    logits, labels, _ = models_that_agree(2, 9, 3)
    ensembles = [("logit", [2, 0])]
    score_ensembles(Logits([logits[0], Unreadable(), logits[1]], labels, np.ones(3)), ensembles)
