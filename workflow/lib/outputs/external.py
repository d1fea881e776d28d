"""Bring your own logits: computed elsewhere, by any framework, and matched to the study's images.

A file holds `logits` (images, classes), the columns in the study's class order. It may hold the
images' `ids`; without them its rows are in the order of the study's template. `.npz` and `.h5`
files hold arrays of these names, and may hold `features` (images, dimensions) beside them. A `.npy`
file is the logits alone. A `.csv` file has a line of headings: the class names in any order, or the
numbers 0, 1, … of the classes, and perhaps `id`.

`.npy` files, and `.h5` files in the template's order, are streamed; others are held in memory.

Rows without ids can't tell that the dataset has changed: a record of the order in which they were
first taken does.
"""

import csv
import hashlib
import logging
import os
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from workflow.lib.data.splits import HELD, Split
from workflow.lib.outputs.digests import recorded
from workflow.lib.outputs.store import BLOCK
from workflow.lib.run.errors import InputError

log = logging.getLogger("uncorrelated")

ID = ("ids", "id")  # what the ids may be called
SCORED = list(HELD)
# What NumPy and h5py let through of damaged files.
DAMAGED = (OSError, EOFError, RuntimeError, TypeError, ValueError, tokenize.TokenError,
           zipfile.BadZipFile, zlib.error)  # fmt: skip


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
    order : str or None
        Digest of the ids in whose order `rows` took the rows of a file without.
    """

    path: str
    logits: np.ndarray | h5py.Dataset
    features: np.ndarray | h5py.Dataset | None = None
    ids: np.ndarray | None = None
    order: str | None = None

    def rows(
        self, splits: Mapping[str, Split], names: Sequence[str], template: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Find the row of each image of each split.

        Parameters
        ----------
        splits : mapping of str to Split
            Of the dataset.
        names : sequence of str
            Splits that the file must hold, in the template's order.
        template : sequence of str
            All splits of the template, those of `names` first. A file without ids holds a row for
            each of its images, or for each that it must.

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
            held = {tuple(part): [splits[name].ids for name in part] for part in (names, template)}
            sizes = {part: sum(map(len, ids)) for part, ids in held.items()}
            part = next((part for part in held if sizes[part] == count), None)
            if part is None:
                shares = ", or ".join(
                    f"{sizes[part]} images, "
                    + " + ".join(f"{len(splits[name].ids)} ({name})" for name in part)
                    for part in held
                )
                raise InputError(
                    f"{self.path} names no images and has {count} rows, but must hold {shares}; "
                    f"bring a row for each, in the template's order, or `ids`"
                )
            order = "\n".join(np.concatenate(held[part]).tolist())
            self.order = hashlib.sha256(order.encode()).hexdigest()
            log.info("%s names no images: its rows are taken in the template's order", self.path)
            found = np.arange(len(wanted))
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

    def check(self, splits: Mapping[str, Split], rows: Mapping[str, np.ndarray]) -> None:
        """Look at every value of some splits.

        Raises
        ------
        InputError
            If a value is not finite in float32, or the logits of a split are probabilities.
        """
        unit = True
        for name, places in rows.items():
            totals = [1, 100]  # what each row so far may sum to
            for start in range(0, len(places), BLOCK):
                block = places[start : start + BLOCK]
                logits, features = self.take(block)
                for kind, values in (("logits", logits), ("features", features)):
                    finite = True if values is None else np.isfinite(values).all(axis=1)
                    if not np.all(finite):
                        bad = start + int(np.argmin(finite))
                        raise InputError(
                            f"{self.path}: the {kind} of image '{splits[name].ids[bad]}' (row "
                            f"{places[bad]}, counted from 0) hold a gap, NaN, or a number beyond "
                            f"float32; compute them again"
                        )
                least, sums = logits.min(), logits.sum(axis=1, dtype=np.float64)
                unit &= bool(least >= 0 and logits.max() <= 1)
                totals = [
                    total
                    for total in totals
                    if least >= 0 and (np.abs(sums - total) < total / 100).all()
                ]
            if totals:
                raise InputError(
                    f"{self.path} holds probabilities, which are not negative and sum to "
                    f"{totals[0]} in each row; bring what goes into the softmax. If you have "
                    f"probabilities only, their logarithms do as well, so long as none is 0"
                )
        if unit:
            log.warning(
                "%s: all logits lie between 0 and 1, as cosines may; if they are outputs of a "
                "sigmoid, the results will be wrong: bring what goes into it",
                self.path,
            )

    def take(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Read rows: logits (rows, classes) and features (rows, dimensions) or None, in float32."""
        where = slice(int(rows[0]), int(rows[-1]) + 1) if _consecutive(rows) else rows
        logits, features = (self._read(array, where) for array in (self.logits, self.features))
        with np.errstate(over="ignore"):  # `check` refuses infinity, with the image's name
            exact = None if features is None else features.astype(np.float32)
            return logits.astype(np.float32), exact  # type: ignore[union-attr]

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
        try:
            file = _checked(str(path), arrays, len(classes))
        except DAMAGED as error:  # of a type that can't be read
            raise _unreadable(path, error) from error
        yield file


