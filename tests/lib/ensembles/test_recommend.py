"""The best ensembles are listed, and those that nothing beats for their cost."""

from itertools import combinations

import numpy as np

from workflow.lib.ensembles.recommend import COSTS, LISTED, choose, cost, mark_fronts


def test_a_front_worked_out_by_hand():
    #       cheapest, worse; its equal; dearer and as good; better; unknown; dearest and best, twice
    correct = np.array([5, 4, 5, 5, 7, 99, 9, 9])
    costs = np.array([1, 1, 1, 2, 2, np.nan, 8, 8])
    expected = [True, False, True, False, True, False, True, True]
    assert mark_fronts(correct, costs).tolist() == expected
    order = np.random.default_rng(0).permutation(8)
    assert mark_fronts(correct[order], costs[order]).tolist() == [expected[i] for i in order]
    assert not mark_fronts(np.array([1, 2]), np.array([np.nan, np.nan])).any()


def test_only_the_best_are_listed_and_those_on_a_front():
    groups = [g for size in (1, 2, 3) for g in combinations(range(12), size)]
    rng = np.random.default_rng(0)
    correct = rng.integers(500, 600, len(groups))
    costs = np.stack([np.arange(12) + 1.0, np.arange(12) + 1.0, np.ones(12)], axis=1)
    # The cheapest pair is the worst one, but better than any single model.
    correct[:12] = 10
    correct[groups.index((0, 1))] = 11
    table = choose(groups, correct, costs)
    counts = table["size"].value_counts()
    assert counts[1] == 12
    assert counts[2] == LISTED + 1
    assert LISTED <= counts[3] < LISTED + 12
    beyond = table[(table["size"] > 1) & (table["rank"] > LISTED)]
    assert (0, 1) in set(beyond["group"])
    assert beyond[list(COSTS.values())].any(axis=1).all()


def test_what_an_outputs_file_does_not_say_is_unknown():
    assert cost({"macs": 9, "parameters": 7, "images_per_second": 4.0}) == (9.0, 7.0, 0.25)
    assert np.isnan(cost({"parameters": 7, "images_per_second": 4.0})[0])  # an older file
    assert np.isnan(cost({})).all()
    assert np.isnan(cost({"parameters": 7, "images_per_second": 0.0})[2])
