"""Cascades are those of the definition, image by image, and their ends are exact."""

from itertools import combinations, permutations

import numpy as np
import pytest
from scipy.special import softmax

from tests.lib.ensembles.dense import models_that_agree
from workflow.lib.ensembles.cascades import (
    THEN,
    Stages,
    choose,
    count_cascades,
    curves,
    oracle_exit,
    random_exit,
    run,
    thresholds_of,
    window,
)
from workflow.lib.ensembles.logits import Logits
from workflow.lib.ensembles.whole import read_alone

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize(("threads", "memory"), [(1, 100e6), (3, 1e4)])
@pytest.mark.parametrize(("examples", "classes"), [(200, 10), (300, 2), (40, 500)])
def test_curves_are_those_of_the_definition(examples, classes, threads, memory):
    logits, labels, temperatures = models_that_agree(4, examples, classes)
    both = Logits(logits, labels, temperatures)
    pairs = list(permutations(range(4), 2))
    grid = thresholds_of(read_alone(both).log_confidence, 7)
    counts = count_cascades(both, pairs, grid, threads=threads, memory=memory)
    found = curves(counts)
    p = [
        softmax(x.astype(np.float64) / t, axis=1) for x, t in zip(logits, temperatures, strict=True)
    ]
    here = np.arange(examples)
    for place, (a, b) in enumerate(pairs):
        for j, threshold in enumerate(grid[a]):
            sure = p[a].max(axis=1) >= threshold
            assert found.exits[place, 0, j] == pytest.approx(sure.mean())
            for k, last in enumerate(((p[a] + p[b]) / 2, p[b])):
                final = np.where(sure[:, None], p[a], last)
                right = final.argmax(axis=1) == labels
                assert found.accuracy[place, k, j] == pytest.approx(right.mean())
                nll = -np.log(final[here, labels]).mean()
                assert found.nll[place, k, j] == pytest.approx(nll, rel=1e-9)
    # The first threshold is the first model alone, the last the last stage.
    assert (found.exits[..., 0] == 1).all() and (found.exits[..., -1] == 0).all()
    assert (np.diff(found.exits, axis=-1) <= 0).all()
    assert THEN == ("ensemble", "larger")


def test_one_grid_for_all_models_and_a_pair_by_hand():
    # Confidences of the first: .9, .6, .8; of the second .7, .9, .6.
    first = np.log([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]])
    second = np.log([[0.3, 0.7], [0.9, 0.1], [0.6, 0.4]])
    both = Logits([first, second], np.array([0, 0, 1]), np.ones(2))
    found = curves(count_cascades(both, [(0, 1)], [0.0, 0.7, 1.01]))
    np.testing.assert_allclose(found.exits[0, 0], [1, 2 / 3, 0])
    # Alone it is right on the first; at .7 the second goes on and is mended by both.
    np.testing.assert_allclose(found.accuracy[0, 0], [1 / 3, 2 / 3, 2 / 3])
    np.testing.assert_allclose(found.accuracy[0, 1], [1 / 3, 2 / 3, 1 / 3])
    np.testing.assert_allclose(
        found.nll[0, 0],
        -np.log([[0.9, 0.4, 0.2], [0.9, 0.65, 0.2], [0.6, 0.65, 0.3]]).mean(axis=1),
    )


def test_the_cheapest_threshold_within_the_margin():
    accuracy = np.array([[0.7, 0.79, 0.795, 0.8], [0.9, 0.85, 0.8, 0.8]])
    cost = np.array([[1.0, 2, 3, 4], [1, 2, 3, 4]])
    assert choose(accuracy, cost, 0.005).tolist() == [2, 0]
    assert choose(accuracy, cost, 0).tolist() == [3, 0]
    # Of equally cheap ones the more accurate.
    assert choose(np.array([0.8, 0.81, 0.8]), np.ones(3), 0.01) == 1


def test_bounds_are_a_line_and_what_only_the_label_knows():
    cost, accuracy = random_exit((1.0, 3.0), (0.7, 0.8), [0, 0.5, 1])
    np.testing.assert_allclose(cost, [4, 2.5, 1])
    np.testing.assert_allclose(accuracy, [0.8, 0.75, 0.7])
    first, last = np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool)
    assert oracle_exit(first, last, (1.0, 4.0)) == (2.0, 0.75)


def test_three_stages():
    sure = np.log([[0.9, 0.5, 0.5, 0.2], [0.1, 0.9, 0.6, 0.6], [0.5, 0.5, 0.5, 0.5]])
    stages = Stages(sure > -1, sure, -sure)
    stage, cost = run(stages, [1, 2, 4], [0.8, 0.7])
    assert stage.tolist() == [0, 1, 2, 2]
    assert cost == pytest.approx((1 + 3 + 7 + 7) / 4)
    assert run(stages, [1, 2, 4], [0, 0])[1] == 1
    assert run(stages, [1, 2, 4], [1.01, 1.01])[1] == 7


def test_windows_lie_around_the_threshold_of_acceptance():
    first = np.log(np.linspace(0.001, 1, 1000))
    (low, high), whole, none = window(first, 0.8, [0.2, 2.0, 0.0])
    inside = (first >= low) & (first < high)
    assert inside.mean() == pytest.approx(0.2, abs=0.01)
    assert np.exp(low) == pytest.approx(0.1, abs=0.01)
    assert whole == (-np.inf, np.inf)
    assert ((first >= none[0]) & (first < none[1])).mean() <= 0.001


def test_thresholds_rise_and_hold_both_ends():
    rng = np.random.default_rng(0)
    grid = thresholds_of(np.log(rng.uniform(0.1, 1, (3, 500))))
    assert grid.shape == (3, 40)
    assert (grid[:, 0] == 0).all() and (grid[:, -1] > 1).all()
    assert (np.diff(grid, axis=1) >= 0).all()


def test_cost_falls_with_the_share_that_exits():
    logits, labels, temperatures = models_that_agree(3, 100, 5)
    both = Logits(logits, labels, temperatures)
    found = curves(count_cascades(both, list(combinations(range(3), 2)), np.linspace(0, 1.1, 9)))
    cost = 1 + (1 - found.exits) * 2
    assert (np.diff(cost, axis=-1) >= 0).all()
