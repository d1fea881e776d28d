"""Bring your own logits: computed elsewhere, by any framework, and matched to the study's images.

A file holds `logits` (images, classes), the columns in the study's class order. It may hold the
images' `ids`; without them its rows are in the order of the study's template. `.npz` and `.h5`
files hold arrays of these names, and may hold `features` (images, dimensions) beside them. A `.npy`
file is the logits alone. A `.csv` file has a line of headings: the class names in any order, or the
numbers 0, 1, … of the classes, and perhaps `id`.

`.npy` files, and `.h5` files in the template's order, are streamed; others are read into memory.

Rows without ids can't tell that the dataset has changed: a record of the order in which they were
first taken does.
"""

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import h5py
import numpy as np

from workflow.lib.data.files import unicode_note
from workflow.lib.data.splits import Split
from workflow.lib.outputs.digests import recorded
from workflow.lib.outputs.formats import (
    DAMAGED,
    ID,
    KNOWN,
    Unknown,
    arrays_of,
    class_count,
    holds_features,
    unreadable,
)
from workflow.lib.outputs.store import BLOCK
from workflow.lib.run.errors import InputError

log = logging.getLogger("uncorrelated")


def missing_files(study) -> list[str]:
    """Say of each file of external outputs that is not there how to make it.

    Parameters
    ----------
    study : Study
    """
    kinds = {"external": "logits", "answers": "answers"}
    outputs = [
        (key, kind, network.recipe[kind])
        for key, network in study.networks.items()
        if (kind := kinds.get(network.rule))
    ]
    listed = (
        f"the command `snakemake --cores 1 --configfile <yours> -- "
        f"results/{study.name}/template/images.csv` lists the images whose"
    )
    messages = [
        f"models.{key}.{kind}: there is no file {path}; {listed} {kind} it must hold, and "
        f"classes.csv beside it the order of the classes"
        for key, kind, path in outputs
        if not os.path.isfile(path)
    ]
    table = study.attributes
    if table not in (None, "pixels") and not os.path.isfile(table):
        messages.append(f"attributes: there is no file {table}; {listed} attributes it must hold")
    return messages


def without_features(study) -> list[str]:
    """Say of which models there are no features, though figure 6 would be of them by default.

    Parameters
    ----------
    study : Study
    """
    messages = []
    for key, network in study.networks.items():
        path = network.recipe["logits"] if network.rule == "external" else ""
        wanted = key in study.paired or key == study.features.base
        if wanted and os.path.isfile(path) and not holds_features(path):
            what = (
                "there is no figure 6" if key == study.features.base else "figure 6 is without it"
            )
            messages.append(f"models.{key}.logits: {path} holds no features, so {what}")
    return messages


@dataclass
class External:
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
            orders = {
                tuple(part): [splits[name].ids for name in part] for part in (names, template)
            }
            sizes = {part: sum(map(len, ids)) for part, ids in orders.items()}
            part = next((part for part in orders if sizes[part] == count), None)
            if part is None:
                shares = ", or ".join(
                    f"{sizes[part]} images, "
                    + " + ".join(f"{len(splits[name].ids)} ({name})" for name in part)
                    for part in orders
                )
                raise InputError(
                    f"{self.path} names no images and has {count} rows, but must hold {shares}; "
                    f"bring a row for each, in the template's order, or `ids`"
                )
            order = "\n".join(np.concatenate(orders[part]).tolist())
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
                    f"{', '.join(names)}, the first being '{missing[0]}' ({has})"
                    f"{unicode_note(self.ids.tolist(), missing.tolist())}; bring a row for each id "
                    f"of the template"
                )
            if count > len(wanted):
                log.info("%s: %d further images are ignored", self.path, count - len(wanted))
        ends = np.cumsum([len(splits[name].ids) for name in names])[:-1]
        shares = np.split(found, ends)
        if not all(map(_consecutive, shares)):
            # HDF5 takes hours to pick single rows.
            self.logits = self._read(self.logits, slice(None))  # of .npz still on the disk
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
            raise unreadable(self.path, error) from error


def _consecutive(rows: np.ndarray) -> bool:
    return bool((np.diff(rows) == 1).all())


@contextmanager
def opened(path: str | os.PathLike, classes: Sequence[str]) -> Iterator[External]:
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
    with arrays_of(path, classes) as arrays:
        try:
            file = _checked(str(path), arrays, len(classes))
        except DAMAGED as error:  # of a type that can't be read
            raise unreadable(path, error) from error
        yield file


def remember_order(
    file: External, digest: str, record: str | os.PathLike, images: str, entry: str
) -> None:
    """Notice that a file without ids is of images, or an order, that are the study's no more.

    Parameters
    ----------
    file : External
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


def _checked(path: str, arrays: Mapping, classes: int) -> External:
    """Refuse arrays that can't be logits, features or ids by their shapes and types."""
    if "logits" not in arrays:
        names = ", ".join([*sorted({*KNOWN} & arrays.keys()), *arrays["unknown"]]) or "nothing"
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
        raise InputError(class_count(path, logits.shape[1], classes))
    if features is not None and not features.shape[1]:
        raise InputError(f"{path}: features has no dimensions; bring some, or leave the array out")
    _refuse_unknown(path, arrays.get("unknown", {}), logits.shape)
    found = [np.asarray(arrays[name]) for name in ID if name in arrays]
    if len(found) > 1:
        raise InputError(f"{path} holds both ids and id; keep one")
    if not found:
        return External(path, logits, features)
    ids = found[0]
    ids = np.char.decode(ids, "utf-8") if ids.dtype.kind == "S" else ids.astype(str)
    if ids.shape != (len(logits),):
        raise InputError(f"{path}: ids has the shape {ids.shape}, but logits {len(logits)} rows")
    return External(path, logits, features, ids)


def _refuse_unknown(path: str, unknown: Mapping[str, Unknown], shape: tuple[int, int]) -> None:
    """Refuse arrays that may say which row or column is which, under a name that is not known."""
    for name, (own, text) in unknown.items():
        if not own or not (text or own[0] == shape[0]):
            continue
        what = "the ids of the images, call it `ids`"
        if own[0] != shape[0]:
            what = "the names of the classes, bring the columns in the order of classes.csv instead"
        elif len(own) == 2 and not text:
            what = "features, call it `features`"
        raise InputError(
            f"{path} holds an array `{name}` that is not known; if it holds {what}; leave it out "
            f"otherwise"
        )
