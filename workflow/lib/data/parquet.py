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
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from workflow.lib.data.files import UnreadableImage, exact, look, scan
from workflow.lib.data.files import listing as names_and_sizes
from workflow.lib.data.files import warnings as told_of_files
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
KEPT = 4  # batches of rows in memory; images are asked for in order, so a few are enough
BATCH = 2**26  # bytes of images in a batch, about: Arrow gives no more than 2 GB at once


@dataclass(frozen=True)
class Columns:
    """The columns of a file that matter, and the names of its classes if it has them."""

    image: str
    label: str
    names: tuple[str, ...] | None


def split_of(file: str) -> str | None:
    """Name the split that a file belongs to, by its name or else by its folders.

    Parameters
    ----------
    file : str
        Path relative to the dataset's folder, such as `data/test-00000-of-00003.parquet`, or
        `<configuration>/test/0000.parquet` as the hub converts datasets.

    Returns
    -------
    str or None
        `train`, `validation` or `test`, or what else stands where the hub has a split's name, as
        a slug; None where nothing says it.
    """
    stem = file.removesuffix(".parquet").lower()
    named = re.search(r"([^/]+)-\d{5}-of-\d{5}(-[0-9a-f]+)?\Z", stem)
    named = named or re.fullmatch(r"[^/]+/(?:partial-)?([^/]+)/\d{4}", stem)
    if named:
        return SPLITS.get(named[1]) or "-".join(re.findall(r"[a-z0-9]+", named[1])) or None
    for part in reversed(stem.split("/")):
        for word in re.split(r"[\W\d_]+", part):
            if word in SPLITS:
                return SPLITS[word]
    return None


def named_splits(path: str) -> set[str]:
    """Name the splits that files say to be of; none of a folder that cannot be read."""
    try:
        found = {split_of(file) or "train" for file, _ in look(path, ".", PARQUET).files}
    except InputError:
        return set()
    return found - {"train"}


def _files_of_splits(path: str, files: Sequence[str]) -> dict[str, list[str]]:
    """Find the files of each split; all are of `train` where none says of which it is."""
    found: dict[str, list[str]] = {}
    for file in files:
        found.setdefault(split_of(file) or "", []).append(file)
    unnamed = found.pop("", [])
    if unnamed and found:
        known = next(iter(found.values()))[0]
        raise InputError(
            f"{os.path.join(path, unnamed[0])} does not say of which split it is, and {known} "
            f"does; rename it, say to train-00000-of-00001.parquet, or remove it"
        )
    return found or ({"train": unnamed} if unnamed else {})


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
        For each file, the class index of each row; negative where it is unknown.

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
        listed = sorted(value for value in every if kind != "whole numbers" or value >= 0)
        index = {value: label for label, value in enumerate(listed)}
        names = tuple(map(str, listed))
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
        self._open = functools.lru_cache(KEPT)(self._open_file)
        self._batches: dict[tuple[str, int], tuple[Iterator[pa.Array], deque]] = {}

    def __call__(self, example: str) -> bytes:
        """Read one image.

        Raises
        ------
        UnreadableImage
            If the row has no image in it.
        InputError
            If the file cannot be read, or has no such row.
        """
        name, _, number = example.rpartition("/")
        try:
            with self._lock:
                content = self._row(name, int(number)).as_py()
        except (OSError, IndexError, pa.ArrowException) as error:
            file, why = os.path.join(self.path, name), " ".join(str(error).split())
            raise InputError(f"cannot read row {number} of {file}: {why}; replace it") from error
        if content is None:
            raise UnreadableImage(
                f"row {number} of {os.path.join(self.path, name)} holds no bytes of an image; "
                f"write the dataset anew with its images embedded"
            )
        return content

    def _open_file(self, name: str) -> tuple[pq.ParquetFile, str, list[int]]:
        place = os.path.join(self.path, name)
        file = pq.ParquetFile(place, buffer_size=2**20)  # or a whole row group is read at once
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        return file, read_columns(place).image, [0, *accumulate(sizes)][:-1] or [0]

    def _row(self, name: str, number: int) -> pa.Scalar:
        """Read on in the row's group up to it, or from the group's beginning if it lies behind."""
        _, _, starts = self._open(name)
        group = int(np.searchsorted(starts, number, side="right")) - 1
        row, key = number - starts[group], (name, group)
        kept = self._batches.pop(key, None)
        if kept is None or (kept[1] and row < kept[1][0][0]):
            kept = self._read_group(name, group), deque(maxlen=KEPT)
        stream, batches = self._batches[key] = kept  # the last one to be thrown away
        while len(self._batches) > KEPT:
            self._batches.pop(next(iter(self._batches)))
        while not batches or row >= batches[-1][0] + len(batches[-1][1]):
            start = batches[-1][0] + len(batches[-1][1]) if batches else 0
            batch = next(stream, None)
            if batch is None:
                raise IndexError("there is no such row")
            batches.append((start, batch))
        return next(batch[row - start] for start, batch in batches if row < start + len(batch))

    def _read_group(self, name: str, group: int) -> Iterator[pa.Array]:
        file, column, _ = self._open(name)
        state = file.metadata.row_group(group)
        sizes = [state.column(i).total_uncompressed_size for i in range(state.num_columns)]
        rows = max(min(BATCH * state.num_rows // max(sum(sizes), 1), 1000), 1)
        batches = file.iter_batches(rows, [group], [f"{column}.bytes"], use_threads=False)
        return (batch.column(0).field("bytes") for batch in batches)


def files(path: str, splits: Mapping) -> list[str]:
    """List the files that Snakemake is to watch."""
    return exact(path, (".",), PARQUET)


def listing(path: str, splits: Mapping) -> str:
    """Say what stands for the files of a large dataset."""
    return names_and_sizes(path, (".",), PARQUET)


def warnings(path: str, splits: Mapping) -> Iterator[str]:
    """Say what of the folder is left out, or cannot be watched."""
    return told_of_files(path, (".",), PARQUET)


def opener(path: str) -> Callable[[str], io.BytesIO]:
    """Make a function that gives the encoded image of an id."""
    rows = Rows(path)
    return lambda example: io.BytesIO(rows(example))


def read(path: str, splits: Mapping) -> tuple[Sequence[str], dict[str, Split]]:
    """Find classes, and the labels of the rows of each split."""
    found = _files_of_splits(path, [file for file, _ in scan(path, ".", PARQUET)])
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
            log.warning("'%s' is left out, since its labels are unknown (-1)", name)
    # As in ImageNet, whose test images are unlabelled: what there is to validate on is tested on.
    if "validation" in whole:
        validation = whole.pop("validation")
        if "test" not in whole:
            whole["test"] = validation
        elif "calibration" not in splits:
            whole["calibration"] = validation
    return classes, whole
