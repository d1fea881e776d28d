"""Bring answers alone: the class that a model gives for each image, and perhaps how sure it is.

A CSV file has a row for each image. It is read by its headings:

`id, answer[, confidence]`                              the study's own
`filename, [index,] [label,] [prob]`                    inference.py of timm, any --topk
`file_name, predicted_class[, predicted_probability]`   ImageNet-X

An answer is a class by its index from 0 or by its name; an empty one is none, and wrong. Images are
matched by id, or by the last part of its path where that is enough to tell them apart.

An `.npz` file holds arrays, of one model or of several: `answers` (images,) or (images, models) of
whole numbers, -1 for none, and if there are any `confidences`, likewise, as fractions; as unsigned
integers, these are of the greatest that the type can hold. `models` names the columns of `answers`,
and `confident` those of `confidences`. `ids` names the rows; without it they are in the order of
the dataset's test images.
"""

import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workflow.lib.data.labels import rows_of
from workflow.lib.data.splits import Split
from workflow.lib.outputs.formats import DAMAGED, unreadable
from workflow.lib.run.errors import InputError
from workflow.lib.run.files import refuse_special

log = logging.getLogger("uncorrelated")

HEADINGS = (
    ("id", ("answer",), "confidence"),
    ("filename", ("index", "label"), "prob"),
    ("file_name", ("predicted_class",), "predicted_probability"),
)
"""Of each format the columns of ids, of answers (the first that is there), and of confidences."""

NONE = -1
"""The answer of a model that gave none."""


@dataclass
class Answers:
    """What a model answers on the images of a split, in their order.

    Attributes
    ----------
    top : ndarray of int64, shape (examples,)
        Class of each, or `NONE`.
    confidence : ndarray of float64 or None, shape (examples,)
        From 0 to 1, of each answer.
    """

    top: np.ndarray
    confidence: np.ndarray | None = None


class AnswersFile:
    """A file of answers, read once for all models in it.

    Parameters
    ----------
    path : str
        Ends in .csv, .tsv, .csv.gz or .npz. Nothing in it is unpickled.
    """

    def __init__(self, path: str):
        self.path = path
        self._arrays = _arrays(path) if path.endswith(".npz") else None

    def of(
        self, column: str | None, splits: Mapping[str, Split], split: str, classes: Sequence[str]
    ) -> Answers:
        """Find a model's answers on a split.

        Parameters
        ----------
        column : str or None
            The model's name in the file, if that is of several.
        splits : mapping of str to Split
            Of the dataset.
        split : str
            Whose images must all be there; those of other splits may be.
        classes : sequence of str

        Raises
        ------
        InputError
            If an image is unknown, missing or there twice, or an answer or a confidence is out of
            range; with the first of them.
        """
        if self._arrays is None:
            if column is not None:
                text = f"{self.path} is of one model; leave `column` out, which says {column}"
                raise InputError(text)
            ids, top, confidence = _table(self.path, classes)
        else:
            ids, top, confidence = self._column(column)
        examples = splits[split]
        if ids is None:
            if len(top) != len(examples.ids):
                raise InputError(
                    f"{self.path} names no images and has {len(top)} rows, but the split {split} "
                    f"has {len(examples.ids)} images; bring `ids`"
                )
            rows = np.arange(len(top))
        else:
            rows = rows_of_images(
                self.path,
                ids,
                splits,
                split,
                "answers for",
                "bring an answer for each (an empty one counts as wrong)",
            )
        top = top[rows]
        confidence = None if confidence is None else confidence[rows]
        _check(self.path, examples.ids, top, confidence, len(classes))
        return Answers(top, confidence)

    def _column(
        self, column: str | None
    ) -> tuple[np.ndarray | None, np.ndarray, np.ndarray | None]:
        arrays = self._arrays or {}
        ids = arrays.get("ids")
        top = _chosen(self.path, arrays["answers"], arrays.get("models"), column)
        if "confidences" not in arrays:
            return ids, top.astype(np.int64), None
        confident = arrays.get("confident", arrays.get("models"))
        if confident is not None and column not in confident.tolist():
            return ids, top.astype(np.int64), None
        found = _chosen(self.path, arrays["confidences"], confident, column)
        if found.dtype.kind == "u":
            found = found / np.iinfo(found.dtype).max
        if len(found) != len(top):
            raise InputError(f"{self.path}: {len(found)} confidences, but {len(top)} answers")
        return ids, top.astype(np.int64), found.astype(np.float64)


