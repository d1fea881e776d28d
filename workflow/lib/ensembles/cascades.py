"""Cascades: the cheapest model answers if it is sure enough, else the next runs as well.

The next stage answers by the mean of the probabilities of all models that have run, whose cost is
paid already, or by the last model alone. Costs are in any unit that adds up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np

from workflow.lib.ensembles.kernels import known_scores, label_wins
from workflow.lib.ensembles.logits import Logits, PerThread, Strip, blocks, in_threads, stream
from workflow.lib.ensembles.whole import Alone

THEN = ("ensemble", "larger")
"""Who answers at the last stage: the mean of all that have run, or the last model alone."""

MARGIN = 0.001
"""How far below its ensemble's calibration accuracy a recommended cascade's may be."""

THRESHOLDS = 40

compiled = numba.njit(nogil=True, cache=True)


@dataclass(frozen=True)
class CascadeCounts:
    """What cascades of two do, by how sure their first model is.

    Place j of the last axis is of the images whose confidence is at least threshold j - 1, and
    below threshold j, in ascending order.

    Attributes
    ----------
    images, first : ndarray of int64, shape (pairs, thresholds + 1)
        Images, and those that the first model gets right.
    right : ndarray of int64, shape (pairs, 2, thresholds + 1)
        Images that each of `THEN` gets right.
    losses : ndarray of float64, shape (pairs, 3, thresholds + 1)
        Sums of the negative log-likelihood of the first model and of each of `THEN`.
    """

    images: np.ndarray
    first: np.ndarray
    right: np.ndarray
    losses: np.ndarray


@dataclass(frozen=True)
class Curves:
    """Cascades at each threshold: arrays of shape (pairs, 2, thresholds), the second axis `THEN`.

    Attributes
    ----------
    exits : ndarray of float64
        Share of images that the first model answers.
    accuracy, nll : ndarray of float64
    """

    exits: np.ndarray
    accuracy: np.ndarray
    nll: np.ndarray


def count_cascades(
    logits: Logits,
    pairs: Sequence[tuple[int, int]],
    thresholds: Sequence[float],
    *,
    threads: int = 1,
    **options,
) -> CascadeCounts:
    """Count cascades of two at thresholds, reading all logits once.

    Parameters
    ----------
    logits : Logits
    pairs : sequence of (int, int)
        Numbers of the first model and the second.
    thresholds : sequence of float, or ndarray of shape (models, thresholds)
        Ascending confidences from which on the first model answers; the same for all models, or
        each one's own.
    threads : int
        The result does not depend on it.
    **options
        Of `stream`, nor on these.
    """
    models, examples, _ = logits.shape
    grid = np.zeros((models, np.shape(thresholds)[-1])) + thresholds
    places, bins = np.array(pairs, np.int64).reshape(-1, 2), grid.shape[1] + 1
    # Of each model and image: its answer; between which thresholds it is how sure; the softmax's
    # denominator, and by how much the label's calibrated logit is above the largest.
    top, place = np.empty((2, models, examples), np.int32)
    sums, label = np.empty((2, models, examples))
    mended = PerThread(len(places), bins)

    def compare(strip: Strip, rows: slice) -> None:
        exponentials, sums[:, rows] = strip.softmax
        candidates, _ = strip.candidates
        top[:, rows] = candidates[..., 0]
        _compare(
            strip.values, strip.start, strip.temperatures, exponentials, candidates,
            logits.accepted[rows], grid, places,
            sums[:, rows], label[:, rows], place[:, rows], mended.own,
        )  # fmt: skip

    stream(logits, compare, threads=threads, **options)
    nll = np.log(sums, out=sums)
    nll -= label
    probability = np.exp(np.negative(nll, out=label), out=label)
    alone = logits.right(top)
    images, first = np.zeros((2, len(places), bins), np.int64)
    right = np.stack([mended.sum(), np.zeros_like(images)], axis=1)
    losses = np.zeros((len(places), 3, bins))
    jobs = [
        (place, top, alone, nll, probability,
         *(own[part] for own in (places, images, first, right, losses)))
        for part in blocks(len(places), max(1, -(-len(places) // threads)))
    ]  # fmt: skip
    for _ in in_threads(_count, jobs, threads):
        pass
    return CascadeCounts(images, first, right, losses)


@compiled
def _compare(values, start, temperatures, exponentials, candidates, labels, grid, pairs, sums,
             label, place, right):  # fmt: skip
    """Fill in `label` and `place`; add where a pair is right whose members answer differently."""
    scores = np.empty(candidates.shape[::2])
    own = np.empty((len(sums), labels.shape[1]))
    for row in range(len(labels)):
        for m in range(len(sums)):
            here, temperature = values[m, start + row], temperatures[m]
            largest = np.float64(here[candidates[m, row, 0]]) / temperature
            label[m, row] = np.float64(here[labels[row, 0]]) / temperature - largest
            place[m, row] = np.searchsorted(grid[m], 1 / sums[m, row], side="right")
        known_scores(exponentials, row, sums[:, row], candidates[:, row], labels[row], scores, own)
        for p in range(len(pairs)):
            a, b = pairs[p, 0], pairs[p, 1]
            first, second = candidates[a, row], candidates[b, row]
            if first[0] == second[0]:
                continue
            one = first, scores[a], exponentials[a, row], sums[a, row]
            other = second, scores[b], exponentials[b, row], sums[b, row]
            for i in range(labels.shape[1]):
                c = labels[row, i]
                if c >= 0 and label_wins(c, own[a, i] + own[b, i], one, other):
                    right[p, place[a, row]] += 1


@compiled
def _count(place, top, alone, nll, probability, pairs, images, first, right, losses):
    """Add all else, from what is known of each model and image."""
    for p in range(len(pairs)):
        a, b = pairs[p, 0], pairs[p, 1]
        for image in range(place.shape[1]):
            at = place[a, image]
            images[p, at] += 1
            first[p, at] += alone[a, image]
            right[p, 1, at] += alone[b, image]
            if top[a, image] == top[b, image]:
                right[p, 0, at] += alone[a, image]
            losses[p, 0, at] += nll[a, image]
            mean = (probability[a, image] + probability[b, image]) / 2
            losses[p, 1, at] -= np.log(max(mean, 1e-320))
            losses[p, 2, at] += nll[b, image]


def curves(counts: CascadeCounts) -> Curves:
    """Draw the curves of cascades of two from their counts."""
    examples = counts.images.sum(axis=1, keepdims=True)

    def above(values: np.ndarray) -> np.ndarray:
        """Sums of what is at least as sure as each threshold."""
        return values[..., ::-1].cumsum(axis=-1)[..., ::-1][..., 1:]

    def below(values: np.ndarray) -> np.ndarray:
        return values.cumsum(axis=-1)[..., :-1]

    exits = above(counts.images) / examples
    accuracy = (above(counts.first)[:, None] + below(counts.right)) / examples[:, None]
    nll = (above(counts.losses[:, :1]) + below(counts.losses[:, 1:])) / examples[:, None]
    return Curves(np.broadcast_to(exits[:, None], accuracy.shape), accuracy, nll)


def thresholds_of(log_confidence: np.ndarray, count: int = THRESHOLDS) -> np.ndarray:
    """Choose thresholds at equal steps of the share that exits, both ends exact.

    Parameters
    ----------
    log_confidence : ndarray of float64, shape (models, examples)
        Of the images that thresholds are chosen on.
    count : int

    Returns
    -------
    ndarray of float64, shape (models, count)
        Ascending confidences of each model. The first, 0, is the first model alone; the last, above
        1, the last stage.
    """
    inner = np.quantile(np.exp(log_confidence), np.linspace(0, 1, count)[1:-1], axis=1).T
    ends = np.zeros((len(log_confidence), 1)), np.full((len(log_confidence), 1), 1.01)
    return np.concatenate([ends[0], inner, ends[1]], axis=1)


def choose(accuracy: np.ndarray, cost: np.ndarray, margin: float = MARGIN) -> np.ndarray:
    """Choose the cheapest threshold whose accuracy is within a margin of the last stage's.

    Parameters
    ----------
    accuracy, cost : ndarray of float64, shape (…, thresholds)
        On the images that thresholds are chosen on; the last threshold is the last stage.
    margin : float
        As a fraction.

    Returns
    -------
    ndarray of int, shape (…)
        Of equally cheap ones the more accurate.
    """
    enough = accuracy >= accuracy[..., -1:] - margin - 1e-12
    key = np.where(enough, cost, np.inf)
    cheapest = key == key.min(axis=-1, keepdims=True)
    return np.where(cheapest, accuracy, -np.inf).argmax(axis=-1)


def random_exit(cost: tuple[float, float], accuracy: tuple[float, float], exits) -> tuple:
    """Cost and accuracy where images exit at random: a straight line between both ends."""
    exits = np.asarray(exits, np.float64)
    return (
        cost[0] + (1 - exits) * cost[1],
        exits * accuracy[0] + (1 - exits) * accuracy[1],
    )


def oracle_exit(first: np.ndarray, last: np.ndarray, cost: tuple[float, float]) -> tuple:
    """Mean cost and accuracy where exactly the images exit that the next stage would not mend.

    Parameters
    ----------
    first, last : ndarray of bool, shape (examples,)
        What the first model and the last stage get right.
    cost : (float, float)
        Of the first model, and of the next.
    """
    return cost[0] + float((last & ~first).mean()) * cost[1], float((first | last).mean())


@dataclass(frozen=True)
class Stages:
    """What each stage of a cascade answers: arrays of shape (stages, examples)."""

    right: np.ndarray
    log_confidence: np.ndarray
    nll: np.ndarray


def run(stages: Stages, costs: Sequence[float], thresholds: Sequence[float]) -> tuple:
    """Run a cascade of any number of stages.

    Parameters
    ----------
    stages : Stages
    costs : sequence of float
        What each stage adds.
    thresholds : sequence of float
        Of all stages but the last.

    Returns
    -------
    stage : ndarray of int, shape (examples,)
        The stage that answers.
    cost : float
        Mean over examples.
    """
    sure = np.exp(stages.log_confidence[:-1]) >= np.asarray(thresholds)[:, None]
    stage = np.where(sure.any(axis=0), sure.argmax(axis=0), len(sure))
    return stage, float(np.cumsum(costs)[stage].mean())


def window(
    first: np.ndarray, coverage: float, widths: Sequence[float]
) -> list[tuple[float, float]]:
    """Windows of confidence around the threshold at which an answer is accepted.

    Where answers are used selectively, only whether an image is among the accepted ones matters: a
    second stage pays where that is in doubt (Xia and Bouganis 2023).

    Parameters
    ----------
    first : ndarray of float64, shape (examples,)
        Logarithms of the first model's confidences.
    coverage : float
        Share of the answers that is accepted.
    widths : sequence of float
        Shares of the images that lie in each window, half of them on either side as far as there
        are any.

    Returns
    -------
    list of (float, float)
        Logarithms of the least confidence in the window, and of the least above it.
    """
    found = []
    for width in widths:
        ends = np.clip([1 - coverage - width / 2, 1 - coverage + width / 2], 0, 1)
        low, high = np.quantile(first, ends)
        found.append((-np.inf if ends[0] == 0 else low, np.inf if ends[1] == 1 else high))
    return found


def stages_of(alone: Alone, members: Sequence[int], combined: Sequence[tuple]) -> Stages:
    """Put a first model's answers before those of ensembles that begin with it.

    Parameters
    ----------
    alone : Alone
    members : sequence of int
        The first is the first stage.
    combined : sequence of (right, log_confidence, nll)
        Of each further stage, arrays of shape (examples,).
    """
    first = members[0]
    own = alone.right[first], alone.log_confidence[first], alone.losses[first, 0]
    return Stages(*(np.stack(parts) for parts in zip(own, *combined, strict=True)))
