"""All models' logits on one split: opened, checked, calibrated, and streamed in blocks of rows.

Every analysis of several models reads logits through this module. `stream` passes once over all of
them and hands a few examples of all models at a time to any number of tasks.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from queue import SimpleQueue
from threading import get_ident
from typing import Any

import numpy as np

from workflow.lib.data.splits import Split
from workflow.lib.ensembles import kernels
from workflow.lib.outputs.store import Outputs
from workflow.lib.run.errors import InputError

BLOCK = 512  # rows read at a time, at most
STRIP = 0.5e6  # bytes of exponentials in memory at a time: few, to stay in the processor's cache
LEAST = 4  # rows of a strip, whatever its size
CANDIDATES = 8  # sorted classes of each model and example
GAP = 8  # rows that a read continues over, instead of starting another
# The bits of the exponent in each type of logits.
EXPONENTS = {
    np.dtype(np.float32): np.int32(0x7F800000),
    np.dtype(np.float64): np.int64(0x7FF0000000000000),
}


class Logits:
    """Logits, labels and temperatures of models, that fit together.

    Parameters
    ----------
    arrays : sequence of arrays of float32 or float64, shape (examples, classes)
        One a model; NumPy arrays or HDF5 datasets, read in contiguous blocks of rows. All are
        worked on in the widest of their types.
    labels : ndarray of int, shape (examples,) or (examples, most)
        The right labels of each image, -1 where there are no more.
    temperatures : sequence of float
        One a model.
    names : sequence of str, optional
        Of the models, for messages.

    Attributes
    ----------
    shape : tuple of int
        Models, examples and classes.
    labels : ndarray of int64, shape (examples,)
        The first right label.
    accepted : ndarray of int64, shape (examples, most)
        All of them.
    attributes : list of dict
        Of the outputs files, if they were opened.

    Raises
    ------
    InputError
        If shapes differ, a label is out of range, or a temperature is not positive and finite.
    """

    def __init__(
        self,
        arrays: Sequence,
        labels: np.ndarray,
        temperatures: Sequence[float],
        names: Sequence[str] | None = None,
    ):
        self.arrays = list(arrays)
        labels = np.asarray(labels, dtype=np.int64)
        self.accepted = np.ascontiguousarray(labels if labels.ndim == 2 else labels[:, None])
        self.labels = np.ascontiguousarray(self.accepted[:, 0])
        self.temperatures = np.asarray(temperatures, dtype=np.float64)
        self.names = list(names or map(str, range(len(self.arrays))))
        self.kind = np.result_type(np.float32, *(array.dtype for array in self.arrays))
        examples, classes = len(self.labels), self.arrays[0].shape[1]
        self.shape = (len(self.arrays), examples, classes)
        self.attributes: list[dict] = []
        for name, array, temperature in zip(
            self.names, self.arrays, self.temperatures, strict=True
        ):
            if array.shape != (examples, classes):
                raise InputError(
                    f"the logits of '{name}' have the shape {array.shape}, "
                    f"not {(examples, classes)} as others"
                )
            if not 0 < temperature < np.inf:
                raise InputError(
                    f"the temperature of '{name}' is {temperature}, not positive and finite"
                )
        if examples and not 0 <= self.labels.min() <= self.accepted.max() < classes:
            raise InputError(
                f"labels go from {self.labels.min()} to {self.accepted.max()}: {classes} classes"
            )

    @classmethod
    @contextmanager
    def open(
        cls,
        paths: Sequence[str],
        split: Split,
        temperatures: Sequence[float],
        names: Sequence[str],
        held: Split | None = None,
    ) -> Iterator["Logits"]:
        """Open outputs files, one a model.

        Parameters
        ----------
        paths : sequence of str
        split : Split
            The images to look at, with their labels, and the classes to choose among.
        temperatures : sequence of float
        names : sequence of str
        held : Split, optional
            What the files are of, where it is more than `split`.
        """
        held = held or split
        with ExitStack() as stack:
            files = [stack.enter_context(Outputs(path, held)) for path in paths]
            arrays = [part_of(file.logits, split, held) for file in files]
            logits = cls(arrays, accepted_of(split), temperatures, names)
            logits.attributes = [file.attributes for file in files]
            yield logits

    def of(self, models: Sequence[int]) -> "Logits":
        """Only some of the models."""
        arrays, names = ([own[m] for m in models] for own in (self.arrays, self.names))
        return Logits(arrays, self.accepted, self.temperatures[list(models)], names)

    def right(self, answers: np.ndarray, rows: slice = slice(None)) -> np.ndarray:
        """Whether answers, (…, rows), are among the right labels of these rows."""
        accepted = self.accepted[rows]
        found = answers == accepted[:, 0]
        for other in accepted.T[1:]:
            found |= answers == other
        return found

    def read(self, model: int, rows: slice) -> np.ndarray:
        """Read rows of a model, (rows, classes); raises InputError for NaN or infinity."""
        values = np.ascontiguousarray(self.arrays[model][rows], self.kind)
        exponent = EXPONENTS[self.kind]
        if kernels.any_infinite(values.view(exponent.dtype), exponent):
            raise InputError(f"the logits of '{self.names[model]}' hold NaN or infinity")
        return values

    def scattered(self, model: int, rows: np.ndarray) -> np.ndarray:
        """Read some rows of a model, those of one of the `runs`: shape (rows, classes)."""
        return self.read(model, slice(int(rows[0]), int(rows[-1]) + 1))[rows - rows[0]]


def accepted_of(split: Split) -> np.ndarray:
    """Right labels by their place among the classes to choose from: int64, (examples, most)."""
    labels = split.labels[:, None]
    if split.also is not None:
        labels = np.concatenate([labels, split.also], axis=1)
    if split.kept is None:
        return labels
    place = np.full(max(labels.max(), split.kept.max()) + 2, -1)  # the last is that of -1
    place[split.kept] = np.arange(len(split.kept))
    # First those that can be chosen.
    found = place[labels]
    return np.take_along_axis(found, np.argsort(found < 0, axis=1, kind="stable"), axis=1)


def part_of(array: Any, split: Split, held: Split) -> Any:
    """Give the rows and classes of a file's matrix that a split asks for: as it is, if all."""
    if split.kept is None and (split is held or np.array_equal(split.ids, held.ids)):
        return array
    place = {example: row for row, example in enumerate(held.ids.tolist())}
    rows = np.array([place[example] for example in split.ids.tolist()])
    return Part(array, rows, split.kept)


