"""Counts of triples are the dense ones, whatever the blocks and threads."""

from itertools import combinations

import numpy as np
import pytest

from tests.lib.ensembles.dense import member_scores, models_that_agree
from workflow.lib.ensembles.combine import COMBINATIONS
from workflow.lib.ensembles.logits import Logits
from workflow.lib.ensembles.pairs import count_pairs
from workflow.lib.ensembles.triples import count_triples

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize(
    ("models", "examples", "classes", "noise"),
    [(5, 400, 10, 1), (4, 200, 300, 1), (4, 200, 50, 1e-4), (3, 1, 2, 1), (2, 9, 4, 1)],
)
@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("threads", [1, 3])
def test_triples_are_the_dense_ones(models, examples, classes, noise, combination, threads):
    logits, labels, temperatures = models_that_agree(models, examples, classes, noise=noise)
    check_triples(logits, labels, temperatures, combination, threads)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_triples_are_the_dense_ones_among_ties_and_flat_models(combination):
    rng = np.random.default_rng(2)
    tied = [rng.integers(0, 3, (500, 12)).astype(np.float32) for _ in range(4)]
    flat = [rng.normal(size=(200, 400)).astype(np.float32) * 0.01 for _ in range(4)]
    check_triples(tied, rng.integers(0, 12, 500), np.ones(4), combination)
    check_triples(flat, rng.integers(0, 400, 200), np.ones(4), combination)


def check_triples(logits, labels, temperatures, combination, threads=1):
    counts = count_triples(Logits(logits, labels, temperatures), combination, threads=threads)
    scores = member_scores(logits, temperatures, combination)
    expected = np.zeros_like(counts)
    for a, b, c in combinations(range(len(logits)), 3):
        expected[a, b, c] = ((scores[a] + scores[b] + scores[c]).argmax(1) == labels).sum()
    np.testing.assert_array_equal(counts, expected)


def test_a_triple_of_two_and_a_model_without_opinion_is_the_pair():
    logits, labels, temperatures = models_that_agree(2, 500, 8)
    silent = np.zeros_like(logits[0])
    counts = count_triples(Logits([*logits, silent], labels, [*temperatures, 1.0]), "logit")
    pair = count_pairs(Logits(logits, labels, temperatures))
    right = pair.both_right[0, 1] + pair.converted["logit"][0, 1] + pair.rescued["logit"][0, 1]
    assert counts[0, 1, 2] == right
    assert counts.sum() == right
