"""Every combination has the properties that ensembles rely on."""

import numpy as np
import pytest

from tests.lib.ensembles.dense import member_scores, models_that_agree
from workflow.lib.ensembles.combine import COMBINATIONS, add_scores
from workflow.lib.ensembles.logits import Logits
from workflow.lib.ensembles.score import score_ensembles

pytestmark = pytest.mark.numeric


def summed(logits, members, combination):
    total = np.zeros(logits.shape[1:])
    for model in members:
        add_scores(logits, model, logits.arrays[model], combination, total)
    return total


def test_scores_worked_out_by_hand():
    # At temperature 2 the odds are 4 : 2 : 1.
    logits = Logits([2 * np.log([[4.0, 2.0, 1.0]])], np.zeros(1, int), [2.0])
    shares = [[4 / 7, 2 / 7, 1 / 7]]
    np.testing.assert_allclose(summed(logits, [0], "probability"), shares)
    np.testing.assert_allclose(summed(logits, [0], "logit"), np.log([[4.0, 2.0, 1.0]]))


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_scores_are_the_plain_ones_whatever_the_strips(combination):
    arrays, labels, temperatures = models_that_agree(2, 1300, 60)
    found = summed(Logits(arrays, labels, temperatures), [1], combination)
    np.testing.assert_allclose(found, member_scores(arrays, temperatures, combination)[1])


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_the_order_of_members_changes_nothing_but_rounding(combination):
    logits = Logits(*models_that_agree(3, 200, 10))
    one, other = (summed(logits, members, combination) for members in ([0, 1, 2], [2, 0, 1]))
    np.testing.assert_allclose(one, other)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_equal_members_answer_as_one_does(combination):
    logits = Logits(*models_that_agree(1, 300, 10))
    (right,) = score_ensembles(logits, [(combination, [0, 0, 0])])
    assert right[0].tolist() == right[1].tolist() == right[2].tolist()


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_the_lowest_class_wins_a_tie(combination):
    arrays = [np.array([[2.0, 1.0, 0.0]]), np.array([[1.0, 2.0, 0.0]])]
    for label, wins in ((0, True), (1, False)):
        logits = Logits(arrays, np.array([label]), [1.0, 1.0])
        assert score_ensembles(logits, [(combination, [0, 1])])[0][1].tolist() == [wins]
