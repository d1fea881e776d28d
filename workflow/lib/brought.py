"""Bring your own logits: computed elsewhere, by any framework, and matched to the study's images.

A file holds `logits` (images, classes), the columns in the study's class order. It may hold the
images' `ids`; without them its rows are in the order of the study's template. `.npz` and `.h5`
files hold arrays of these names, and may hold `features` (images, dimensions) beside them. A `.npy`
file is the logits alone. A `.csv` file has a line of headings: the class names in any order, or the
numbers 0, 1, … of the classes, and perhaps `id`.

`.npy` files, and `.h5` files in the template's order, are streamed; others are held in memory.
"""

import csv
import logging
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from workflow.lib.datasets import HELD, Split
from workflow.lib.jobs import InputError
from workflow.lib.outputs import BLOCK

log = logging.getLogger("uncorrelated")

ID = ("ids", "id")  # what the ids may be called
SCORED = list(HELD)


def needed_splits(study: Mapping, model: str) -> list[str]:
    """List the splits whose images a model's file must have, in the template's order.

    Parameters
    ----------
    study : mapping
        A completed study (see `configuration.complete`).
    model : str
        Key of a model.
    """
    features = study["features"]
    probed = [*features["models"], features["base"]] if features["models"] else []
    return [*SCORED, features["data"]] if model in probed else SCORED


def template_splits(study: Mapping) -> list[str]:
    """List the splits of the template: all that any file of the study must hold."""
    models = [
        key for key, network in study["networks"].items() if network["recipe"]["head"] == "logits"
    ]
    return max([SCORED, *(needed_splits(study, model) for model in models)], key=len)


def brought_file(study: Mapping, model: str) -> str:
    """Give the path of a model's file.

    Raises
    ------
    InputError
        If there is none; the message says how to make it.
    """
    path = study["networks"][model]["recipe"]["logits"]
    if not os.path.isfile(path):
        raise InputError(
            f"models.{model}.logits: there is no file {path}; the command `snakemake --cores 1 "
            f"results/{study['study']}/template/images.csv` (with the same --configfile) lists the "
            f"images whose logits it must hold, and classes.csv beside it the order of the classes"
        )
    return path


