"""Finding the files of a dataset on disk."""

import functools
import hashlib
import os
import re

from workflow.lib.run.errors import InputError

IMAGES = (
    ".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
# What tables cannot hold (half of a pair: not UTF-8), and what Snakemake takes for wildcards.
UNWRITABLE = re.compile(r"[\t\n\r{}\ud800-\udfff]")
EXACT = 10_000, 2**32  # files and bytes up to which Snakemake itself watches every file


def exact(path: str, places: tuple[str, ...], suffixes: tuple[str, ...] = IMAGES) -> list[str]:
    """List all files of a dataset, for Snakemake to watch; none where `listing` stands for them."""
    if listing(path, places, suffixes):
        return []
    return [os.path.join(path, file) for place in places for file, _ in scan(path, place, suffixes)]


@functools.cache
def listing(path: str, places: tuple[str, ...], suffixes: tuple[str, ...] = IMAGES) -> str:
    """SHA-256 of the names and sizes of a large dataset's files; of a small one, empty."""
    found = [file for place in places for file in scan(path, place, suffixes)]
    if len(found) <= EXACT[0] and sum(size for _, size in found) <= EXACT[1]:
        return ""
    lines = "".join(f"{file}\t{size}\n" for file, size in found)
    return hashlib.sha256(lines.encode()).hexdigest()


@functools.cache
def scan(
    path: str, place: str = ".", suffixes: tuple[str, ...] = IMAGES
) -> tuple[tuple[str, int], ...]:
    """List the files of some suffixes below `path/place`; once in a process.

    Returns
    -------
    tuple of (str, int)
        Path relative to `path`, with `/`, and size in bytes; sorted by path. What begins with a
        dot is left out.

    Raises
    ------
    InputError
        If there is no such folder, or it cannot be read, or a name cannot be used.
    """
    found, folders = [], ["" if place == "." else f"{place}/"]
    try:
        while folders:
            prefix = folders.pop()
            with os.scandir(os.path.join(path, prefix)) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        if entry.is_symlink():
                            _refuse_loop(path, prefix + entry.name)
                        folders.append(f"{prefix}{entry.name}/")
                    elif entry.name.lower().endswith(suffixes):
                        found.append((prefix + entry.name, entry.stat().st_size))
                        if UNWRITABLE.search(found[-1][0]):
                            raise InputError(
                                f"{entry.path!r}: names of images and their folders must be UTF-8, "
                                f"without tab, line break or braces; rename it"
                            )
    except NotADirectoryError as error:
        raise InputError(f"dataset.path: {error.filename} is no folder") from error
    except FileNotFoundError as error:
        if os.path.isdir(path):
            raise InputError(f"{error.filename} is missing, or a link to nothing") from error
        raise InputError(f"dataset.path: there is no folder {path}") from error
    except OSError as error:
        raise InputError(
            f"dataset.path: cannot read {error.filename}: {error.strerror}; mend or remove it"
        ) from error
    return tuple(sorted(found))


def _refuse_loop(path: str, link: str) -> None:
    """Refuse a link, relative to `path`, to a folder that it lies in."""
    target, above = os.path.realpath(os.path.join(path, link)), link
    while above:
        above = os.path.dirname(above)
        if os.path.realpath(os.path.join(path, above)) == target:
            raise InputError(
                f"{os.path.join(path, link)} is a link to {target}, which it lies in; remove it"
            )
