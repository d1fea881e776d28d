"""The outputs file: a model's logits and features on one split. Only this module knows its layout.

HDF5 datasets `logits` (examples, classes), `features` (examples, dimensions), `labels` and `ids`,
rows in dataset order, chunks of whole rows. The attributes say what made them, and `seal` is a
digest of the others. `proofs/logits` and `proofs/features` hold a proof of each row, checked as it
is read: HDF5's own Fletcher checksums would halve the speed, and see neither attributes nor a chunk
that is lost. Extraction writes a part file beside it, block by block, and publishes it at the end
under the file's own name.

HDF5 locks nothing, which fails on some shared file systems: a published file never changes, and
`run_script` sees to it that a part file has one writer.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np

from workflow.lib.data.proofs import prove
from workflow.lib.data.splits import Split
from workflow.lib.run.errors import InputError
from workflow.lib.run.files import AGAIN
from workflow.lib.run.progress import Progress
from workflow.lib.run.resume import dates, publish

log = logging.getLogger("uncorrelated")

SCHEMA = 2
BLOCK = 512  # rows written, flushed and resumed at a time; also a chunk


def write(
    path: str | os.PathLike,
    split: Split,
    compute: Callable[[np.ndarray], tuple[np.ndarray | None, np.ndarray | None]],
    attributes: Mapping[str, str | int | float],
    inputs: Iterable[str | os.PathLike] = (),
) -> int:
    """Compute a model's outputs on a split, resuming from the part file of an interrupted run.

    Parameters
    ----------
    path
        The file to make.
    split : Split
    compute : callable
        Gives logits (rows, classes) and features (rows, dimensions) for an array of row numbers;
        None for one that there is not.
    attributes : mapping
        What the outputs depend on; a part file with others is begun anew. `images_per_second` among
        them stands for the rate at which the rows are computed.
    inputs : iterable of path
        Files that the rows are computed from and that no attribute tells apart; a part file made
        of others, or of the same with another date, is begun anew.

    Returns
    -------
    int
        How many rows were computed now; fewer than the split has after an interruption.

    Raises
    ------
    InputError
        If logits or features are not finite, or the disk is full. The part file is kept.
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.part")
    identity = {"schema": SCHEMA, "digest": split.digest, **attributes}
    identity["inputs"] = json.dumps(dates(inputs))
    examples = len(split.labels)
    path.parent.mkdir(parents=True, exist_ok=True)
    done = _rows_done(part, split, identity)
    progress = Progress(examples, "images", done=done)
    began, before = time.monotonic(), done
    try:
        if done == 0:
            first = compute(np.arange(min(examples, BLOCK)))
            _begin(part, split, identity, *first)
        with h5py.File(part, "r+", locking=False) as file:
            if done:
                log.info("resuming at image %d of %d, from %s", done, examples, part)
            for start in range(done, examples, BLOCK):
                rows = np.arange(start, min(start + BLOCK, examples))
                logits, features = compute(rows) if start else first
                for name, values in _parts(logits, features):
                    if not np.isfinite(values).all():
                        bad = split.ids[rows[~np.isfinite(values).all(axis=1)][0]]
                        raise InputError(
                            f"{path}: the {name} of image {bad} are not finite; the weights of the "
                            f"model may be damaged, its training may have diverged, or its values "
                            f"be too large for extraction.precision: float16"
                        )
                    values = values.astype(np.float32, copy=False)
                    file[name][rows[0] : rows[-1] + 1] = values
                    file[f"proofs/{name}"][rows[0] : rows[-1] + 1] = prove(values)
                file.flush()
                moment, stop = time.monotonic(), int(rows[-1]) + 1
                if "images_per_second" not in attributes:
                    file.attrs["images_per_second"] = (stop - before) / (moment - began)
                if start == done and examples - stop >= 2 * BLOCK:
                    # The first block of a run pays for what starts once; the rate is without it,
                    # if what is left is long enough to be measured.
                    began, before = moment, stop
                if stop == examples:
                    _set(file, "seal", _seal(file))
                    file.flush()
                # Only now do these rows count, whenever the job may be killed.
                file.attrs["rows"] = stop
                file.flush()
                progress.advance(len(rows))
    except (OSError, RuntimeError) as error:
        # HDF5 tells of a full disk by either; other errors of the model's own are not of the disk.
        if isinstance(error, RuntimeError) and "file write failed" not in str(error):
            raise
        why = " ".join(str(error).split())
        raise InputError(
            f"cannot write {part}: {why}; free some disk space and run again"
        ) from error
    publish(part, path)
    return examples - done