@dataclass
class Brought:
    """What a file holds, checked in shape and kind but not yet value by value.

    Attributes
    ----------
    path : str
    logits : array or h5py.Dataset, shape (rows, classes)
    features : array, h5py.Dataset or None, shape (rows, dimensions)
    ids : ndarray of str or None, shape (rows,)
    """

    path: str
    logits: np.ndarray | h5py.Dataset
    features: np.ndarray | h5py.Dataset | None = None
    ids: np.ndarray | None = None

    def rows(self, splits: Mapping[str, Split], names: Sequence[str]) -> dict[str, np.ndarray]:
        """Find the row of each image of each split.

        Parameters
        ----------
        splits : mapping of str to Split
            Of the dataset.
        names : sequence of str
            Splits that the file must hold, in the template's order.

        Returns
        -------
        dict of str to ndarray of int64
            For each split and each of its images, in dataset order, the row of the file.

        Raises
        ------
        InputError
            If an id is missing or there twice; without ids, if the number of rows is wrong.
        """
        wanted = np.concatenate([splits[name].ids for name in names])
        count = len(self.logits)
        if self.ids is None:
            if count != len(wanted):
                shares = " + ".join(f"{len(splits[name].ids)} ({name})" for name in names)
                raise InputError(
                    f"{self.path} names no images and has {count} rows, but the template has "
                    f"{len(wanted)} images, {shares}; bring a row for each, in that order, or `ids`"
                )
            log.info("%s names no images: its rows are taken in the template's order", self.path)
            found = np.arange(count)
        else:
            place = {example: row for row, example in enumerate(self.ids.tolist())}
            if len(place) != count:
                unique, times = np.unique(self.ids, return_counts=True)
                twice = unique[times > 1]
                raise InputError(
                    f"{self.path} has {len(twice)} ids more than once, such as '{twice[0]}' in "
                    f"rows {', '.join(map(str, np.flatnonzero(self.ids == twice[0])))} counted "
                    f"from 0; keep one of each"
                )
            found = np.array([place.get(example, -1) for example in wanted.tolist()])
            missing = wanted[found < 0]
            if len(missing):
                has = f"its own first id is '{self.ids[0]}'" if count else "it has no rows"
                raise InputError(
                    f"{self.path} lacks {len(missing)} of the {len(wanted)} images of the splits "
                    f"{', '.join(names)}, the first being '{missing[0]}' ({has}); "
                    f"bring a row for each id of the template"
                )
            if count > len(wanted):
                log.info("%s: %d further images are ignored", self.path, count - len(wanted))
        ends = np.cumsum([len(splits[name].ids) for name in names])[:-1]
        shares = np.split(found, ends)
        if not all(map(_consecutive, shares)):
            # HDF5 takes hours to pick single rows.
            self.logits = self._read(self.logits, slice(None))
            self.features = self._read(self.features, slice(None))
        return dict(zip(names, shares, strict=True))

    def check(self, split: Split, rows: np.ndarray) -> None:
        """Look at every value of a split.

        Raises
        ------
        InputError
            If a value is not finite in float32, or the logits are probabilities.
        """
        probabilities = True
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            logits, features = self.take(block)
            for name, values in (("logits", logits), ("features", features)):
                finite = True if values is None else np.isfinite(values).all(axis=1)
                if not np.all(finite):
                    bad = start + int(np.argmin(finite))
                    raise InputError(
                        f"{self.path}: the {name} of image '{split.ids[bad]}' (row {rows[bad]}, "
                        f"counted from 0) hold a gap, NaN, or a number beyond float32; compute "
                        f"them again"
                    )
            sums = logits.sum(axis=1, dtype=np.float64)
            probabilities &= bool((logits >= 0).all() and (np.abs(sums - 1) < 1e-2).all())
        if probabilities:
            raise InputError(
                f"{self.path} holds probabilities, which are not negative and sum to 1 in each "
                f"row; bring what goes into the softmax. If you have probabilities only, their "
                f"logarithms do as well, so long as none is 0"
            )

    def take(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Read rows: logits (rows, classes) and features (rows, dimensions) or None, in float32."""
        where = slice(int(rows[0]), int(rows[-1]) + 1) if _consecutive(rows) else rows
        parts = (self._read(array, where) for array in (self.logits, self.features))
        with np.errstate(over="ignore"):  # `check` refuses infinity, with the image's name
            return tuple(None if part is None else part.astype(np.float32) for part in parts)

    def _read(self, array, where: slice | np.ndarray) -> np.ndarray | None:
        try:
            return None if array is None else array[where]
        except OSError as error:
            raise _unreadable(self.path, error) from error


def _consecutive(rows: np.ndarray) -> bool:
    return bool((np.diff(rows) == 1).all())


@contextmanager
def opened(path: str | os.PathLike, classes: Sequence[str]) -> Iterator[Brought]:
    """Open a file of logits.

    Parameters
    ----------
    path
        Ends in .npy, .npz, .h5, .hdf5 or .csv. Nothing in it is unpickled.
    classes : sequence of str
        Class names in the study's order.

    Raises
    ------
    InputError
        If it cannot be read, or its arrays have not the shape or kind of logits and features.
    """
    readers = {".npy": _npy, ".npz": _npz, ".csv": _csv}
    with contextmanager(readers.get(Path(path).suffix, _hdf5))(path, classes) as arrays:
        yield _checked(str(path), arrays, len(classes))


def _npy(path: str | os.PathLike, _: Sequence[str]) -> Iterator[dict]:
    try:
        logits = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(logits, np.ndarray):
        raise InputError(f"{path} is an .npz file by its content; give it that ending")
    yield {"logits": logits}


def _npz(path: str | os.PathLike, _: Sequence[str]) -> Iterator[dict]:
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise InputError(f"{path} is an .npy file by its content; give it that ending")
        with file:
            arrays = {name: file[name] for name in _wanted(file)} | {"names": list(file)}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from error
    yield arrays


def _hdf5(path: str | os.PathLike, _: Sequence[str]) -> Iterator[dict]:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise _unreadable(path, error) from error
    with file:
        arrays = {name: file[name] for name in _wanted(file)}
        for name, array in arrays.items():
            if not isinstance(array, h5py.Dataset):
                raise InputError(f"{path}: {name} is a group; it must be a dataset")
            if name in ID:
                text = h5py.check_string_dtype(array.dtype)
                arrays[name] = (array.asstr() if text else array)[:]
        yield arrays | {"names": list(file)}


def _csv(path: str | os.PathLike, classes: Sequence[str]) -> Iterator[dict]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            heading = [name.strip() for name in next(csv.reader(file), [])]
        named = [column for column, name in enumerate(heading) if name in ID]
        if len(named) > 1:
            raise InputError(f"{path} has two columns of ids; keep one")
        table = {"delimiter": ",", "quotechar": '"', "skiprows": 1, "encoding": "utf-8-sig",
                 "comments": None}  # fmt: skip
        columns = _columns(path, heading, classes)
        arrays = {"logits": np.loadtxt(path, np.float32, usecols=columns, ndmin=2, **table)}
        if named:
            arrays["ids"] = np.loadtxt(path, str, usecols=named, ndmin=1, **table)
    except (OSError, ValueError, csv.Error) as error:
        raise _unreadable(path, error) from error
    yield arrays


def _columns(path: str | os.PathLike, heading: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Find the column of each class: by its name, or else by its number."""
    own = [name for name in heading if name not in ID]
    twice = sorted({name for name in own if own.count(name) > 1} - {""})
    for names in (list(classes), [str(number) for number in range(len(classes))]):
        if sorted(own) == sorted(names) and not twice:
            return [heading.index(name) for name in names]
    if len(own) != len(classes):
        raise InputError(_class_count(path, len(own), len(classes)))
    if twice:
        raise InputError(f"{path} has two columns headed '{twice[0]}'; {_headings(len(own))}")
    strange = [name for name in own if name not in classes]
    lacking = [name for name in classes if name not in own]
    raise InputError(
        f"{path} has no column headed '{lacking[0]}', and one headed '{strange[0]}', which is no "
        f"class of the study; {_headings(len(own))}"
    )


def _headings(count: int) -> str:
    return (
        f"head the columns with the class names of the template's classes.csv, or with the numbers "
        f"0 to {count - 1} in that order, and the column of ids with `id`"
    )


def _wanted(names: Mapping) -> list[str]:
    return [name for name in ("logits", "features", *ID) if name in names]


def _unreadable(path: str | os.PathLike, error: Exception) -> InputError:
    why = " ".join(str(error).split())
    if "pickle" in why or "Python objects" in why:
        why = "it holds pickled Python objects, which are never loaded; save arrays of plain types"
    return InputError(f"cannot read {path}: {why}")


def _class_count(path: str | os.PathLike, found: int, classes: int) -> str:
    more = "; leave out the background class, if that is one" if found == classes + 1 else ""
    return (
        f"{path} has logits of {found} classes, but the study has {classes}{more}; bring a "
        f"column for each class of the template's classes.csv, in that order"
    )


def _checked(path: str, arrays: Mapping, classes: int) -> Brought:
    """Refuse arrays that can't be logits, features or ids by their shapes and types."""
    if "logits" not in arrays:
        names = ", ".join(arrays["names"]) or "nothing"
        raise InputError(f"{path} holds {names}, but no array `logits`; give it that name")
    logits, features = arrays["logits"], arrays.get("features")
    for name, array in (("logits", logits), ("features", features)):
        if array is None:
            continue
        if array.ndim != 2:
            raise InputError(
                f"{path}: {name} has the shape {array.shape}; it must have two axes, images and "
                f"{'classes' if name == 'logits' else 'dimensions'}"
            )
        if array.dtype.kind != "f":
            raise InputError(f"{path}: {name} holds {array.dtype}; bring floating point numbers")
        if len(array) != len(logits):
            raise InputError(f"{path}: features has {len(array)} rows, but logits {len(logits)}")
    if logits.shape[1] != classes:
        raise InputError(_class_count(path, logits.shape[1], classes))
    found = [np.asarray(arrays[name]) for name in ID if name in arrays]
    if not found:
        return Brought(path, logits, features)
    ids = found[0]
    ids = np.char.decode(ids, "utf-8") if ids.dtype.kind == "S" else ids.astype(str)
    if ids.shape != (len(logits),):
        raise InputError(f"{path}: ids has the shape {ids.shape}, but logits {len(logits)} rows")
    return Brought(path, logits, features, ids)
