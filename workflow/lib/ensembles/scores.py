"""All combinations of models, and their scores on images that nothing was fitted on."""

from collections.abc import Iterator

import numpy as np

from workflow.lib.ensembles import dense
from workflow.lib.ensembles.logits import Logits, in_threads
from workflow.lib.ensembles.whole import Alone, Combined
from workflow.lib.measures.uncertainty import (
    GROUPS,
    OF_CONFIDENCES,
    SCORES,
    Score,
    confidence_scores,
    left_out_means,
)

COMBINATIONS = (*dense.KINDS, "vote", "confident", "oracle")
"""The mean of probabilities, the mean of logits, `fit_weights`, and those below."""

BOUNDS = ("oracle",)
"""What needs the label to answer: drawn, and never recommended."""

LIKELY = tuple(name for name in COMBINATIONS if name not in ("vote", *BOUNDS))
"""Those that give every class a probability; of the others there is only an answer."""

OF_ENSEMBLES = SCORES | {
    "conversion_rate": Score("Share of the images that one member alone gets right", True)
}
"""All scores of an ensemble; the last is of pairs alone, as in `measures.pairs`."""

NLL, BRIER = list(SCORES).index("nll"), list(SCORES).index("brier")


def confident(alone: Alone, members: tuple[int, ...]) -> np.ndarray:
    """Number of the most confident member on each example, of equal ones the first: (examples,)."""
    chosen = alone.log_confidence[list(members)].argmax(axis=0)
    return np.asarray(members)[chosen]


def vote(alone: Alone, members: tuple[int, ...]) -> np.ndarray:
    """The most frequent top class; of equally frequent ones that of the most confident voter.

    Returns
    -------
    ndarray of int64, shape (examples,)
    """
    top = alone.top[list(members)]  # (members, examples)
    votes = (top[:, None] == top[None]).sum(axis=0)
    sure = np.where(votes == votes.max(axis=0), alone.log_confidence[list(members)], -np.inf)
    return top[sure.argmax(axis=0), np.arange(top.shape[1])]


def oracle(alone: Alone, members: tuple[int, ...]) -> np.ndarray:
    """Whether any member is right: bool, (examples,)."""
    return alone.right[list(members)].any(axis=0)


def score_all(
    combined: Combined, group: np.ndarray, logits: Logits | None = None, *, threads: int = 1
) -> np.ndarray:
    """Compute all scores of all ensembles under all combinations.

    Parameters
    ----------
    combined : Combined
    group : ndarray of int64, shape (examples,)
        Of `groups`.
    logits : Logits, optional
        For votes, whose labels these have; without them there are none.
    threads : int

    Returns
    -------
    ndarray of float64, shape (ensembles, combinations, scores, 1 + GROUPS)
        In the order of `COMBINATIONS` and `OF_ENSEMBLES`, of all examples and without each group.
        NaN where a combination has no probabilities, and for votes of fewer than three.
    """
    ensembles = combined.ensembles
    found = np.full((len(ensembles), len(COMBINATIONS), len(OF_ENSEMBLES), 1 + GROUPS), np.nan)
    sizes = np.bincount(group, minlength=GROUPS)
    found[:, : len(dense.KINDS), [NLL, BRIER]] = left_out_means(combined.losses, sizes)
    own_losses = np.stack(
        [np.stack([np.bincount(group, own, GROUPS) for own in both])
         for both in combined.alone.losses]
    )  # fmt: skip

    def score(e: int) -> None:
        members = ensembles[e]
        alone = combined.alone.right[list(members)]
        one = alone[0] ^ alone[1] if len(members) == 2 else None
        for kind, log_confidence, right in _answers(combined, e):
            scores = confidence_scores(log_confidence, right, group)
            places = [list(SCORES).index(name) for name in OF_CONFIDENCES]
            found[e, kind, places] = scores.T
            if one is not None:
                sums = np.bincount(group[one], right[one], GROUPS)
                counts = np.bincount(group[one], minlength=GROUPS)
                found[e, kind, -1] = left_out_means(sums, counts)
        place = COMBINATIONS.index("confident")
        if len(members) == 1:
            found[e, place, [NLL, BRIER]] = left_out_means(own_losses[members[0]], sizes)
        else:
            chosen = confident(combined.alone, members)
            losses = combined.alone.losses[chosen, :, np.arange(len(chosen))].T
            sums = np.stack([np.bincount(group, own, GROUPS) for own in losses])
            found[e, place, [NLL, BRIER]] = left_out_means(sums, sizes)
        rest = {"oracle": oracle(combined.alone, members)}
        if len(members) > 2 and logits is not None:
            rest["vote"] = logits.right(vote(combined.alone, members))
        for name, right in rest.items():
            sums = np.bincount(group, right, GROUPS)
            found[e, COMBINATIONS.index(name), 0] = left_out_means(sums, sizes)

    for _ in in_threads(score, [(e,) for e in range(len(ensembles))], threads):
        pass
    return found


def _answers(combined: Combined, e: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Confidences, and who is right, of each combination that has confidences."""
    for kind in range(len(dense.KINDS)):
        yield kind, combined.log_confidence[e, kind], combined.right[e, kind]
    alone, chosen = combined.alone, confident(combined.alone, combined.ensembles[e])
    here = chosen, np.arange(len(chosen))
    yield COMBINATIONS.index("confident"), alone.log_confidence[here], alone.right[here]
