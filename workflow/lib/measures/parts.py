"""Parts of the test images, and how two models compare on each: classes, groups, attributes.

Of each part the accuracies, and McNemar's exact test that both models get it right equally often.
That asks who is better; the stronger of two models is so in most parts. A model specialises in a
part where it is better, and more so than both models' overall accuracies say: its share of the
images that exactly one of the two gets right is also above that among all other images (Fisher's
exact test). Both must be found, so the greater p counts (Berger 1982), below 0.05 after Holm's
(1979) correction for all parts of the pair.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from workflow.lib.data.files import unicode_note
from workflow.lib.data.pixels import LEVELS
from workflow.lib.measures.specialisation import SIGNIFICANCE, odds_test, summarise
from workflow.lib.measures.statistics import holm
from workflow.lib.run.errors import InputError

KINDS = ("class", "group", "attribute")
"""What a part may be."""

SHOWN = 10  # parts without an image that are named


class Part(NamedTuple):
    """Some of the test images.

    Attributes
    ----------
    what : str
        Of `KINDS`.
    label : int
        Index of a class; -1 of any other part.
    name : str
        Of the class or the group; of an attribute, its name, with the category if it has several.
    rows : ndarray of int64
        Places of its images in the split.
    """

    what: str
    label: int
    name: str
    rows: np.ndarray


def group_labels(group: str, named: list[str] | list[int], classes: tuple[str, ...]) -> list[int]:
    """Find the classes of a group.

    Parameters
    ----------
    group : str
        Its name, for messages.
    named : list of str or of int
        Names of its classes; or two indices, of its first and of its last class.
    classes : tuple of str

    Returns
    -------
    list of int

    Raises
    ------
    InputError
        If the dataset lacks a class, with the name that comes nearest; or if indices could be
        names.
    """
    if isinstance(named[0], int):
        first, last = named
        numbered = all(name.isdecimal() for name in classes)
        if numbered and list(classes) != [str(label) for label in range(len(classes))]:
            raise InputError(
                f"groups.{group}: the dataset's classes are called by numbers, and {first} and "
                f"{last} could be their names or their indices; write the names, in quotes: "
                f'["{first}", "{last}"]'
            )
        if last >= len(classes):
            raise InputError(
                f"groups.{group}: there is no class {last}; the last of the dataset's "
                f"{len(classes):,} is {len(classes) - 1}"
            )
        return list(range(first, last + 1))
    for name in named:
        if name not in classes:
            nearest = difflib.get_close_matches(name, classes, n=1, cutoff=0)
            hint = f"; do you mean '{nearest[0]}'?" if nearest else ""
            hint = unicode_note([name], classes) or hint
            raise InputError(f"groups.{group}: the dataset has no class '{name}'{hint}")
    return [classes.index(name) for name in named]


def find_parts(
    labels: np.ndarray,
    classes: tuple[str, ...],
    groups: Mapping[str, list[str] | list[int]],
    attributes: Mapping[str, Sequence[str]],
) -> list[Part]:
    """Divide images by class, then take them by group of classes and by attribute.

    Parameters
    ----------
    labels : ndarray of int, shape (examples,)
    classes : tuple of str
    groups : mapping of str to list of str or of int
        See `group_labels`.
    attributes : mapping of str to sequence of str, each of length examples
        Of "0" and "1" only those of "1" are a part; else each value is one, but for "".

    Returns
    -------
    list of Part
        Classes and groups without an image among them.
    """
    order = np.argsort(labels, kind="stable")
    ends = np.searchsorted(labels[order], np.arange(len(classes) + 1))
    found = [
        Part("class", index, name, order[start:stop])
        for index, (name, start, stop) in enumerate(zip(classes, ends, ends[1:], strict=False))
    ]
    for group, named in groups.items():
        own = group_labels(group, named, classes)
        found.append(Part("group", -1, group, np.flatnonzero(np.isin(labels, own))))
    for name, values in attributes.items():
        own = np.asarray(values)
        different = {*own.tolist()} - {""}
        truths = different <= {"0", "1"}
        for value in ["1"] if truths else _in_order(different):
            shown = name if truths else f"{name}: {value}"
            found.append(Part("attribute", -1, shown, np.flatnonzero(own == value)))
    return found


def _in_order(values: set[str]) -> list[str]:
    """Put levels from low to high, and other categories by their names."""
    return [*LEVELS] if values == {*LEVELS} else sorted(values)


def without_images(parts: Sequence[Part]) -> str:
    """Name the parts that have no image; "" if there are none."""
    empty = [f"the {part.what} '{part.name}'" for part in parts if not len(part.rows)]
    more = f" and {len(empty) - SHOWN} more" if len(empty) > SHOWN else ""
    return ", ".join(empty[:SHOWN]) + more


def compare_parts(theta: np.ndarray, outcomes: np.ndarray, parts: Sequence[Part]) -> pd.DataFrame:
    """Compare two models on each part.

    Parameters
    ----------
    theta : ndarray of float64, shape (examples,)
        Specialisation angles; NaN where they are not known.
    outcomes : ndarray of str, shape (examples,)
        Of `specialisation.OUTCOMES`.
    parts : sequence of Part

    Returns
    -------
    DataFrame
        `what`, `label` and `class` (the name) of each part; what `specialisation.summarise` gives;
        `p_specialist`, of both tests, and `p_holm`, the same corrected; and `member`: 1 or 2 if
        that model specialises, else 0.
    """
    alone = np.stack([outcomes == "only_1", outcomes == "only_2"])  # (2, examples)
    everywhere, leads, made = alone.sum(axis=1), [], []
    for part in parts:
        here = alone[:, part.rows].sum(axis=1)
        rest = everywhere - here
        lead = np.sign([here[0] - here[1], here[0] * rest[1] - here[1] * rest[0]])
        leads.append(1 if lead[0] > 0 else 2)
        found = summarise(theta[part.rows], outcomes[part.rows])
        p = np.nan
        if len(part.rows):
            p = max(found["p"], odds_test(*here, *rest)) if lead[0] == lead[1] else 1.0
        row = {"what": part.what, "label": part.label, "class": part.name} | found
        made.append(row | {"p_specialist": p})
    table = pd.DataFrame(made)
    table["p_holm"] = holm(table["p_specialist"].to_numpy())
    table["member"] = np.where(table["p_holm"] < SIGNIFICANCE, leads, 0)
    return table
