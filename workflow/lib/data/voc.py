"""Multi-label datasets in the layout of Pascal VOC 2007, and the average precision of its devkit.

A dataset is a folder with `JPEGImages/<id>.jpg`, `Annotations/<id>.xml` (the objects in an image),
`ImageSets/Main/<split>.txt` (the ids of a split) and `ImageSets/Main/<class>_<split>.txt` (each
with the label of the class). To find out whether an image shows a class is one task a class.

A label is 1 where an image has an object of the class that is not difficult, 0 where it has only
difficult ones, and -1 where it has none (Everingham et al. 2007, development kit, section 5.1).
Images of label 0 are neither learnt from nor scored in that task.
"""

import os
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from workflow.lib.data.folder import opener as opener
from workflow.lib.run.errors import InputError
from workflow.lib.run.files import refuse_special

SPLITS = ("train", "val", "trainval", "test")


@dataclass(frozen=True)
class VocObject:
    """One object in an image.

    Attributes
    ----------
    name : str
        Its class.
    difficult : bool
        Too hard to see to be asked for.
    truncated : bool
        Whether its box holds less than the whole object.
    box : tuple of int
        Its first column, first row, last column, last row, in pixels counted from 1.
    """

    name: str
    difficult: bool
    truncated: bool
    box: tuple[int, int, int, int]


class VocSplit(NamedTuple):
    """The images of one split and their labels.

    Attributes
    ----------
    ids : ndarray of str, shape (images,)
        Paths of the images in the dataset's folder, in the order of the split's file.
    labels : ndarray of int8, shape (images, classes)
        1: shown, 0: only difficult objects, -1: not shown.
    classes : tuple of str
        Sorted; the same for every split of a dataset.
    """

    ids: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]


def read_voc(path: str | os.PathLike, split: str) -> VocSplit:
    """Read the images and labels of one split.

    Labels are those of the files of each class, which the devkit scores by (VOCevalcls.m). If any
    of these files is missing they are derived from the annotations.

    Parameters
    ----------
    path
        The dataset's folder (`VOCdevkit/VOC2007`).
    split : {'train', 'val', 'trainval', 'test'}

    Returns
    -------
    VocSplit

    Raises
    ------
    InputError
        If a file is missing, or does not say what it should.
    """
    sets = _read_splits(path)
    if split not in sets:
        raise InputError(f"{_set_file(path, split)} is missing; it lists the ids of '{split}'")
    ids = sets[split]
    for folder, suffix in (("JPEGImages", ".jpg"), ("Annotations", ".xml")):
        there = set(_list(Path(path, folder)))
        for example in ids:
            if example + suffix not in there:
                raise InputError(
                    f"{Path(path, folder, example + suffix)} is missing, but "
                    f"{_set_file(path, split)} lists {example}; restore the file"
                )
    classes = _classes_of_files(path, sets)
    if classes:
        columns = [_read_class(_set_file(path, f"{name}_{split}"), ids) for name in classes]
        labels = np.array(columns, dtype=np.int8).T
    else:
        everything = dict.fromkeys(example for examples in sets.values() for example in examples)
        objects = {i: read_annotation(Path(path, "Annotations", f"{i}.xml")) for i in everything}
        classes = sorted({thing.name for things in objects.values() for thing in things})
        if not classes:
            raise InputError(f"{Path(path, 'Annotations')} has no object in any file")
        labels = labels_of([objects[example] for example in ids], classes)
    paths = np.array([f"JPEGImages/{example}.jpg" for example in ids])
    return VocSplit(paths, np.ascontiguousarray(labels), tuple(classes))


def files(path: str | os.PathLike, splits: Mapping | None = None) -> list[str]:
    """List every file that the splits of a dataset are read from, images too, sorted.

    Annotations are among them only if labels are derived from them.
    """
    sets = _read_splits(path)
    classes = _classes_of_files(path, sets)
    files = [_set_file(path, split) for split in sets]
    files += [_set_file(path, f"{name}_{split}") for name in classes for split in sets]
    for example in dict.fromkeys(example for examples in sets.values() for example in examples):
        files.append(Path(path, "JPEGImages", f"{example}.jpg"))
        if not classes:
            files.append(Path(path, "Annotations", f"{example}.xml"))
    return sorted(str(file) for file in files)


