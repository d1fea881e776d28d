"""Which ensembles are scored, and which combination of each is the one to take."""

import logging
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, StratifiedKFold

from workflow.lib.ensembles.logits import Logits
from workflow.lib.ensembles.scores import LIKELY, confident
from workflow.lib.ensembles.whole import combine, fit_weights

log = logging.getLogger("uncorrelated")

FOLDS = 5
ALL_PAIRS = 20_000  # of more pairs only the listed ones are scored
JOIN = " + "


class Listed(NamedTuple):
    """An ensemble that is scored.

    Attributes
    ----------
    members : tuple of int
        Numbers of the models.
    kind : str
        "single", "pair", "triple", "greedy" or "named".
    name : str
        Of a named one.
    chosen : bool
        Whether its combination is to be chosen: it is more than one of all pairs.
    """

    members: tuple[int, ...]
    kind: str
    name: str
    chosen: bool


KINDS = {1: "single", 2: "pair", 3: "triple"}


def gather(
    models: Sequence[str],
    recommended: pd.DataFrame,
    greedy: pd.DataFrame,
    named: Mapping[str, Sequence[str]],
) -> list[Listed]:
    """List singles, all pairs, the recommended triples, greedy ensembles, and the named ones.

    Parameters
    ----------
    models : sequence of str
        Keys, in the order of their numbers.
    recommended, greedy : DataFrame
        As `selection` writes them.
    named : mapping of str to sequence of str
    """
    place = {key: number for number, key in enumerate(models)}
    groups = [tuple(place[key] for key in own.split(JOIN)) for own in recommended["models"]]
    groups = sorted(dict.fromkeys(groups), key=lambda own: (len(own), own))
    found: dict[tuple[int, ...], Listed] = {
        (number,): Listed((number,), "single", "", True) for number in range(len(models))
    }
    pairs = list(combinations(range(len(models)), 2))
    if len(pairs) > ALL_PAIRS:
        log.warning("of %d pairs only the recommended and named ones are scored", len(pairs))
        pairs = []
    found |= {pair: Listed(pair, "pair", "", False) for pair in pairs}
    found |= {own: Listed(own, KINDS[len(own)], "", True) for own in groups}
    for own in grown(greedy, place):
        found.setdefault(own, Listed(own, "greedy", "", True))
        found[own] = found[own]._replace(chosen=True)
    for name, keys in named.items():
        members = tuple(place[key] for key in keys)
        if len(members) == 2:  # under the key that it has in all tables
            members = tuple(sorted(members))
        found.pop(tuple(sorted(members)), None)
        found[members] = Listed(members, "named", name, True)
    return list(found.values())


def grown(greedy: pd.DataFrame, place: Mapping[str, int]) -> list[tuple[int, ...]]:
    """Members of the greedy ensembles that were selected on held-out images."""
    if "protocol" not in greedy:
        return []
    rows = greedy[(greedy["protocol"] == "held-out") & ~greedy["refused"].astype(bool)]
    keys = ["combination", "replacement", "base"]
    return list(
        dict.fromkeys(
            tuple(place[key] for key in group.sort_values("step")["model"])
            for _, group in rows.groupby(keys, sort=False)
        )
    )


def folds_of(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Put examples into five folds, in equal shares of each class as far as it has enough.

    Returns
    -------
    ndarray of int64, shape (examples,)
        Fewer folds if there are fewer examples.
    """
    count = min(FOLDS, len(labels))
    if count < 2:
        return np.zeros(len(labels), np.int64)
    several = np.bincount(labels).max() >= count
    kind = StratifiedKFold if several else KFold
    folds = np.zeros(len(labels), np.int64)
    divided = kind(count, shuffle=True, random_state=seed).split(folds, labels)
    for fold, (_, rows) in enumerate(divided):
        folds[rows] = fold
    return folds


def cross_fit(
    logits: Logits, ensembles: Sequence[tuple[int, ...]], folds: np.ndarray, **options
) -> np.ndarray:
    """Negative log-likelihood of each combination on images that none of its numbers saw.

    Temperatures and weights are fitted without each fold in turn, and the fold is scored.

    Parameters
    ----------
    logits : Logits
        At the temperatures of all examples.
    ensembles : sequence of tuple of int
    folds : ndarray of int64, shape (examples,)
        Of `folds_of`.
    **options
        `threads` and `memory`, as for `fit_weights`.

    Returns
    -------
    ndarray of float64, shape (ensembles, combinations)
        In nats, in the order of `LIKELY`.
    """
    count = int(folds.max()) + 1
    used = sorted({model for own in ensembles for model in own})
    own = logits.of(used)
    groups = [tuple(used.index(model) for model in group) for group in ensembles]
    problems = [*((number,) for number in range(len(used))), *groups]
    left_out = np.repeat(np.arange(count), len(problems))
    fits = fit_weights(own, problems * count, folds=folds, left_out=left_out, **options)
    values = [fits.values[f * len(problems) : (f + 1) * len(problems)] for f in range(count)]
    scale = np.array([[alone[0] for alone in part[: len(used)]] for part in values])
    scale = np.maximum(scale, 1e-3)  # (folds, models)
    factors = scale.T[:, folds]  # (models, examples)
    found = np.zeros((len(groups), len(LIKELY)))
    for fold in range(count):
        weights = [
            fitted / scale[fold, list(group)]
            for group, fitted in zip(groups, values[fold][len(used) :], strict=True)
        ]
        combined = combine(own, groups, weights, folds, count, factors=factors, **options)
        found[:, :3] += combined.losses[:, :, 0, fold]
    alone, here = combined.alone, np.arange(len(folds))
    for place, group in enumerate(groups):
        found[place, 3] = alone.losses[confident(alone, group), 0, here].sum()
    return found / len(folds)
