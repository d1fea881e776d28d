"""Datasets of Hugging Face in local parquet files: their splits, labels, class names and images.

Each row has an image, a struct of its encoded `bytes` and a `path`, and a label. The schema's
metadata, under `huggingface`, say which columns these are and what the classes are called.
"""

import functools
import json
import os
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workflow.lib.jobs import InputError

SPLITS = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
"""What Hugging Face takes the names of files and folders to mean."""

GROUPS = 4  # row groups kept in memory; images are asked for in order, so a few are enough


@dataclass(frozen=True)
class Columns:
    """The columns of a file that matter, and the names of its classes if it tells them."""

    image: str
    label: str
    names: tuple[str, ...] | None


def split_of(file: str) -> str:
    """Name the split that a file belongs to by its name, or else by its folders.

    Parameters
    ----------
    file : str
        Path relative to the dataset's folder, such as `data/test-00000-of-00003.parquet`.

    Returns
    -------
    str
        `train`, `validation` or `test`; `train` where no name says so.
    """
    for part in reversed(file.removesuffix(".parquet").lower().split("/")):
        for word in re.split(r"[\W\d_]+", part):
            if word in SPLITS:
                return SPLITS[word]
    return "train"


def read_columns(path: str) -> Columns:
    """Find the columns of images and labels in a file's schema.

    Raises
    ------
    InputError
        If the file cannot be read, or has no such columns or several.
    """
    try:
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"cannot read {path}: {error}; replace it") from error
    features = {}
    if schema.metadata and b"huggingface" in schema.metadata:
        features = json.loads(schema.metadata[b"huggingface"]).get("info", {}).get("features", {})
    images = [
        field.name
        for field in schema
        if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
    ]
    labels = [
        name
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    ]
    if not labels and "label" in schema.names:
        labels = ["label"]
    found = []
    for what, names in (("image", images), ("label", labels)):
        if len(names) > 1 and what in names:
            names = [what]
        if len(names) != 1:
            raise InputError(
                f"{path} has {'several columns' if names else 'no column'} of {what}s "
                f"({', '.join(names or schema.names)}); name one of them '{what}'"
            )
        found += names
    names = features.get(found[1], {}).get("names")
    return Columns(*found, tuple(map(str, names)) if names else None)


def read_labels(path: str, files: Iterable[str]) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Read the labels of files, without their images.

    Parameters
    ----------
    path : str
        The dataset's folder.
    files : iterable of str
        Relative to it.

    Returns
    -------
    classes : tuple of str
        The names in the metadata; where there are none, the labels themselves, sorted.
    labels : dict of str to ndarray of int64
        For each file, the class index of each row; negative where it is not told.

    Raises
    ------
    InputError
        If a file cannot be read, or files differ in their classes, or labels are missing or of
        another type than whole numbers, text (without names in the metadata) and truth values.
    """
    values, classes = {}, {}
    for file in files:
        place = os.path.join(path, file)
        columns = read_columns(place)
        try:
            table = pq.read_table(place, columns=[columns.label], partitioning=None)
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"cannot read {place}: {error}; replace it") from error
        values[file] = []
        if table.num_rows:
            kind = _kind_of_labels(table.column(0), place)
            if columns.names and kind != "whole numbers":
                raise InputError(
                    f"{place}: its metadata name classes, but its labels are {kind}, not whole "
                    f"numbers; mend the file"
                )
            classes.setdefault((columns.names, kind), place)
            values[file] = table.column(0).to_pylist()
    if len(classes) > 1:
        first, second = list(classes.values())[:2]
        raise InputError(f"{first} and {second} are of different classes; remove one of them")
    names, kind = next(iter(classes), ((), None))
    if names is None:
        told = {value for column in values.values() for value in column}
        told = sorted(value for value in told if kind != "whole numbers" or value >= 0)
        index = {value: label for label, value in enumerate(told)}
        names = tuple(map(str, told))
        values = {
            file: [index.get(value, -1) for value in column] for file, column in values.items()
        }
    return names, {file: np.array(column, dtype=np.int64) for file, column in values.items()}


def _kind_of_labels(column: pa.ChunkedArray, place: str) -> str:
    """Say in words what labels are, and refuse those that can be none."""
    kind = column.type
    if column.null_count:
        raise InputError(f"{place}: a label is missing; remove its row, or give it one")
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_integer(kind):
        return "whole numbers"
    if pa.types.is_boolean(kind):
        return "truth values"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    raise InputError(f"{place}: its labels are {kind}; write them as whole numbers or as text")


class Rows:
    """Gives the encoded images of a dataset by their ids, `<file>/<row>`; from any thread.

    Parameters
    ----------
    path : str
        The dataset's folder.
    """

    def __init__(self, path: str):
        self.path = path
        self._lock = threading.Lock()
        self._open = functools.lru_cache(GROUPS)(self._open_file)
        self._group = functools.lru_cache(GROUPS)(self._read_group)

    def __call__(self, example: str) -> bytes:
        """Read one image.

        Raises
        ------
        InputError
            If the file cannot be read, or has no such row or no image in it.
        """
        name, _, number = example.rpartition("/")
        try:
            with self._lock:
                _, _, starts = self._open(name)
                group = int(np.searchsorted(starts, int(number), side="right")) - 1
                content = self._group(name, group)[int(number) - starts[group]].as_py()
        except (OSError, IndexError, pa.ArrowException) as error:
            file = os.path.join(self.path, name)
            raise InputError(f"cannot read row {number} of {file}: {error}; replace it") from error
        if content is None:
            raise InputError(
                f"row {number} of {os.path.join(self.path, name)} holds no bytes of an image; "
                f"write the dataset anew with its images embedded"
            )
        return content

    def _open_file(self, name: str) -> tuple[pq.ParquetFile, str, list[int]]:
        place = os.path.join(self.path, name)
        file = pq.ParquetFile(place)
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        return file, read_columns(place).image, [0, *accumulate(sizes)][:-1] or [0]

    def _read_group(self, name: str, group: int) -> pa.Array:
        file, column, _ = self._open(name)
        table = file.read_row_group(group, columns=[f"{column}.bytes"], use_threads=False)
        return table.column(0).combine_chunks().field("bytes")
