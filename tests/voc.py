"""Writes datasets in the layout of Pascal VOC 2007, for tests to read."""

import os
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from workflow.lib.data.voc import VocObject, _set_file


def write_annotation(
    path: str | os.PathLike,
    size: tuple[int, int, int],
    objects: Iterable[VocObject],
    source: Mapping[str, str],
) -> None:
    """Write the annotation of one image with every field that VOC 2007 has.

    Parameters
    ----------
    path
        The file to write; its image has the same name.
    size : tuple of int
        Width, height and number of channels.
    objects : iterable of VocObject
    source : mapping of str to str
        `database` and `image`: what the image was made of.
    """
    path = Path(path)
    root = ET.Element("annotation")
    _add(
        root,
        {
            # The name that the devkit's own tools look for.
            "folder": "VOC2007",
            "filename": f"{path.stem}.jpg",
            "source": {
                "database": source["database"],
                "annotation": "PASCAL VOC2007",
                "image": source["image"],
                "flickrid": "none",
            },
            "owner": {"flickrid": "none", "name": "none"},
            "size": dict(zip(("width", "height", "depth"), size, strict=True)),
            "segmented": 0,
        },
    )
    for thing in objects:
        box = dict(zip(("xmin", "ymin", "xmax", "ymax"), thing.box, strict=True))
        fields = {
            "name": thing.name,
            "pose": "Unspecified",
            "truncated": int(thing.truncated),
            "difficult": int(thing.difficult),
            "bndbox": box,
        }
        _add(root, {"object": fields})
    ET.indent(root, "\t")
    path.write_text(ET.tostring(root, encoding="unicode") + "\n", encoding="utf-8")


def write_sets(
    path: str | os.PathLike,
    splits: Mapping[str, Sequence[str]],
    labels: Mapping[str, np.ndarray],
    classes: Sequence[str],
) -> None:
    """Write the files under `ImageSets/Main` of a dataset.

    Parameters
    ----------
    path
        The dataset's folder.
    splits : mapping of str to sequence of str
        The ids of each split, without folder and suffix.
    labels : mapping of str to ndarray of int8, shape (images, classes)
    classes : sequence of str
    """
    _set_file(path, "any").parent.mkdir(parents=True, exist_ok=True)
    for split, ids in splits.items():
        _set_file(path, split).write_text("".join(f"{example}\n" for example in ids))
        for name, column in zip(classes, labels[split].T.tolist(), strict=True):
            lines = (f"{i} {label:2d}\n" for i, label in zip(ids, column, strict=True))
            _set_file(path, f"{name}_{split}").write_text("".join(lines))


def _add(parent: ET.Element, fields: Mapping) -> None:
    for name, value in fields.items():
        child = ET.SubElement(parent, name)
        if isinstance(value, Mapping):
            _add(child, value)
        else:
            child.text = str(value)