def read_annotation(path: str | os.PathLike) -> list[VocObject]:
    """Read the objects that an annotation lists.

    Raises
    ------
    InputError
        If the file is missing, is no XML, or an object in it lacks its name or box.
    """
    refuse_special(path)
    try:
        root = ET.parse(path).getroot()
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing; restore it") from error
    except (ET.ParseError, LookupError, ValueError, OSError) as error:
        raise InputError(f"cannot read {path}: {error}; replace it") from error
    objects = []
    # Direct children only: a part of an object (a person's head) has a name and a box, too.
    for element in root.findall("object"):
        name = (element.findtext("name") or "").strip()
        flags = {key: element.findtext(key, "0").strip() for key in ("difficult", "truncated")}
        try:
            # Some of VOC's own boxes are fractions of a pixel.
            box = tuple(
                round(float(element.findtext(f"bndbox/{key}", "")))
                for key in ("xmin", "ymin", "xmax", "ymax")
            )
        except (ValueError, OverflowError):
            box = ()
        if not name or len(box) != 4 or not set(flags.values()) <= {"0", "1"}:
            raise InputError(
                f"{path}: object {len(objects) + 1} lacks its name or its box, "
                f"or has a flag other than 0 and 1; mend or replace the file"
            )
        objects.append(VocObject(name, flags["difficult"] == "1", flags["truncated"] == "1", box))
    return objects


def labels_of(objects: Sequence[Iterable[VocObject]], classes: Sequence[str]) -> np.ndarray:
    """Label images by their objects.

    Parameters
    ----------
    objects : sequence of iterables of VocObject
        Those in each image.
    classes : sequence of str

    Returns
    -------
    ndarray of int8, shape (images, classes)
        1: shown, 0: only difficult objects, -1: not shown.
    """
    column = {name: index for index, name in enumerate(classes)}
    labels = np.full((len(objects), len(classes)), -1, dtype=np.int8)
    for row, things in zip(labels, objects, strict=True):
        for thing in things:
            here = column[thing.name]
            row[here] = max(row[here], 0 if thing.difficult else 1)
    return labels


def check_tasks(labels: np.ndarray, classes: Sequence[str], split: str) -> None:
    """Refuse a split with a class that has fewer than two positive images.

    Parameters
    ----------
    labels : ndarray of int8, shape (images, classes)
    classes : sequence of str
    split : str
        Its name, for the message.

    Raises
    ------
    InputError
        Naming the first such class and the split.
    """
    for name, positives in zip(classes, np.count_nonzero(labels > 0, axis=0).tolist(), strict=True):
        if positives == 0:
            raise InputError(
                f"the task '{name}' has no positive image in the split '{split}'; "
                f"add some, or leave the class out of every split"
            )
        if positives == 1:
            raise InputError(
                f"the task '{name}' has a single positive image in the split '{split}', which "
                f"cannot be both learnt from and chosen on; add some, or leave the class out of "
                f"every split"
            )


def _set_file(path: str | os.PathLike, name: str) -> Path:
    return Path(path, "ImageSets", "Main", f"{name}.txt")


def _list(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError as error:
        raise InputError(
            f"there is no folder {folder}; give the folder that holds Annotations, ImageSets/Main "
            f"and JPEGImages (VOCdevkit/VOC2007)"
        ) from error


def _read_lines(file: Path) -> list[list[str]]:
    refuse_special(file)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {file}: {error}; restore it") from error
    return [fields for line in lines if (fields := line.split())]


def _read_splits(path: str | os.PathLike) -> dict[str, list[str]]:
    """Ids of every split that has a file."""
    there = set(_list(Path(path, "ImageSets", "Main")))
    sets = {}
    for split in SPLITS:
        if f"{split}.txt" not in there:
            continue
        file = _set_file(path, split)
        lines = _read_lines(file)
        if not lines:
            raise InputError(f"{file} lists no id; restore or remove it")
        if any(len(fields) != 1 for fields in lines):
            raise InputError(f"{file} has a line that is not one id; restore it")
        sets[split] = [fields[0] for fields in lines]
        if len(set(sets[split])) < len(lines):
            raise InputError(f"{file} lists an id twice; list it once")
    if not sets:
        raise InputError(
            f"{Path(path, 'ImageSets', 'Main')} has no list of a split: {', '.join(SPLITS)}"
        )
    return sets


def _classes_of_files(path: str | os.PathLike, sets: Iterable[str]) -> list[str]:
    """Classes that have a file for every split; none unless all have."""
    there = {name for name in _list(Path(path, "ImageSets", "Main")) if not name.startswith(".")}
    stems = [name.removesuffix(".txt").rpartition("_") for name in there if name.endswith(".txt")]
    classes = sorted({name for name, _, split in stems if name and split in SPLITS})
    whole = all(f"{name}_{split}.txt" in there for name in classes for split in sets)
    return classes if whole else []


def _read_class(file: Path, ids: Sequence[str]) -> list[int]:
    """Labels of a class, in the order of the ids."""
    lines = _read_lines(file)
    labels = {}
    for fields in lines:
        if len(fields) != 2 or fields[1] not in ("-1", "0", "1"):
            raise InputError(
                f"{file} has the line '{' '.join(fields)}', "
                f"not an id and a label of -1, 0 or 1; restore it"
            )
        labels[fields[0]] = int(fields[1])
    if len(lines) != len(ids) or labels.keys() != set(ids):
        raise InputError(
            f"{file} has other ids than the list of its split; restore both, or remove the files "
            f"of all classes to have labels derived from the annotations"
        )
    return [labels[example] for example in ids]
