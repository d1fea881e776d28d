"""Apply a deployment card to its members' logits. Needs NumPy alone: copy it where it is used.

    import json, apply_card
    card = json.load(open("pair.json"))
    apply_card.check(card)                          # the card's own images give what it says
    probabilities, macs = apply_card.apply(card, logits)   # (members, images, classes)

Members are run as the card says: their weights, by SHA-256, on images that are prepared as under
`input`, with logits in the order of the card's classes.
"""

import hashlib

import numpy as np


def apply(card: dict, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Combine members' logits into probabilities.

    Parameters
    ----------
    card : dict
    logits : ndarray of float, shape (members, images, classes)
        In the order of the card's members and classes. Of a cascade's later members, only images
        that they are run on count.

    Returns
    -------
    probabilities : ndarray of float64, shape (images, classes)
    macs : ndarray of float64, shape (images,)
        Multiply-adds that each image took; NaN if the card does not know its members'.
    """
    temperatures = np.array([member["temperature"] for member in card["members"]], np.float64)
    scaled = np.asarray(logits, np.float64) / temperatures[:, None, None]
    costs = np.array([member["macs"] or np.nan for member in card["members"]], np.float64)
    images = np.arange(scaled.shape[1])
    whole = np.full(len(images), costs.sum())
    combination = card["combination"]
    if combination in ("logit", "weighted"):
        weights = card["weights"] or [1 / len(scaled)] * len(scaled)
        return softmax(np.tensordot(weights, scaled, 1)), whole
    each = softmax(scaled)
    if combination in ("single", "probability"):
        return each.mean(axis=0), whole
    if combination == "confident":
        return each[each.max(axis=2).argmax(axis=0), images], whole
    if combination != "cascade":
        raise ValueError(f"the card has the combination {combination!r}, which is not known here")
    answer, macs = each[0].copy(), np.full(len(images), costs[0])
    left = images
    for stage, threshold in enumerate(card["thresholds"], 1):
        left = left[~(answer[left].max(axis=1) >= threshold)]
        several = each[: stage + 1] if card["then"] == "ensemble" else each[stage : stage + 1]
        answer[left] = several[:, left].mean(axis=0)
        macs[left] += costs[stage]
    return answer, macs


def softmax(values: np.ndarray) -> np.ndarray:
    """Softmax of the last axis."""
    exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def check(card: dict, logits: np.ndarray | None = None, tolerance: float = 1e-4) -> None:
    """Check that the card's images get the probabilities that it says.

    Parameters
    ----------
    card : dict
    logits : ndarray of float, shape (members, images, classes), optional
        Of the card's images as the members give them where they are to be used; by default those
        that the card holds.
    tolerance : float
        Greatest difference of a probability.

    Raises
    ------
    ValueError
        If a probability differs by more, or one is no number.
    """
    test = card["self_test"]
    found, _ = apply(card, np.asarray(test["logits"] if logits is None else logits))
    off = np.abs(found - np.asarray(test["probabilities"]))
    if not (off <= tolerance).all():
        worst = int(np.nanargmax(off.max(axis=1)))
        raise ValueError(
            f"the card of {card['ensemble']} does not hold here: the probabilities of "
            f"{test['images'][worst]} differ by {off[worst].max():.2g}; compare the members' "
            f"weights, how their images are prepared, and the order of the classes"
        )


def check_weights(card: dict, files: dict[str, str]) -> None:
    """Check that files of weights are those that the card was made of.

    Parameters
    ----------
    card : dict
    files : dict of str to str
        A file for the key of each member that is to be checked.

    Raises
    ------
    ValueError
        If a file's SHA-256 is another.
    """
    for member in card["members"]:
        path = files.get(member["model"])
        if path is None:
            continue
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != member["sha256"]:
            raise ValueError(
                f"the card of {card['ensemble']} was made of other weights of "
                f"'{member['model']}': {path} has the SHA-256 {found}, not {member['sha256']}; get "
                f"those weights, or make the card again"
            )
