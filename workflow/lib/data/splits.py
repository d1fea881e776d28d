"""Examples of a dataset, and how they are divided among its splits."""

import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workflow.lib.run.errors import InputError

HELD = ("calibration", "test")
"""Splits that nothing is learnt from, and that every model is scored on."""


@dataclass(frozen=True)
class Split:
    """The examples of one split, in dataset order.

    Attributes
    ----------
    ids : ndarray of str, shape (examples,)
    labels : ndarray of int64, shape (examples,) or (examples, tasks)
        Indices into the class names; or of a multi-label dataset, for each class as a task of its
        own, 1 (shown), -1 (not shown) or 0 (ignored).
    also : ndarray of int64, shape (examples, most further labels), optional
        Further labels of each image that are right as well; -1 where there is none.
    kept : ndarray of int64, shape (kept classes,), optional
        The classes that answers are chosen from, ascending; of all where it is None.
    """

    ids: np.ndarray
    labels: np.ndarray
    also: np.ndarray | None = None
    kept: np.ndarray | None = None

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of ids, labels and classes kept, which outputs carry to say what they are of."""
        labels = self.labels.tolist() if self.also is None else self.cells()
        rows = [f"{i}\t{label}\n" for i, label in zip(self.ids, labels, strict=True)]
        if self.kept is not None:
            rows.append(f"# kept\t{' '.join(map(str, self.kept.tolist()))}\n")
        return hashlib.sha256("".join(rows).encode()).hexdigest()

    def cells(self) -> Iterator[str]:
        """Give all right labels of each image, with blanks between them, the first one first."""
        for right in self.right():
            yield " ".join(map(str, right))

    def right(self) -> Iterator[list[int]]:
        """Give all right labels of each image, the first one first."""
        if self.also is None:
            yield from ([label] for label in self.labels.tolist())
        else:
            for label, more in zip(self.labels.tolist(), self.also.tolist(), strict=True):
                yield [label, *(other for other in more if other >= 0)]


def draws_from_training(splits: Mapping[str, int | str], has_test: bool) -> bool:
    """Say whether any split takes training images."""
    return not splits or any(name not in drawn_from_test(splits, has_test) for name in splits)


def drawn_from_test(splits: Mapping[str, int | str], has_test: bool) -> tuple[str, ...]:
    """Name the splits that take images of the test set."""
    return HELD if "test" in splits and has_test else ()


def divide_all(
    whole: Mapping[str, Split],
    splits: Mapping[str, int | str],
    classes: int,
    seed: int,
    path: str,
    needed: Sequence[str] = HELD,
) -> dict[str, Split]:
    """Divide the training images, and where the configuration says so the test images."""
    from_test = drawn_from_test(splits, "test" in whole)
    divided = {name: split for name, split in whole.items() if name != "train"}
    for name in splits:
        if name in divided and not (from_test and name == "test"):
            raise InputError(
                f"dataset.splits.{name} takes images from {path}/train, but {path}/{name} exists "
                f"too; remove one of them"
            )
    if draws_from_training(splits, "test" in whole):
        own = {name: number for name, number in splits.items() if name not in from_test}
        if "train" in whole:
            divided = _divide(whole["train"], own, classes, seed, f"{path}/train") | divided
        elif own:
            raise InputError(
                f"dataset.splits.{next(iter(own))} takes training images, but {path} has none; "
                f"leave the split out, or add the folder {path}/train"
            )
    if from_test:
        own = {name: number for name, number in splits.items() if name in from_test}
        divided |= _divide(divided.pop("test"), own, classes, seed, f"{path}'s test set")
    for name in needed:
        if name not in divided:
            raise InputError(
                f"the dataset has no split '{name}': make the folder {path}/{name}, or give "
                f"dataset.splits.{name} a number of images"
            )
    return divided


def _divide(
    pool: Split, splits: Mapping[str, int | str], classes: int, seed: int, where: str
) -> dict[str, Split]:
    """Draw the splits from the pool, in equal shares of each class, without replacement."""
    if not splits:
        return {"train": pool}
    asked = sum(number for number in splits.values() if isinstance(number, int))
    if asked > len(pool.ids):
        raise InputError(f"dataset.splits asks for {asked} images, but {where} has {len(pool.ids)}")
    order = deal(pool.labels, classes, seed)
    divided, start = {}, 0
    for name, number in sorted(splits.items(), key=lambda item: item[1] == "rest"):
        stop = start + number if isinstance(number, int) else len(order)
        rows = np.sort(order[start:stop])
        divided[name] = Split(pool.ids[rows], pool.labels[rows])
        start = stop
    return {name: divided[name] for name in splits}


def deal(labels: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """Put rows in an order of which every stretch has an equal share of each class.

    Parameters
    ----------
    labels : ndarray of int64, shape (examples,)
    classes : int
    seed : int
    """
    rng = np.random.default_rng(seed)
    # Deal every class out evenly along a line; a split is then a stretch of that line.
    place = np.empty(len(labels))
    by_class = np.argsort(labels, kind="stable")
    ends = np.cumsum(np.bincount(labels, minlength=classes))[:-1]
    for rows in np.split(by_class, ends):
        place[rng.permutation(rows)] = (np.arange(len(rows)) + rng.random()) / max(len(rows), 1)
    return np.argsort(place, kind="stable")


def split_of_sets(
    rows: Iterable[tuple[str, Sequence[int]]], kept: np.ndarray | None = None
) -> Split:
    """Turn pairs of id and right labels, at least one, into a split.

    Parameters
    ----------
    rows : iterable of (str, sequence of int)
    kept : ndarray of int64, optional
    """
    ids, sets = zip(*rows, strict=True)
    most = max(map(len, sets))
    table = np.array([[*right, *[-1] * (most - len(right))] for right in sets], dtype=np.int64)
    also = table[:, 1:].copy() if most > 1 else None  # (examples, most - 1)
    return Split(np.array(ids), table[:, 0].copy(), also, kept)


def split_of(rows: Iterable[tuple[str, int]]) -> Split:
    """Turn pairs of id and label into a split."""
    ids, labels = zip(*rows, strict=True)
    return Split(np.array(ids), np.array(labels, dtype=np.int64))
