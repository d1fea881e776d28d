"""What is wrong with outputs, as far as labels can tell: their order, their sign, their kind."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import logsumexp
from scipy.stats import binomtest

FAR = 0.1  # by how much a share must be higher to be far higher, beside three standard errors
HALF = 0.5  # accuracy of answers above which their order is not doubted
ALIKE, ENOUGH = 0.9, 20  # share of equal answers, and wrong images, from which models are the same
MOST = 4000  # classes up to which permutations are looked at: time grows with their cube


def find_problems(logits: np.ndarray, labels: np.ndarray) -> list[str]:
    """Find outputs that are hardly those of a classifier of these labels.

    Parameters
    ----------
    logits : ndarray of float, shape (examples, classes)
    labels : ndarray of int, shape (examples,)

    Returns
    -------
    list of str
        What is wrong and what to do, each to follow a model's name.
    """
    count, classes = logits.shape
    predicted = logits.argmax(axis=1)
    right = int((predicted == labels).sum())
    accuracy = right / count
    found = []
    # How often two would agree that have nothing to do with each other.
    shares = (np.bincount(values, minlength=classes) / count for values in (predicted, labels))
    chance = float(np.prod(list(shares), axis=0).sum())
    if binomtest(right, count, min(chance, 1.0), "greater").pvalue > 0.01:
        found.append(
            f"it is right on {accuracy:.1%} of {count} calibration images, no better than chance "
            f"as far as these can tell; look at its weights, its preprocessing, and the order of "
            f"its outputs"
        )
    permuted = permuted_accuracy(predicted, labels, classes) if classes <= MOST else 0.0
    turned = float((logits.argmin(axis=1) == labels).mean())
    if permuted >= turned and _is_far_higher(permuted, accuracy, count):
        found.append(
            f"in another order its outputs would be right on {permuted:.1%} of the calibration "
            f"images, and as they stand on {accuracy:.1%}; name their order (`label_names`, or the "
            f"columns of its file)"
        )
    if turned >= permuted and _is_far_higher(turned, accuracy, count):
        found.append(
            f"its least output would be right on {turned:.1%} of the calibration images, and its "
            f"greatest is on {accuracy:.1%}; turn the sign of what is a distance or a loss"
        )
    if np.abs(logsumexp(logits, axis=1)).max() < 0.01:
        found.append(
            "its outputs are logarithms of probabilities; bring its logits if these were clipped "
            "or rounded"
        )
    elif logits.max() <= 0:
        found.append("none of its outputs is above 0; make sure that they are no distances")
    return found


def find_answer_problems(
    models: Sequence[str], top: np.ndarray, labels: np.ndarray, controls: Mapping[str, str]
) -> dict[str, str]:
    """Find answers that are hardly those of a classifier of these labels, or another model's.

    Parameters
    ----------
    models : sequence of str
    top : ndarray of int64, shape (models, examples)
        Class that each answers, or -1.
    labels : ndarray of int64, shape (examples,)
    controls : mapping of str to str
        Of models that are known to have the weights of another, that one.

    Returns
    -------
    dict of str to str
        What is wrong with a model and what to do, to follow its name.
    """
    found, classes = {}, int(max(labels.max(), top.max())) + 1
    for model, own in zip(models, top, strict=True):
        accuracy = float((own == labels).mean())
        if accuracy < HALF and classes <= MOST and len(labels) >= 2 * classes:
            # Who gives no answer is as wrong in any order.
            permuted = permuted_accuracy(np.where(own < 0, classes, own), labels, classes + 1)
            if _is_far_higher(permuted, accuracy, len(labels)):
                found[model] = (
                    f"in another order of the classes its answers would be right on "
                    f"{permuted:.1%} of the images, and as they stand on {accuracy:.1%}; give them "
                    f"the dataset's order"
                )
    for second in range(len(models)):
        a = controls.get(models[second], models[second])
        for first in range(second):
            b = controls.get(models[first], models[first])
            either = (top[first] != labels) | (top[second] != labels)
            if a == b or either.sum() < ENOUGH:
                continue
            alike = float((top[first] == top[second])[either].mean())
            if alike > ALIKE and models[second] not in found:
                found[models[second]] = (
                    f"it answers as '{models[first]}' on {alike:.1%} of the images that either "
                    f"gets wrong; if both have the same weights, let it be a control (category: "
                    f"control, weights_of: {b}), or means count these weights twice"
                )
    return found


def permuted_accuracy(predicted: np.ndarray, labels: np.ndarray, classes: int) -> float:
    """Accuracy if outputs are given to classes in the best way, which is found on other examples.

    Half of each class finds the way for the other half, and the other way round, so that chance
    alone raises nothing.

    Parameters
    ----------
    predicted, labels : ndarray of int, shape (examples,)
    classes : int
    """
    half = np.empty(len(labels), dtype=int)
    half[np.argsort(labels, kind="stable")] = np.arange(len(labels)) % 2
    right = 0
    for fold in (0, 1):
        seen = half == fold
        counts = np.zeros((classes, classes), dtype=np.int32)  # (outputs, classes)
        np.add.at(counts, (predicted[seen], labels[seen]), 1)
        _, meant = linear_sum_assignment(counts, maximize=True)
        right += int((meant[predicted[~seen]] == labels[~seen]).sum())
    return right / len(labels)


def _is_far_higher(share: float, other: float, count: int) -> bool:
    error = np.sqrt((share * (1 - share) + other * (1 - other)) / count)
    return bool(share - other > max(FAR, 3 * error))