def _rows_done(part: Path, split: Split, identity: Mapping) -> int:
    """How many rows a part file holds of what is to be computed; 0 if it can't be resumed."""
    try:
        with h5py.File(part, "r", locking=False) as file:
            known = _attributes(file)
            if {key: known.get(key) for key in identity} == dict(identity):
                done = int(known["rows"])
                for name, _ in _parts(file.get("logits"), file.get("features")):
                    rows = Rows(file, name, part)
                    for start in range(0, done, BLOCK):
                        rows[start : min(start + BLOCK, done)]
                sealed = done < len(split.ids) or known["seal"] == _seal(file)
                if not sealed or not np.array_equal(file["labels"][:], split.labels):
                    raise InputError("it is damaged")
                return done
            log.info("starting over, since %s was made by other weights, data or code", part)
    except FileNotFoundError:
        pass
    except Exception as error:  # of HDF5, of many kinds
        log.warning("starting over, since %s cannot be read: %s", part, error)
    return 0


def _text(size: int) -> np.dtype:
    """Text of fixed length: HDF5 can hang for ever on damaged text of any length."""
    return h5py.string_dtype("utf-8", max(size, 1))


def _set(file: h5py.File, key: str, value: str | int | float) -> None:
    kind = _text(len(value.encode())) if isinstance(value, str) else None
    file.attrs.create(key, value, dtype=kind)


def _attributes(file: h5py.File) -> dict:
    return {
        key: value.decode() if isinstance(value, bytes) else value
        for key, value in file.attrs.items()
    }


def _seal(file: h5py.File) -> str:
    """Digest of the attributes but itself and `rows`, which is written last."""
    others = sorted(
        (key, str(value)) for key, value in _attributes(file).items() if key not in ("seal", "rows")
    )
    return hashlib.sha256(json.dumps(others).encode()).hexdigest()


def _begin(part: Path, split: Split, identity: Mapping, logits, features) -> None:
    """Make a part file of the final size, without values."""
    examples = len(split.labels)
    part.unlink(missing_ok=True)  # it may be an older outputs file's second name
    with h5py.File(part, "w", locking=False) as file:
        # Space is taken now, so that later writes move no structure that a kill could tear.
        early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        early.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        for name, values in _parts(logits, features):
            width = values.shape[1]
            file.create_dataset(
                name,
                (examples, width),
                dtype=np.float32,
                chunks=(min(BLOCK, examples), width),
                dcpl=early,
            )
            file[f"proofs/{name}"] = np.zeros(examples, np.uint64)
        file["labels"] = split.labels
        ids = np.char.encode(split.ids, "utf-8")
        file["ids"] = ids.astype(_text(ids.dtype.itemsize))
        file.attrs["images_per_second"] = 0.0
        for key, value in identity.items():
            _set(file, key, value)
        file.attrs["rows"] = 0


def _parts(logits, features) -> list[tuple[str, np.ndarray]]:
    named = [("logits", logits), ("features", features)]
    return [(name, values) for name, values in named if values is not None]


