"""What both models of an update answer together, from logits of the images where they differ."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from workflow.lib.ensembles.combine import COMBINATIONS
from workflow.lib.ensembles.listed import JOIN
from workflow.lib.ensembles.logits import Logits
from workflow.lib.ensembles.pairs import classes_together, pair_classes

WEIGHTED = "weighted"
CASCADES = {"ensemble": "cascade-both", "larger": "cascade-larger"}
"""Systems by who answers last in a cascade: the mean of both probabilities, or the larger model."""


def weighted_classes(
    logits: Logits, first: int, second: int, top: np.ndarray, weights: Mapping[int, float]
) -> np.ndarray:
    """Class of the highest weighted sum of calibrated logits, the lowest among equals.

    Parameters
    ----------
    logits : Logits
    first, second : int
        Numbers of the models.
    top : ndarray of int, shape (models, examples)
        Top class of each model.
    weights : mapping of int to float
        Of each of both, not negative, and not both zero.

    Returns
    -------
    ndarray of int, shape (examples,)
    """

    def add(model: int, values: np.ndarray, total: np.ndarray) -> None:
        total += weights[model] * (values / logits.temperatures[model])

    return classes_together(logits, first, second, top, add)


def update_classes(
    logits: Logits,
    pair: list[str],
    top: np.ndarray,
    log_confidence: np.ndarray,
    weights: pd.DataFrame,
    cascades: pd.DataFrame,
) -> dict[str, np.ndarray]:
    """Find what both models of an update answer together, by each system that reads logits.

    Parameters
    ----------
    logits : Logits
        With the models' keys as names.
    pair : list of str
        Keys of the old model and the new one.
    top, log_confidence : ndarray, shape (models, examples)
        Class that each model answers, and how sure it is, in the order of `logits`.
    weights : DataFrame
        As `weights` writes it.
    cascades : DataFrame
        As `cascades` writes it.

    Returns
    -------
    dict of str to ndarray of int, shape (examples,)
        By `COMBINATIONS`, `WEIGHTED` where the pair has weights, and those of `CASCADES` that it
        has, at a threshold that some calibration images reach and others do not.
    """
    first, second = (logits.names.index(key) for key in pair)
    found = {name: pair_classes(logits, first, second, top, name) for name in COMBINATIONS}
    for row in _of_pair(weights, pair):
        members = [logits.names.index(key) for key in row["models"].split(JOIN)]
        fitted = dict(zip(members, map(float, str(row["weights"]).split()), strict=True))
        found[WEIGHTED] = weighted_classes(logits, first, second, top, fitted)
    for row in _of_pair(cascades, pair):
        threshold = float(row["thresholds"]) if row["target"] == "accuracy" else 0.0
        if not 0 < threshold <= 1:
            continue
        early, late = (logits.names.index(key) for key in row["models"].split(JOIN))
        last = found["probability"] if row["then"] == "ensemble" else top[late]
        exits = np.exp(log_confidence[early]) >= threshold
        found[CASCADES[row["then"]]] = np.where(exits, top[early], last)
    return found


def _of_pair(table: pd.DataFrame, pair: list[str]) -> list[dict]:
    """Rows of two models, whichever comes first."""
    names = [JOIN.join(own) for own in (pair, pair[::-1])]
    return table[table["models"].isin(names)].to_dict("records")
