"""Pairs and votes of answers: cases by hand, and against plain loops."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from workflow.lib.ensembles.answers import count_pairs, vote_table
from workflow.lib.measures.pairs import pair_table

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 5, 300)
TOP = np.where(RNG.random((5, 300)) < 0.6, LABELS, RNG.integers(-1, 5, (5, 300)))
SURE = np.round(RNG.random((5, 300)), 1)  # so that some are equal
NONE = np.full_like(SURE, np.nan)
MODELS = pd.DataFrame(
    {"model": list("abcde"), "name": list("ABCDE"),
     "category": ["base", "reinit", "arch", "arch", "dataset"]}
)  # fmt: skip


def test_what_pairs_have_in_common_by_hand():
    right = np.array([[1, 1, 0, 0], [1, 0, 1, 0]], bool)
    top = np.array([[0, 1, 2, 0], [0, 0, 3, 1]])
    sure = np.array([[0.9, 0.6, 0.7, 0.2], [0.8, 0.9, 0.7, 0.3]])
    counts = count_pairs(right, top, sure, "confident")
    assert counts.both_right.tolist() == [[2, 1], [1, 2]]
    # Of the two that differ, the wrong one is the surer of the second image; on the third both are
    # as sure, and the lower class is wrong.
    assert counts.converted["confident"].tolist() == [[0, 0], [0, 0]]
    sure[1, 1] = 0.5
    assert count_pairs(right, top, sure, "confident").converted["confident"][0, 1] == 1


def test_pairs_are_those_of_plain_loops_and_need_confidences_for_gains():
    sure = SURE.copy()
    sure[3] = np.nan
    right = TOP == LABELS
    counts = count_pairs(right, TOP, sure, "confident")
    table = pair_table(counts, list("abcde"))
    for place, (i, j) in enumerate(combinations(range(5), 2)):
        assert counts.both_right[i, j] == (right[i] & right[j]).sum()
        row = table.iloc[place]
        assert row["error_inconsistency"] == pytest.approx((right[i] != right[j]).mean())
        if 3 in (i, j):
            assert np.isnan(row["improvement"]) and np.isnan(row["conversion_rate_low"])
            continue
        first = (sure[i] > sure[j]) | ((sure[i] == sure[j]) & (TOP[i] <= TOP[j]))
        ensemble = np.where(first, right[i], right[j])
        assert row["ensemble_accuracy"] == pytest.approx(ensemble.mean())
        assert counts.converted["confident"][j, i] == counts.converted["confident"][i, j]


def vote(answers, sure):
    """Give what a vote answers, as shares of the answers that are given."""
    given = [a for a in answers if a >= 0]
    for answer in given:
        if given.count(answer) >= 2:
            return {answer: 1.0}
    if not np.isnan(sure).any() and given:
        known = sorted((s, a) for s, a in zip(sure, answers, strict=True) if a >= 0)
        if len(known) == 1 or known[-1][0] > known[-2][0]:
            return {known[-1][1]: 1.0}
    return {answer: 1 / len(given) for answer in given}


@pytest.mark.parametrize("sure", [SURE, NONE], ids=["confident", "unknown"])
@pytest.mark.parametrize("threads", [1, 3])
def test_votes_are_those_of_a_plain_loop(sure, threads):
    table = vote_table(TOP, sure, LABELS, MODELS, threads)
    right = TOP == LABELS
    assert len(table) == 10
    for row, three in zip(table.itertuples(), combinations(range(5), 3), strict=True):
        own = list(three)
        shares = [vote(TOP[own, e].tolist(), sure[own, e]).get(LABELS[e], 0) for e in range(300)]
        assert row.vote_accuracy == pytest.approx(np.mean(shares), abs=1e-12)
        assert row.oracle_accuracy == pytest.approx(right[own].any(axis=0).mean())
        pairs = [(right[i] != right[j]).mean() for i, j in combinations(own, 2)]
        assert row.error_inconsistency == pytest.approx(np.mean(pairs))
        assert row.mean_accuracy == pytest.approx(right[own].mean())
        assert row.best_accuracy == right[own].mean(axis=1).max()
        assert row.gain == pytest.approx(row.vote_accuracy - row.best_accuracy)
        assert max(row.mean_accuracy, 0) <= row.oracle_accuracy
    assert table["category"].tolist()[0] == "arch"
    assert set(table.loc[table["model_3"] == "e", "category"]) == {"dataset"}


def test_votes_by_hand():
    labels = np.zeros(6, int)
    top = np.array([[0, 0, 0, 1, 0, 0], [0, 0, 1, 1, 1, -1], [0, 1, 2, 0, 1, -1]])
    models = MODELS.iloc[:3]
    unknown = vote_table(top, np.full(top.shape, np.nan), labels, models, 1).iloc[0]
    # Three, two, a third, a majority for the wrong class twice, and the only one that answers.
    assert unknown["vote_accuracy"] == pytest.approx((1 + 1 + 1 / 3 + 0 + 0 + 1) / 6)
    assert unknown["oracle_accuracy"] == 1
    sure = np.tile([[0.9], [0.5], [0.4]], 6)
    assert vote_table(top, sure, labels, models, 1)["vote_accuracy"][0] == pytest.approx(4 / 6)
    one = sure.copy()
    one[2] = np.nan  # one that does not say is enough to let none count
    assert vote_table(top, one, labels, models, 1).iloc[0].equals(unknown)


def test_fewer_than_three_have_no_vote():
    table = vote_table(TOP[:2], SURE[:2], LABELS, MODELS.iloc[:2], 2)
    assert table.empty and "vote_accuracy" in table
