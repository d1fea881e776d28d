"""The formats that external outputs come in: arrays by name, from .npy, .npz, .h5 and .csv files.

Nothing in a file is unpickled. What a reader gives is not checked yet, see `external`.
"""

import csv
import math
import os
import shutil
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import h5py
import numpy as np

from workflow.lib.data.files import unicode_note
from workflow.lib.run.errors import InputError
from workflow.lib.run.files import in_words, refuse_special

ID = ("ids", "id")  # what the ids may be called
KNOWN = ("logits", "features", *ID)
PACKED = 1100  # times that gzip makes data smaller, at most
# What NumPy and h5py let through of damaged files.
DAMAGED = (
    OSError,
    EOFError,
    RuntimeError,
    TypeError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)

TEXT = "SUOT"  # kinds of types that hold text

Unknown = tuple[tuple[int, ...], bool]
"""Shape of an array of another name, and whether it is text."""


def arrays_of(
    path: str | os.PathLike, classes: Sequence[str]
) -> AbstractContextManager[dict[str, np.ndarray | h5py.Dataset | dict[str, Unknown]]]:
    """Open a file's arrays by the names that are known, and in `unknown` say what else there is.

    Parameters
    ----------
    path
        Ends in .npy, .npz, .h5, .hdf5 or .csv.
    classes : sequence of str
        Class names in the study's order.

    Raises
    ------
    InputError
        If it cannot be read, or its headings do not say which column is which.
    """
    refuse_special(path)
    readers = {".npy": _npy, ".npz": _npz, ".csv": _csv}
    return contextmanager(readers.get(Path(path).suffix, _hdf5))(path, classes)


def holds_features(path: str | os.PathLike) -> bool:
    """Say whether a file holds features, as far as one can tell before it is there and sound."""
    if Path(path).suffix in (".npy", ".csv"):
        return False
    try:
        if Path(path).suffix == ".npz":
            with zipfile.ZipFile(path) as file:
                return "features.npy" in file.namelist()
        with h5py.File(path, "r") as file:
            return "features" in list(file)
    except DAMAGED:
        return True  # its job will say what is wrong


def shape_of(
    path: str | os.PathLike, classes: Sequence[str] | None
) -> tuple[int | None, int | None, bool]:
    """Say how large a file's logits are, without reading them.

    Parameters
    ----------
    path
        As of `arrays_of`.
    classes : sequence of str, optional
        Class names in the study's order, to check the headings of a .csv file by.

    Returns
    -------
    rows, columns : int or None
        None for what takes long to find out.
    has_ids : bool

    Raises
    ------
    InputError
        If there are no such logits, as far as that shows from outside.
    """
    refuse_special(path)
    suffix = Path(path).suffix
    try:
        if suffix == ".csv":
            with open(path, newline="", encoding="utf-8-sig") as file:
                heading = [name.strip() for name in next(csv.reader(file), [])]
            named = _columns(path, heading, classes)[0] if classes else None
            return None, None, named is not None
        if suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                members = [name for name in archive.namelist() if name.endswith(".npy")]
                shapes = {name[:-4]: _header(archive, name)[0] for name in members}
        elif suffix == ".npy":
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            shapes = {"logits": array.shape} if isinstance(array, np.ndarray) else {}
        else:
            with h5py.File(path, "r") as file:
                shapes = {name: getattr(file[name], "shape", None) or () for name in file}
    except (*DAMAGED, KeyError) as error:
        raise unreadable(path, error) from error
    if "logits" not in shapes:
        names = ", ".join(sorted(shapes)) or "nothing"
        raise InputError(f"{path} holds {names}, but no array `logits`; give it that name")
    if len(shapes["logits"]) != 2:
        raise InputError(
            f"{path}: logits has the shape {shapes['logits']}; it must have two axes, images and "
            f"classes"
        )
    return *shapes["logits"], bool({*ID} & {*shapes})