def labelled(path: str, classes: Sequence[str]) -> Split:
    """Find the images that an .npz file has answers for, and their labels.

    Raises
    ------
    InputError
        If it holds no `labels`, or some that are out of range.
    """
    arrays = _arrays(path)
    labels = arrays.get("labels", np.empty(0)).astype(np.int64)
    if labels.shape != arrays["answers"].shape[:1]:
        raise InputError(
            f"{path} has answers for {len(arrays['answers'])} images and an array `labels` of the "
            f"shape {labels.shape}; bring a label for each, an index from 0"
        )
    if not 0 <= labels.min(initial=0) <= labels.max(initial=0) < len(classes):
        text = f"labels go from {labels.min()} to {labels.max()}"
        raise InputError(f"{path}: {text}, but the study has {len(classes)} classes")
    return Split(arrays.get("ids", np.arange(len(labels)).astype(str)), labels)


def holds_confidences(path: str, column: str | None) -> bool:
    """Say whether a file says how sure a model is, as far as one can tell before it is read."""
    try:
        if not path.endswith(".npz"):
            _, row = next(iter(rows_of(path, ())))
            return any(_column_of(row, name) for _, _, name in HEADINGS)
        with np.load(path, allow_pickle=False) as file:
            named = file["confident"] if "confident" in file else file.get("models")
            return "confidences" in file and (named is None or column in named.tolist())
    except (InputError, StopIteration, *DAMAGED):
        return False


def columns_of(path: str) -> list[str] | None:
    """Name the models of an .npz file; None if it is of one, or no such file can be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return file["models"].tolist() if "models" in file else None
    except DAMAGED:
        return None


def _arrays(path: str) -> dict[str, np.ndarray]:
    refuse_special(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except DAMAGED as error:
        raise unreadable(path, error) from error
    if "answers" not in arrays:
        held = ", ".join(arrays) or "nothing"
        raise InputError(f"{path} holds {held}, but no array `answers`; give it that name")
    if arrays["answers"].dtype.kind not in "iu":
        kind = arrays["answers"].dtype
        raise InputError(f"{path}: answers holds {kind}; bring whole numbers, indices of classes")
    return arrays


def _chosen(
    path: str, values: np.ndarray, names: np.ndarray | None, column: str | None
) -> np.ndarray:
    """Take a model's column."""
    if values.ndim == 1 and names is None:
        return values
    known = [] if names is None else names.tolist()
    if values.ndim != 2 or values.shape[1] != len(known):
        raise InputError(
            f"{path}: an array of the shape {values.shape} and {len(known)} names of models; bring "
            f"images by models, and in `models` a name for each column"
        )
    if column not in known:
        raise InputError(f"{path} has no model '{column}', but {', '.join(map(str, known[:5]))} …")
    return values[:, known.index(column)]


