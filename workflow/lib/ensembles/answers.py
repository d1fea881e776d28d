"""What models answer, counted by pairs and by votes of three: no logits are needed."""

from itertools import combinations

import numpy as np
import pandas as pd

from workflow.lib.ensembles.kernels import compiled
from workflow.lib.ensembles.logits import in_threads
from workflow.lib.measures.pairs import PairCounts
from workflow.lib.study.categories import ORDER

SIXTHS = 6  # in which a vote is counted: as often as not, or one time in three


def count_pairs(
    right: np.ndarray, top: np.ndarray, confidence: np.ndarray, combination: str
) -> PairCounts:
    """Count what all pairs have in common, and what the more confident one of each gets right.

    Parameters
    ----------
    right : ndarray of bool, shape (models, examples)
    top : ndarray of int64, shape (models, examples)
        Class of each answer, or -1.
    confidence : ndarray of float64, shape (models, examples)
        Of each answer; NaN for a model that does not say. Of equally confident ones the lower class
        counts, so that the order of models does not matter.
    combination : str
        Its name.

    Returns
    -------
    PairCounts
        Its `converted` and `rescued` are of float64, NaN where a model's confidence is not known.
    """
    models, examples = right.shape
    # Exact: sums of ones below 2 ** 24 in float32, and of more in float64.
    ones = right.astype(np.float32 if examples < 2**24 else np.float64)
    both_right = (ones @ ones.T).astype(np.int64)
    converted = np.full((models, models), np.nan)
    known = np.flatnonzero(~np.isnan(confidence).any(axis=1))
    for place, first in enumerate(known):
        others = known[place:]
        ahead = confidence[first] - confidence[others]  # (others, examples)
        takes = (ahead > 0) | ((ahead == 0) & (top[first] <= top[others]))
        chosen = np.where(takes, right[first], right[others])
        gained = (chosen & (right[first] != right[others])).sum(axis=1)
        converted[first, others] = converted[others, first] = gained
    rescued = np.where(np.isnan(converted), np.nan, 0.0)
    alone = examples, both_right.diagonal().copy(), both_right
    return PairCounts(*alone, {combination: converted}, {combination: rescued})


@compiled
def count_votes(top, confidence, labels, triples, votes, oracle):
    """Count what votes of three get right, and what at least one of them does.

    Of different answers, that of the most confident model counts; where one does not say how sure
    it is, or the greatest confidence is not one's alone, each counts in equal shares: what choosing
    one at random gets right on average. A model without an answer has no vote.

    Parameters
    ----------
    top : ndarray of int64, shape (models, examples)
    confidence : ndarray of float64, shape (models, examples)
        NaN where it is not known.
    labels : ndarray of int64, shape (examples,)
    triples : ndarray of int64, shape (triples, 3)
    votes, oracle : ndarray of int64, shape (triples,)
        To fill in: sixths of examples that the vote gets right; and examples.
    """
    sure = np.empty(3)
    for t in range(len(triples)):
        a, b, c = triples[t]
        for e in range(len(labels)):
            x, y, z, label = top[a, e], top[b, e], top[c, e], labels[e]
            hits = (x == label) + (y == label) + (z == label)
            oracle[t] += hits > 0
            if hits >= 2:
                votes[t] += SIXTHS
                continue
            if hits == 0 or (x == y and x >= 0) or (y == z and y >= 0) or (x == z and x >= 0):
                continue
            voters, known = 0, True
            for m in range(3):
                answer, own = top[triples[t, m], e], confidence[triples[t, m], e]
                voters += answer >= 0
                known = known and own == own
                sure[m] = own if answer >= 0 else -1.0
            most = sure.max()
            if known and (sure == most).sum() == 1:
                votes[t] += SIXTHS * (top[triples[t, sure.argmax()], e] == label)
            else:
                votes[t] += SIXTHS // voters


def vote_table(
    top: np.ndarray, confidence: np.ndarray, labels: np.ndarray, models: pd.DataFrame, threads: int
) -> pd.DataFrame:
    """Describe the votes of all threes of models.

    Parameters
    ----------
    top : ndarray of int64, shape (models, examples)
        Class of each answer, or -1.
    confidence : ndarray of float64, shape (models, examples)
        NaN where it is not known; then it is not used of any, so that all votes are counted alike.
    labels : ndarray of int64, shape (examples,)
    models : DataFrame
        `model`, `name` and `category`, in the order of `top`.
    threads : int

    Returns
    -------
    DataFrame
        `model_1` to `model_3`, `names`, and the most divergent `category`; `error_inconsistency`,
        the mean of the three pairs'; `mean_accuracy` and `best_accuracy` of the members;
        `vote_accuracy`, `improvement` over the mean and `gain` over the best; and
        `oracle_accuracy`, of images that at least one of the three gets right. All are fractions.
    """
    triples = np.array(list(combinations(range(len(top)), 3)), np.int64).reshape(-1, 3)
    votes, oracle = np.zeros((2, len(triples)), np.int64)
    if np.isnan(confidence).any():
        confidence = np.full_like(confidence, np.nan)
    parts = [part for part in np.array_split(np.arange(len(triples)), 8 * threads) if len(part)]

    def count(part: np.ndarray) -> None:
        where = slice(part[0], part[-1] + 1)
        count_votes(top, confidence, labels, triples[where], votes[where], oracle[where])

    for _ in in_threads(count, [(part,) for part in parts], threads):
        pass
    examples, right = len(labels), top == labels
    ones = right.astype(np.float64)
    alone = right.sum(axis=1)
    differ = (alone[:, None] + alone - 2 * ones @ ones.T) / examples
    accuracy = (alone / examples)[triples]  # (triples, 3)
    first, second, third = triples.T
    rank = models["category"].map(ORDER.index).to_numpy()
    keys, names = models["model"].to_numpy(), models["name"].astype(str).to_numpy()
    table = pd.DataFrame(
        {
            **{f"model_{place + 1}": keys[triples[:, place]] for place in range(3)},
            "names": [" + ".join(three) for three in names[triples]],
            "category": [ORDER[place] for place in rank[triples].max(axis=1, initial=0)],
            "error_inconsistency": (
                differ[first, second] + differ[first, third] + differ[second, third]
            )
            / 3,
            "mean_accuracy": accuracy.mean(axis=1),
            "best_accuracy": accuracy.max(axis=1, initial=0),
            "vote_accuracy": votes / (SIXTHS * examples),
            "oracle_accuracy": oracle / examples,
        }
    )
    table["improvement"] = table["vote_accuracy"] - table["mean_accuracy"]
    table["gain"] = table["vote_accuracy"] - table["best_accuracy"]
    return table
