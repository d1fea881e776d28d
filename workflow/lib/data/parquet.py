"""Datasets of Hugging Face in local parquet files: their splits, labels, class names and images.

Each row has an image, a struct of its encoded `bytes` and a `path`, and a label. The schema's
metadata, under `huggingface`, say which columns these are and what the classes are called.
"""

import functools
import io
import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workflow.lib.data.files import exact, scan
from workflow.lib.data.files import listing as names_and_sizes
from workflow.lib.data.splits import Split
from workflow.lib.data.splits import split_of as rows_to_split
from workflow.lib.run.errors import InputError

log = logging.getLogger("uncorrelated")

SPLITS = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
"""What Hugging Face takes the names of files and folders to mean."""

PARQUET = (".parquet",)
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
    found = {}
    for what, names in (("image", images), ("label", labels)):
        if len(names) > 1 and what in names:
            names = [what]
        if len(names) != 1:
            raise InputError(
                f"{path} has {'several columns' if names else 'no column'} of {what}s "
                f"({', '.join(names or schema.names)}); name one of them '{what}'"
            )
        (found[what],) = names
    names = features.get(found["label"], {}).get("names")
    return Columns(found["image"], found["label"], tuple(map(str, names)) if names else None)


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
    names, kind = next(iter(classes), ((), ""))
    if names is None:
        every = {value for column in values.values() for value in column}
        told = sorted(value for value in every if kind != "whole numbers" or value >= 0)
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


def files(path: str, splits: Mapping) -> list[str]:
    """List the files that Snakemake is to watch."""
    return exact(path, (".",), PARQUET)


def listing(path: str, splits: Mapping) -> str:
    """Say what stands for the files of a large dataset."""
    return names_and_sizes(path, (".",), PARQUET)


def opener(path: str) -> Callable[[str], io.BytesIO]:
    """Make a function that gives the encoded image of an id."""
    rows = Rows(path)
    return lambda example: io.BytesIO(rows(example))


def read(path: str, splits: Mapping) -> tuple[Sequence[str], dict[str, Split]]:
    """Find classes, and the labels of the rows of each split."""
    found: dict[str, list[str]] = {}
    for file, _ in scan(path, ".", PARQUET):
        found.setdefault(split_of(file), []).append(file)
    if not found:
        raise InputError(f"{path} holds no .parquet file")
    classes, labels = read_labels(path, [name for each in found.values() for name in each])
    if not any(map(len, labels.values())):
        raise InputError(f"{path} holds no row in any .parquet file; are they downloaded?")
    whole = {}
    for name, each in found.items():
        rows = [
            (f"{file}/{row:06d}", label)
            for file in each
            for row, label in enumerate(labels[file].tolist())
        ]
        if not rows:
            continue
        split = rows_to_split(rows)
        if (split.labels >= 0).all():
            whole[name] = split
        elif (split.labels >= 0).any():
            bad = split.ids[split.labels < 0][0]
            raise InputError(f"{path}: the image {bad} has no label; remove it, or give it one")
        else:
            log.warning("'%s' is left out, since its labels are not told (-1)", name)
    # As in ImageNet, whose test images are unlabelled: what there is to validate on is tested on.
    if "validation" in whole:
        validation = whole.pop("validation")
        if "test" not in whole:
            whole["test"] = validation
        elif "calibration" not in splits:
            whole["calibration"] = validation
    return classes, whole