def _table(path: str, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Read a CSV file of one of the formats."""
    index = {name: label for label, name in enumerate(classes)}
    ids, top, sure = [], [], []
    answers = name = ""
    confidence = None
    for line, row in rows_of(path, ()):
        if not name:
            name, answers, confidence = _format(path, row)
        ids.append(row[name])
        top.append(_label(path, line, row[name], row[answers], index))
        if confidence:
            try:
                sure.append(float(_first(row[confidence])))
            except ValueError:
                text = f"the confidence '{row[confidence]}' of '{row[name]}' is no number"
                raise InputError(f"{path}, line {line}: {text}") from None
    if not ids:
        raise InputError(f"{path} has no rows; write an id and an answer for each image")
    return np.array(ids), np.array(top, np.int64), np.array(sure) if confidence else None


def _format(path: str, row: Mapping[str, str]) -> tuple[str, str, str | None]:
    """Tell by the headings which columns are those of ids, answers and confidences."""
    for name, answers, confidence in HEADINGS:
        found = [column for each in answers if (column := _column_of(row, each))]
        if name in row and found:
            return name, found[0], _column_of(row, confidence)
    raise InputError(
        f"{path} has the columns {', '.join(row)}, but answers need `id` and `answer`, and perhaps "
        f"`confidence`, or the columns of timm's inference.py --include-index or of ImageNet-X"
    )


def _column_of(row: Mapping[str, str], name: str) -> str | None:
    """Find a column, or the first of several that timm numbers."""
    return next((column for column in (name, f"{name}_0") if column in row), None)


def _first(text: str) -> str:
    """Take the first of several values in brackets, as timm writes the best classes."""
    return re.split(r"[\s,]+", text.strip("[ ]"))[0] if text.startswith("[") else text


def _label(path: str, line: int, example: str, text: str, index: Mapping[str, int]) -> int:
    """Find the class that an answer is; without a class, the answer is none."""
    if not text:
        return NONE
    if text in index:
        return index[text]
    text = _first(text)
    if text.isdecimal() and int(text) < len(index):
        return int(text)
    raise InputError(
        f"{path}, line {line}: the answer '{text}' of '{example}' is no class, by name or by index "
        f"from 0 to {len(index) - 1}; of timm's inference.py, take --include-index"
    )


def rows_of_images(
    path: str,
    ids: np.ndarray,
    splits: Mapping[str, Split],
    split: str,
    verb: str,
    remedy: str,
) -> np.ndarray:
    """Find the row of each image of a split.

    Parameters
    ----------
    path : str
        The file, for messages.
    ids : ndarray of str, shape (rows,)
        Ids of images, or the last parts of their paths where these are enough to tell them apart.
    splits : mapping of str to Split
    split : str
        Whose images must all be there.
    verb, remedy : str
        What the file says of an image, and what to do if it lacks some, for messages.

    Returns
    -------
    ndarray of int64, shape (examples,)

    Raises
    ------
    InputError
        If an image is unknown, missing or there twice.
    """
    wanted, names = splits[split].ids, ids.tolist()
    known = {example for other in splits.values() for example in other.ids.tolist()}
    if not known.issuperset(names):
        short = {Path(example).name: example for example in known}
        if len(short) == len(known):
            names = [n if n in known else short.get(os.path.basename(n), n) for n in names]
        stray = next((n for n in names if n not in known), None)
        if stray is not None:
            raise InputError(
                f"{path} {verb} '{stray}', which is no image of the dataset, whose first is "
                f"'{wanted[0]}'; leave it out, or write the dataset's ids"
            )
    place = {name: row for row, name in enumerate(names)}
    if len(place) != len(names):
        twice = next(name for row, name in enumerate(names) if place[name] != row)
        raise InputError(f"{path} {verb} '{twice}' more than once; keep one row")
    found = np.array([place.get(example, -1) for example in wanted.tolist()])
    missing = wanted[found < 0]
    if len(missing):
        raise InputError(
            f"{path} lacks {len(missing)} of the {len(wanted)} images of the split {split}, the "
            f"first being '{missing[0]}'; {remedy}"
        )
    return found


def _check(
    path: str, ids: np.ndarray, top: np.ndarray, confidence: np.ndarray | None, classes: int
) -> None:
    bad = np.flatnonzero((top < NONE) | (top >= classes))
    if len(bad):
        raise InputError(
            f"{path}: the answer {top[bad[0]]} of '{ids[bad[0]]}' is out of range; the classes are "
            f"0 to {classes - 1}"
        )
    if confidence is None:
        return
    bad = np.flatnonzero(~((confidence >= 0) & (confidence <= 1)))
    if len(bad):
        raise InputError(
            f"{path}: the confidence {confidence[bad[0]]:g} of '{ids[bad[0]]}' is not between 0 "
            f"and 1; bring the probability of the answer"
        )
