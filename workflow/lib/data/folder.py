"""Images by class: `<path>/<split>/<class>/*.jpg`, or `<path>/<class>/*.jpg`, to be divided."""

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from workflow.lib.data.files import exact, is_of_system, scan
from workflow.lib.data.files import listing as names_and_sizes
from workflow.lib.data.files import warnings as told_of_files
from workflow.lib.data.splits import Split, split_of
from workflow.lib.run.errors import InputError


def files(path: str, splits: Mapping) -> list[str]:
    """List the files that Snakemake is to watch."""
    return exact(path, (".",))


def listing(path: str, splits: Mapping) -> str:
    """Say what stands for the files of a large dataset."""
    return names_and_sizes(path, (".",))


def warnings(path: str, splits: Mapping) -> Iterator[str]:
    """Say what of the folder is left out, or cannot be watched."""
    return told_of_files(path, (".",))


def opener(path: str) -> Callable[[str], str]:
    """Make a function that gives the file of an id."""
    return functools.partial(os.path.join, path)


def read(path: str, splits: Mapping) -> tuple[Sequence[str], dict[str, Split]]:
    """Find classes, and the labels of the images of each split."""
    parts = [(file, file.split("/")) for file, _ in scan(path)]
    if not parts:
        raise InputError(f"{path} holds no image in a folder of a class, train/<class>/*.jpg")
    tops = {names[0] for _, names in parts}
    # Without folders of splits, what most images lie in is a folder of a class.
    pooled = not tops & {"train", "test"} and 2 * sum(len(n) == 2 for _, n in parts) >= len(parts)
    _refuse_stray(path, parts, pooled)
    if pooled:
        parts = [(file, ["train", *names]) for file, names in parts]
    found: dict[str, list[tuple[str, str]]] = {}
    for file, names in parts:
        if len(names) < 3:
            raise InputError(
                f"{os.path.join(path, file)} is not in a folder <split>/<class>/; move it into one"
            )
        found.setdefault(names[0], []).append((file, names[1]))
    first = next((name for name in ("train", "test") if name in found), None)
    if first is None:
        raise InputError(f"{path}/train holds no image in a folder of a class, <class>/*.jpg")
    # Folders of a class that lost all its images count, so that their emptiness is noticed.
    names = [
        entry.name
        for entry in os.scandir(path if pooled else Path(path, first))
        if entry.is_dir() and not is_of_system(entry.name)
    ]
    numbered = all(name.isdecimal() for name in names)
    classes = sorted(names, key=lambda name: (int(name) if numbered else 0, name))
    index = {name: label for label, name in enumerate(classes)}
    for split, rows in found.items():
        unknown = sorted({name for _, name in rows} - set(classes))
        if unknown:
            raise InputError(
                f"{path}/{split}/{unknown[0]} is a class that {path}/{first} has not; "
                f"rename or remove it"
            )
    return classes, {
        split: split_of((file, index[name]) for file, name in rows) for split, rows in found.items()
    }


def _refuse_stray(path: str, parts: Sequence[tuple[str, list[str]]], pooled: bool) -> None:
    """Refuse images outside of all folders or below them, and classes with names of splits."""
    for file, names in parts:
        if pooled and len(names) > 2:
            raise InputError(
                f"{os.path.join(path, file)} is in a folder within that of a class, "
                f"{os.path.join(path, names[0])}; move it there, or make train/<class> and "
                f"test/<class> of your folders"
            )
        if len(names) == 1:
            raise InputError(
                f"{os.path.join(path, file)} is in no folder of a class; move it into one, or "
                f"remove it"
            )
    tops = {names[0] for _, names in parts}
    taken = [name for name in ("train", "test") if name in tops]
    if taken and tops - {*taken} and all(len(names) == 2 for _, names in parts):
        raise InputError(
            f"{os.path.join(path, taken[0])} is taken for a split by its name, but holds no "
            f"folders of classes; rename it if it is a class"
        )
