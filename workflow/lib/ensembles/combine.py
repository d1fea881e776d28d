"""The ways to combine models: what each member of an ensemble adds to its sum.

The class of the highest sum is the ensemble's, the lowest index among equals.
"""

import numpy as np

from workflow.lib.ensembles.logits import Logits, Strip, strips


def probability(strip: Strip) -> np.ndarray:
    """Calibrated probabilities, softmax(logits / temperature)."""
    exponentials, sums = strip.softmax
    return exponentials / sums[..., None]


def logit(strip: Strip) -> np.ndarray:
    """Calibrated logits, logits / temperature."""
    return strip.scaled


COMBINATIONS = {"probability": probability, "logit": logit}
"""Scores of all models on a strip: float64, shape (models, rows, classes)."""


def add_scores(
    logits: Logits, model: int, values: np.ndarray, combination: str, total: np.ndarray
) -> None:
    """Add a model's scores, of the logits that were read of it, to `total`: (rows, classes)."""
    block, temperatures = np.ascontiguousarray(values)[None], logits.temperatures[[model]]
    for strip in strips(block, len(values), temperatures):
        total[strip.start : strip.stop] += COMBINATIONS[combination](strip)[0]
