"""How each image fares with all models: who gets it right, and what most of them answer."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

MOST_IN_A_BLOCK = 4_000_000  # answers looked at at a time


def describe_images(
    top: np.ndarray, confidence: np.ndarray, labels: np.ndarray, categories: Sequence[str]
) -> pd.DataFrame:
    """Describe each image by the answers of all models.

    Parameters
    ----------
    top : ndarray of int, shape (models, examples)
        Class that each model answers; -1 is no answer.
    confidence : ndarray of float64, shape (models, examples)
        Of each answer, or NaN.
    labels : ndarray of int, shape (examples,)
    categories : sequence of str
        Of each model.

    Returns
    -------
    DataFrame
        A row an image: `rank` among those whose most frequent answer is not the label, from 1, the
        one on which most models agree first, of equally many the most confident, then the earlier;
        `label`; `models`, how many there are; `right`, how many get it right, and
        `right_<category>`, how many of each category; `answer`, the class that most models answer,
        -1 if none does; `agree`, how many do, and `confidence`, the mean confidence in it of those
        that say. Of answers that are equally frequent the label counts, then the more confident,
        then the lower class.
    """
    examples = len(labels)
    right = top == labels
    columns = {"label": labels, "models": len(top), "right": right.sum(axis=0)}
    kinds = np.asarray(categories, dtype=object)
    for name in dict.fromkeys(categories):
        columns[f"right_{name}"] = right[kinds == name].sum(axis=0)
    step = max(1, MOST_IN_A_BLOCK // max(1, len(top)))
    blocks = [slice(start, start + step) for start in range(0, examples, step)]
    found = [_most_frequent(top[:, b], confidence[:, b], labels[b]) for b in blocks]
    answer, agree, sure = (
        np.concatenate([part[place] for part in found]) if found else np.empty(0)
        for place in range(3)
    )
    against = np.flatnonzero((answer != labels) & (agree > 0))
    order = np.lexsort((against, -np.nan_to_num(sure[against]), -agree[against]))
    rank = np.zeros(examples, np.int64)
    rank[against[order]] = np.arange(1, len(against) + 1)
    ranked = pd.Series(rank).astype("Int64").where(rank > 0)
    more = {"answer": answer, "agree": agree, "confidence": sure}
    return pd.DataFrame({"rank": ranked} | columns | more)


def _most_frequent(
    top: np.ndarray, confidence: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The most frequent answer to each image, how many give it, and their mean confidence."""
    examples = top.shape[1]
    answers = top.astype(np.int64)
    image = np.broadcast_to(np.arange(examples), top.shape)
    given = answers >= 0
    width = int(answers.max(initial=0)) + 1
    keys, group, count = np.unique(
        (image * width + answers)[given], return_inverse=True, return_counts=True
    )
    own = confidence[given]
    said = ~np.isnan(own)
    total = np.bincount(group, np.where(said, own, 0.0), len(keys))
    with np.errstate(invalid="ignore"):
        mean = total / np.bincount(group, said, len(keys))  # NaN where none says
    place, value = np.divmod(keys, width)
    # The last of each image is the one that counts.
    order = np.lexsort((-value, np.nan_to_num(mean), value == labels[place], count, place))
    last = order[np.append(np.diff(place[order]) > 0, True)[: len(order)]]
    answer, agree = np.full(examples, -1), np.zeros(examples, np.int64)
    sure = np.full(examples, np.nan)
    where = place[last]
    answer[where], agree[where], sure[where] = value[last], count[last], mean[last]
    return answer, agree, sure