class Part:
    """Some rows and classes of a matrix, read like the whole."""

    def __init__(self, array: Any, rows: np.ndarray, kept: np.ndarray | None):
        self.array, self.rows, self.kept = array, rows, kept
        classes = array.shape[1] if kept is None else len(kept)
        self.shape, self.dtype = (len(rows), classes), array.dtype

    def __getitem__(self, rows: slice) -> np.ndarray:
        wanted = self.rows[rows]
        first = int(wanted.min()) if len(wanted) else 0
        last = int(wanted.max()) + 1 if len(wanted) else 0
        values = self.array[first:last][wanted - first]
        return values if self.kept is None else values[:, self.kept]


def runs(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Cut sorted row numbers where it is better to start another read."""
    start = 0
    while start < len(rows):
        stop = start + 1
        while (
            stop < len(rows)
            and rows[stop] - rows[stop - 1] <= GAP
            and rows[stop] - rows[start] < BLOCK
        ):
            stop += 1
        yield rows[start:stop]
        start = stop


@dataclass(frozen=True)
class Strip:
    """A few examples of all models, calibrated.

    Attributes
    ----------
    values : ndarray of float32 or float64, shape (models, block, classes)
        Logits of the whole block that the examples are in.
    start, stop : int
        First row in the block, and the end.
    temperatures : ndarray of float64, shape (models,)
    """

    values: np.ndarray
    start: int
    stop: int
    temperatures: np.ndarray

    def at(self, temperatures: np.ndarray) -> "Strip":
        """The same logits at other temperatures."""
        return replace(self, temperatures=temperatures)

    @property
    def scaled(self) -> np.ndarray:
        """Logits / temperature: float64, shape (models, rows, classes)."""
        values = self.values[:, self.start : self.stop]
        return np.divide(values, self.temperatures[:, None, None], dtype=np.float64)

    @cached_property
    def candidates(self) -> tuple[np.ndarray, np.ndarray]:
        """The first `CANDIDATES` classes by their logits, int64, and these: (models, rows, kept).

        The largest comes first, and of equal ones the lowest class.
        """
        models, _, classes = self.values.shape
        shape = models, self.stop - self.start, min(CANDIDATES, classes)
        found = np.empty(shape, np.int64), np.empty(shape, self.values.dtype)
        kernels.sort_rows(self.values, self.start, *found)
        return found

    @cached_property
    def softmax(self) -> tuple[np.ndarray, np.ndarray]:
        """Numerators and denominators of softmax(logits / temperature), the largest being 1.

        NumPy's own exponential is used, so that probabilities are bit for bit those of a plain
        NumPy computation; and on all models at once, since each call into NumPy holds up other
        threads. Both are float64, (models, rows, classes) and (models, rows).
        """
        models, _, classes = self.values.shape
        exponentials = np.empty((models, self.stop - self.start, classes))
        kernels.scale(self.values, self.start, self.temperatures, exponentials)
        np.exp(exponentials, out=exponentials)
        return exponentials, exponentials.sum(axis=2)


def strips(values: np.ndarray, rows: int, temperatures: np.ndarray) -> Iterator[Strip]:
    """Cut the first rows of a block, (models, block, classes), into strips."""
    models, _, classes = values.shape
    for part in blocks(rows, max(LEAST, int(STRIP / (8 * models * classes)))):
        yield Strip(values, part.start, part.stop, temperatures)


def stream(
    logits: Logits,
    *tasks: Callable[[Strip, slice], None],
    threads: int = 1,
    memory: float = 100e6,
    progress: Callable[[int], None] = lambda examples: None,
) -> None:
    """Read all logits once, and hand every example to every task.

    Parameters
    ----------
    logits : Logits
    *tasks : callable
        Called with a `Strip` and its rows of the split, by several threads at a time: what it adds
        to is its thread's own (see `PerThread`), or belongs to these rows.
    threads : int
    memory : float
        Bytes that the logits and exponentials in work may take, of all threads together. Each
        works on at least 4 examples: for every model, class and example of them 12 bytes of
        float32 logits, 16 of float64. What an HDF5 file caches is beside this.
    progress : callable, optional
        Given the number of examples of every block done, in the calling thread.

    Raises
    ------
    InputError
        If logits are not finite.
    """
    models, examples, classes = logits.shape
    # Beside the block, a strip has exponentials, those at other temperatures, and scores.
    share = memory / threads - 3 * max(8 * LEAST * models * classes, STRIP)
    size = int(share / (logits.kind.itemsize * models * classes))
    size = max(LEAST, min(size, BLOCK, -(-examples // threads)))
    buffers = SimpleQueue()
    for _ in range(threads):
        buffers.put(np.empty((models, size, classes), logits.kind))

    def work(block: slice) -> int:
        values = buffers.get()
        try:
            for model in range(models):
                values[model, : block.stop - block.start] = logits.read(model, block)
            for strip in strips(values, block.stop - block.start, logits.temperatures):
                rows = slice(block.start + strip.start, block.start + strip.stop)
                for task in tasks:
                    task(strip, rows)
        finally:
            buffers.put(values)
        return block.stop - block.start

    for done in in_threads(work, [(block,) for block in blocks(examples, size)], threads):
        progress(done)


def blocks(examples: int, rows: int = BLOCK) -> list[slice]:
    """Cut examples into blocks of rows."""
    return [slice(start, min(start + rows, examples)) for start in range(0, examples, rows)]


def in_threads(function: Callable, jobs: Iterable[tuple], threads: int) -> Iterator:
    """Call a function with the arguments of each job; gives what it returns, in order."""
    with ThreadPoolExecutor(threads) as executor:
        try:
            yield from executor.map(lambda job: function(*job), jobs)
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise


class PerThread:
    """Counts that several threads add to, each to its own array: int64, of the given shape."""

    def __init__(self, *shape: int):
        self.shape, self._arrays = shape, {}

    @property
    def own(self) -> np.ndarray:
        """The calling thread's array."""
        if get_ident() not in self._arrays:
            self._arrays[get_ident()] = np.zeros(self.shape, np.int64)
        return self._arrays[get_ident()]

    def sum(self) -> np.ndarray:
        """What all threads have counted."""
        return sum(self._arrays.values(), np.zeros(self.shape, np.int64))