def remember_order(
    file: Brought, digest: str, record: str | os.PathLike, images: str, entry: str
) -> None:
    """Notice that a file without ids is of images, or an order, that are the study's no more.

    Parameters
    ----------
    file : Brought
        Whose `rows` were found.
    digest : str
        SHA-256 of the file.
    record : path
        See `digests.recorded`: the digest is that of the order in which the file was first taken,
        and its name that of the file.
    images : str
        Path of the template's table of images.
    entry : str
        Where the study names the model, such as `models.vit`.

    Raises
    ------
    InputError
        If the file is that of the record and the order is another.
    """
    if file.order is None:
        return
    if recorded(file.order, record, digest):
        raise InputError(
            f"{entry}.logits: {file.path} names no images, and the study's images or their order "
            f"have changed since it was first taken, so its rows may be those of others. Export it "
            f"again after the new template, which `snakemake --cores 1 {images}` (with the same "
            f"--configfile) writes, or bring `ids`; if it is of the new order, delete {record}"
        )


def _npy(path: str | os.PathLike, _: Sequence[str]) -> Iterator[dict]:
    try:
        logits = np.load(path, mmap_mode="r", allow_pickle=False)
    except DAMAGED as error:
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
    except DAMAGED as error:
        raise _unreadable(path, error) from error
    yield arrays


def _hdf5(path: str | os.PathLike, _: Sequence[str]) -> Iterator[dict]:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise _unreadable(path, error) from error
    with file:
        try:
            arrays = {name: _dataset(path, file, name) for name in _wanted(file)}
            arrays["names"] = list(map(str, file))
        except DAMAGED as error:
            raise _unreadable(path, error) from error
        yield arrays


def _dataset(path: str | os.PathLike, file: h5py.File, name: str) -> np.ndarray | h5py.Dataset:
    try:
        array = file[name]
    except KeyError as error:
        raise InputError(
            f"cannot read {path}: {name} is damaged, or a link that leads nowhere; put the dataset "
            f"itself into the file"
        ) from error
    if not isinstance(array, h5py.Dataset):
        raise InputError(f"{path}: {name} is a group; it must be a dataset")
    if name not in ID:
        return array
    if array.ndim != 1:
        raise InputError(f"{path}: {name} has the shape {array.shape}; it must have one axis")
    return (array.asstr("utf-8") if h5py.check_string_dtype(array.dtype) else array)[:]


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
    _check_table(path, heading, classes)
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


def _check_table(path: str | os.PathLike, heading: Sequence[str], classes: Sequence[str]) -> None:
    """Refuse headings that are none, or of a table of another make."""
    strange = [name for name in heading if name not in classes]
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if sum(cell.count(mark) for cell in strange) >= max(len(classes) - 1, 1):
            raise InputError(
                f"{path} has {name} between its columns; separate them by commas, and write the "
                f"numbers with points"
            )
    numbers = [name for name in strange if _is_number(name)]
    counted = all(name.isdecimal() for name in numbers)
    if not heading or (numbers and not counted and len(numbers) >= len(heading) - 1):
        begins = f"begins with '{heading[0]}'" if heading else "is empty"
        raise InputError(
            f"{path} has no line of headings, since its first line {begins}; put one above the "
            f"rows: {_headings(len(classes))}"
        )
    unnamed = [name for name in strange if not name or name.startswith("Unnamed: ")]
    if unnamed:
        raise InputError(
            f"{path} has no heading above column {heading.index(unnamed[0]) + 1}; leave it out if "
            f"it only counts the rows (in pandas, `to_csv(..., index=False)`), or head it with "
            f"`id` if it holds the ids"
        )
    shouted = [name for name in strange if name not in ID and name.lower() in ID]
    if shouted and not set(ID) & set(heading):
        raise InputError(
            f"{path} has a column headed '{shouted[0]}'; if it holds the ids, head it with `id`"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


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
    if isinstance(error, UnicodeDecodeError):
        why = "its text is not in UTF-8; write ids and headings in that encoding"
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
    if features is not None and not features.shape[1]:
        raise InputError(f"{path}: features has no dimensions; bring some, or leave the array out")
    found = [np.asarray(arrays[name]) for name in ID if name in arrays]
    if not found:
        return Brought(path, logits, features)
    ids = found[0]
    ids = np.char.decode(ids, "utf-8") if ids.dtype.kind == "S" else ids.astype(str)
    if ids.shape != (len(logits),):
        raise InputError(f"{path}: ids has the shape {ids.shape}, but logits {len(logits)} rows")
    return Brought(path, logits, features, ids)