class Rows:
    """A matrix of an outputs file, whose rows are checked when they are first read.

    Parameters
    ----------
    file : h5py.File
    name : {'logits', 'features'}
    path
        For the message.
    again : str
        What to do if it is damaged.
    """

    def __init__(self, file: h5py.File, name: str, path: str | os.PathLike, again: str = AGAIN):
        self.data, self.proofs = file[name], file[f"proofs/{name}"][:]
        self.path, self.again = path, again
        self.shape, self.dtype = self.data.shape, self.data.dtype
        self.known = np.zeros(len(self.proofs), bool)  # rows that were checked
        if self.data.ndim != 2 or self.dtype != np.float32 or len(self.data) != len(self.proofs):
            raise KeyError(f"{name} has the shape {self.shape}")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        try:
            values = self.data[rows]
            if self.known[rows].all() or (prove(values) == self.proofs[rows]).all():
                self.known[rows] = True
                return values
        except Exception as error:  # of HDF5, of many kinds
            raise InputError(f"{self.path} is damaged: {error}; {self.again}") from error
        raise InputError(f"{self.path} is damaged: rows are not as written; {self.again}")


class Outputs:
    """An outputs file, open for reading; a context manager.

    Parameters
    ----------
    path
        The file.
    split : Split
        What it must belong to.

    Attributes
    ----------
    logits, features : Rows of float32
        Shapes (examples, classes) and (examples, dimensions); None in a file without. Read them in
        contiguous blocks.
    labels : ndarray of int64, shape (examples,) or (examples, tasks)
    attributes : dict

    Raises
    ------
    InputError
        If the file is damaged, incomplete, of another layout, or of another dataset.
    """

    def __init__(self, path: str | os.PathLike, split: Split):
        self.path = Path(path)
        model = self.path.parent.name
        again = f"delete it, and the model '{model}' is extracted again"
        try:
            # Blocks are read once: a cache of chunks would only take memory, for every open file.
            self._file = h5py.File(self.path, "r", rdcc_nbytes=0, locking=False)
        except Exception as error:  # of HDF5, of many kinds
            raise InputError(f"cannot read {path}: {error}; {again}") from error
        try:
            self.attributes = _attributes(self._file)
            self.logits, self.features = (
                Rows(self._file, name, path, again) if name in self._file else None
                for name in ("logits", "features")
            )
            self.labels = self._file["labels"][:]
            sealed = self.attributes.pop("seal", None) == _seal(self._file)
        except Exception as error:  # of HDF5, of many kinds
            self.close()
            raise InputError(f"{path} is damaged or no outputs file ({error}); {again}") from error
        examples = len(split.labels)
        problem = None
        if self.attributes.get("schema") != SCHEMA:
            problem = f"has layout {self.attributes.get('schema')}, not {SCHEMA}"
        elif self.attributes.get("digest") != split.digest:
            problem = "was made from other images or labels than this study's dataset"
        elif self.attributes.get("rows") != examples or len(self.labels) != examples:
            problem = f"holds {self.attributes.get('rows')} of {examples} images"
        elif not sealed or not np.array_equal(self.labels, split.labels):
            problem = "is damaged: it is not as it was written"
        if problem:
            self.close()
            raise InputError(f"{path} {problem}; {again}")

    def blocks(self, name: str, rows: int = 4096) -> Iterator[tuple[slice, np.ndarray]]:
        """Read `logits` or `features` in contiguous blocks.

        Yields
        ------
        rows : slice
        values : ndarray of float32, shape (rows, columns)
        """
        dataset = {"logits": self.logits, "features": self.features}[name]
        if dataset is None:
            raise InputError(
                f"{self.path} holds no {name} of the model '{self.path.parent.name}'; bring a file "
                f"that does, or leave the model out of the analyses that need them"
            )
        for start in range(0, len(dataset), rows):
            block = slice(start, min(start + rows, len(dataset)))
            yield block, dataset[block]  # finite, as they were when they were written

    def read(self, name: str) -> np.ndarray:
        """Whole `logits` or `features`, checked: float32, shape (examples, columns)."""
        return np.concatenate([values for _, values in self.blocks(name)])

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "Outputs":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
