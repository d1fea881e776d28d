"""Examples of a dataset, and how they are divided among its splits."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
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
    also : ndarray of int64, shape (examples, k), optional
        Further right labels of each image, -1 where there is none.
    kept : ndarray of int64, shape (classes,), optional
        The classes that answers are chosen from, ascending; without it, all of them.
    """

    ids: np.ndarray
    labels: np.ndarray
    also: np.ndarray | None = None
    kept: np.ndarray | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of ids and labels, which outputs of a model carry to say what they belong to."""
        rows = (f"{i}\t{label}\n" for i, label in zip(self.ids, self.labels.tolist(), strict=True))
        return hashlib.sha256("".join(rows).encode()).hexdigest()


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
    rng = np.random.default_rng(seed)
    # Deal every class out evenly along a line; a split is then a stretch of that line.
    place = np.empty(len(pool.ids))
    by_class = np.argsort(pool.labels, kind="stable")
    ends = np.cumsum(np.bincount(pool.labels, minlength=classes))[:-1]
    for rows in np.split(by_class, ends):
        place[rng.permutation(rows)] = (np.arange(len(rows)) + rng.random()) / max(len(rows), 1)
    order = np.argsort(place, kind="stable")
    divided, start = {}, 0
    for name, number in sorted(splits.items(), key=lambda item: item[1] == "rest"):
        stop = start + number if isinstance(number, int) else len(order)
        rows = np.sort(order[start:stop])
        divided[name] = Split(pool.ids[rows], pool.labels[rows])
        start = stop
    return {name: divided[name] for name in splits}


def split_of(rows: Iterable[tuple[str, int]]) -> Split:
    """Turn pairs of id and label into a split."""
    ids, labels = zip(*rows, strict=True)
    return Split(np.array(ids), np.array(labels, dtype=np.int64))