def _npy(path: str | os.PathLike, _: Sequence[str]) -> Iterator[dict]:
    try:
        logits = np.load(path, mmap_mode="r", allow_pickle=False)
    except DAMAGED as error:
        raise unreadable(path, error) from error
    if not isinstance(logits, np.ndarray):
        raise InputError(f"{path} is an .npz file by its content; give it that ending")
    yield {"logits": logits}


def _npz(path: str | os.PathLike, _: Sequence[str]) -> Iterator[dict]:
    try:
        with open(path, "rb") as file:
            if file.read(6) == b"\x93NUMPY":
                raise InputError(f"{path} is an .npy file by its content; give it that ending")
        with zipfile.ZipFile(path) as file:
            names = {name.removesuffix(".npy"): name for name in file.namelist()}
            arrays = {name: _member(path, file, names[name]) for name in _wanted(names)}
            arrays["unknown"] = {
                name: _header(file, names[name])[:2] for name in names if name not in KNOWN
            }
    except DAMAGED as error:
        raise unreadable(path, error) from error
    yield arrays


def _member(path: str | os.PathLike, archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Unpack an array to the disk, where it takes no memory; the file is gone with the array."""
    shape, _, width = _header(archive, name)
    entry = archive.getinfo(name)
    _refuse_huge(path, name, max(math.prod(shape) * width, entry.file_size))
    with tempfile.NamedTemporaryFile(suffix=".npy") as unpacked:
        with archive.open(entry) as packed:
            shutil.copyfileobj(packed, unpacked)
        unpacked.flush()
        return np.load(unpacked.name, mmap_mode="r", allow_pickle=False)


def _refuse_huge(path: str | os.PathLike, name: str, size: int) -> None:
    """Refuse an array that says it is larger than the file can hold, however well compressed."""
    if size > PACKED * os.path.getsize(path):
        raise InputError(
            f"{path}: {name} says that it holds {in_words(size)}, in a file of "
            f"{in_words(os.path.getsize(path))}; write it again"
        )


def _header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], bool, int]:
    """Give an array's shape, whether it is text, and bytes an element, without reading it."""
    if not name.endswith(".npy"):
        return (), False, 0
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        old = version == (1, 0)
        read = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
        shape, _, kind = read(file)
    return shape, kind.kind in TEXT, kind.itemsize


def _hdf5(path: str | os.PathLike, _: Sequence[str]) -> Iterator[dict]:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise unreadable(path, error) from error
    with file:
        try:
            names = list(file)  # `in` would follow links
            arrays = {name: _dataset(path, file, name) for name in _wanted(names)}
            others = {
                str(name): file.get(name)
                for name in names
                if name not in KNOWN and _is_own(file, name)
            }
            arrays["unknown"] = {
                name: (other.shape or (), other.dtype.kind in TEXT)
                for name, other in others.items()
                if isinstance(other, h5py.Dataset)
            }
        except DAMAGED as error:
            raise unreadable(path, error) from error
        yield arrays


def _dataset(path: str | os.PathLike, file: h5py.File, name: str) -> np.ndarray | h5py.Dataset:
    try:
        array = file[name] if _is_own(file, name) else None
    except KeyError as error:
        raise InputError(f"cannot read {path}: {name} is damaged; write the file again") from error
    if array is None or getattr(array, "is_virtual", False) or getattr(array, "external", None):
        raise InputError(
            f"cannot read {path}: {name} is a link, or lies in another file; put the dataset "
            f"itself into the file"
        )
    if not isinstance(array, h5py.Dataset):
        raise InputError(f"{path}: {name} is a group; it must be a dataset")
    _refuse_huge(path, name, math.prod(array.shape or ()) * array.dtype.itemsize)
    if name not in ID:
        return array
    if array.ndim != 1:
        raise InputError(f"{path}: {name} has the shape {array.shape}; it must have one axis")
    return (array.asstr("utf-8") if h5py.check_string_dtype(array.dtype) else array)[:]


def _csv(path: str | os.PathLike, classes: Sequence[str]) -> Iterator[dict]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            heading = [name.strip() for name in next(csv.reader(file), [])]
        table = {
            "delimiter": ",",
            "quotechar": '"',
            "skiprows": 1,
            "encoding": "utf-8-sig",
            "comments": None,
        }
        named, columns = _columns(path, heading, classes)
        arrays = {"logits": np.loadtxt(path, np.float32, usecols=columns, ndmin=2, **table)}
        if named is not None:
            arrays["ids"] = np.loadtxt(path, str, usecols=[named], ndmin=1, **table)
    except (OSError, ValueError, csv.Error) as error:
        raise unreadable(path, error) from error
    yield arrays


def _columns(
    path: str | os.PathLike, heading: Sequence[str], classes: Sequence[str]
) -> tuple[int | None, list[int]]:
    """Find the column of the ids, if there is one, and that of each class: by name or by number.

    A class may be called `id`, and classes may be called by numbers: a heading that can be read in
    two ways is refused.
    """
    numbers = [str(number) for number in range(len(classes))]
    readings = {}
    for named in [None, *(column for column, name in enumerate(heading) if name in ID)]:
        own = {name: column for column, name in enumerate(heading) if column != named}
        whole = len(own) == len(heading) - (named is not None)  # without a name given twice
        for names in (list(classes), numbers):
            if whole and sorted(own) == sorted(names):
                columns = [own[name] for name in names]
                readings[named, *columns] = named, columns
    headed = [name for name in heading if name not in ID or name in classes]
    ids = [name for name in heading if name in ID]
    if len(ids) > 1 and ids[0] == ids[1] in classes:
        raise InputError(
            f"{path} has two columns headed '{ids[0]}', which is a class, too; head the column of "
            f"ids with `{ID[1 - ID.index(ids[0])]}`"
        )
    if len(readings) > 1:
        raise InputError(
            f"{path}: its headings are both the names of the study's classes and their numbers "
            f"from 0, and not in the same order (class 0 is '{classes[0]}'); bring an .npz or .h5 "
            f"file, with columns in the order of the template's classes.csv"
        )
    if readings:
        return next(iter(readings.values()))
    if len(ids) > 1 and not set(ids) & set(classes):
        raise InputError(f"{path} has two columns of ids; keep one")
    twice = sorted({name for name in headed if headed.count(name) > 1} - {""})
    _check_table(path, heading, classes)
    if len(headed) != len(classes):
        raise InputError(class_count(path, len(headed), len(classes)))
    if twice:
        raise InputError(f"{path} has two columns headed '{twice[0]}'; {_headings(len(headed))}")
    strange = [name for name in headed if name not in classes]
    lacking = [name for name in classes if name not in headed]
    raise InputError(
        f"{path} has no column headed '{lacking[0]}', and one headed '{strange[0]}', which is no "
        f"class of the study{unicode_note(strange, lacking)}; {_headings(len(headed))}"
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


def _is_own(file: h5py.File, name: str) -> bool:
    """Say whether a name means something in this file, without following it elsewhere."""
    return isinstance(file.get(name, getlink=True), h5py.HardLink)


def _wanted(names: Collection[str]) -> list[str]:
    return [name for name in ("logits", "features", *ID) if name in names]


def unreadable(path: str | os.PathLike, error: Exception) -> InputError:
    """Say why a file cannot be read, in words that do not advise to unpickle it."""
    why = " ".join(str(error).split())
    if "pickle" in why or "Python objects" in why:
        why = "it holds pickled Python objects, which are never loaded; save arrays of plain types"
    if isinstance(error, UnicodeDecodeError):
        why = "its text is not in UTF-8; write ids and headings in that encoding"
    return InputError(f"cannot read {path}: {why}")


def class_count(path: str | os.PathLike, found: int, classes: int) -> str:
    """Say that a file is of another number of classes."""
    more = "; leave out the background class, if that is one" if found == classes + 1 else ""
    return (
        f"{path} has logits of {found} classes, but the study has {classes}{more}; bring a "
        f"column for each class of the template's classes.csv, in that order"
    )
