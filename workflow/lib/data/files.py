"""Finding the files of a dataset on disk, and what their names may hold."""

import functools
import hashlib
import logging
import os
import re
import stat
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from workflow.lib.run.errors import InputError
from workflow.lib.run.files import SPECIAL

log = logging.getLogger("uncorrelated")

IMAGES = (".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif",
          ".tiff", ".webp")  # fmt: skip
SYSTEM = {"@eadir", "@tmp", "@__thumb", "@recycle", "#recycle", "#snapshot", "$recycle.bin"}
SYSTEM |= {"system volume information", "__macosx", "lost+found"}
"""Folders that a NAS or a system makes by itself, of thumbnails and deleted files; lower case."""

CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"  # ends of lines; half of a pair: not UTF-8
UNPRINTABLE = re.compile(f"[{CONTROL}]")
# And what Snakemake takes for wildcards and for variables in paths, and knows no way to escape.
UNWRITABLE = re.compile(rf"[{CONTROL}{{}}]|<[a-z][a-z0-9_]*>")
EXACT = 10_000, 2**32  # files and bytes up to which Snakemake itself watches every file


class UnreadableImage(InputError):
    """One image cannot be decoded, though its file, or the file that holds it, can be read."""


class Found(NamedTuple):
    """What is in a folder.

    Attributes
    ----------
    files : tuple of (str, int)
        Path relative to the dataset, with `/`, and size in bytes; sorted by path.
    future : tuple of str
        Those dated in the future: Snakemake would end a study over one.
    left_out : tuple of (str, int)
        What else there is, and how many: endings of files, and folders of the system.
    """

    files: tuple[tuple[str, int], ...]
    future: tuple[str, ...]
    left_out: tuple[tuple[str, int], ...]


def exact(path: str, places: tuple[str, ...], suffixes: tuple[str, ...] = IMAGES) -> list[str]:
    """List all files of a dataset, for Snakemake to watch; none where `listing` stands for them."""
    found = [look(path, place, suffixes) for place in places]
    if _are_many(found):
        return []
    watched = [file for part in found for file, _ in part.files if file not in set(part.future)]
    return [os.path.join(path, file) for file in watched]


@functools.cache
def listing(path: str, places: tuple[str, ...], suffixes: tuple[str, ...] = IMAGES) -> str:
    """SHA-256 of the names and sizes of a large dataset's files.

    Of a small one, those of the files that are dated in the future; mostly there are none, and it
    is empty.
    """
    found = [look(path, place, suffixes) for place in places]
    many = _are_many(found)
    future = {file for part in found for file in part.future}
    rows = [row for part in found for row in part.files if many or row[0] in future]
    lines = "".join(f"{file}\t{size}\n" for file, size in rows)
    return hashlib.sha256(lines.encode()).hexdigest() if lines else ""


def _are_many(found: Sequence[Found]) -> bool:
    files = [file for part in found for file in part.files]
    return len(files) > EXACT[0] or sum(size for _, size in files) > EXACT[1]


def scan(
    path: str, place: str = ".", suffixes: tuple[str, ...] = IMAGES
) -> tuple[tuple[str, int], ...]:
    """List files as `look` finds them, and log what was left out."""
    for text in warnings(path, (place,), suffixes):
        log.warning("%s", text)
    return look(path, place, suffixes).files


@functools.cache
def look(path: str, place: str = ".", suffixes: tuple[str, ...] = IMAGES) -> Found:
    """Find the files of some suffixes below `path/place`; once in a process.

    What begins with a dot is left out without being counted.

    Raises
    ------
    InputError
        If there is no such folder, or it cannot be read, or a name cannot be used.
    """
    found, future, left_out = [], [], Counter()
    folders, now = ["" if place == "." else f"{place}/"], time.time()
    try:
        while folders:
            prefix = folders.pop()
            with os.scandir(os.path.join(path, prefix)) as entries:
                for entry in entries:
                    name = prefix + entry.name
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        if is_of_system(entry.name):
                            left_out[f"folders {entry.name}"] += 1
                            continue
                        if entry.is_symlink():
                            _refuse_loop(path, name)
                        folders.append(f"{name}/")
                    elif entry.name.lower().endswith(suffixes):
                        state = entry.stat()
                        if not stat.S_ISREG(state.st_mode):
                            raise InputError(f"{entry.path} {SPECIAL}")
                        found.append((name, state.st_size))
                        if state.st_mtime > now:
                            future.append(name)
                        if UNWRITABLE.search(name):
                            raise InputError(
                                f"{entry.path!r}: names of images and their folders must be UTF-8, "
                                f"without tab, line break, braces, or a word in angle brackets "
                                f"such as <b>; rename it"
                            )
                    else:
                        left_out[os.path.splitext(entry.name)[1].lower() or "no ending"] += 1
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
    return Found(tuple(sorted(found)), tuple(sorted(future)), tuple(sorted(left_out.items())))


def is_of_system(folder: str) -> bool:
    """Say whether a folder is one that a NAS or a system makes by itself."""
    return folder.startswith(".") or folder.lower() in SYSTEM


def warnings(
    path: str, places: tuple[str, ...], suffixes: tuple[str, ...] = IMAGES
) -> Iterator[str]:
    """Say which files were left out, and which are dated in the future."""
    found = [look(path, place, suffixes) for place in places]
    left_out = sum((Counter(dict(part.left_out)) for part in found), Counter())
    if left_out and suffixes == IMAGES:  # beside parquet there is always something
        counts = ", ".join(f"{number} × {kind}" for kind, number in sorted(left_out.items()))
        yield (
            f"{path}: left out what is no image by its name ({counts}); images end in "
            f"{', '.join(IMAGES)}: convert or rename those that should count"
        )
    future = [file for part in found for file in part.future]
    if future:
        yield (
            f"{path}: images dated in the future: {len(future)}, such as {future[0]}; until then a "
            f"change is noticed by its size only: check the clock, and `touch` them"
        )


def is_future(path: str) -> bool:
    """Say whether a file is dated in the future."""
    return os.path.exists(path) and os.path.getmtime(path) > time.time()


def check_path(path: str, entry: str) -> str:
    """Refuse a path that Snakemake would take for a pattern, or not take at all.

    Parameters
    ----------
    path : str
    entry : str
        Where the study names it, such as `models.vit.logits`.

    Returns
    -------
    str
        The path.
    """
    if is_future(path):
        raise InputError(
            f"{entry}: {path} is dated in the future, so that nothing made of it would be newer; "
            f"check the clock, and `touch` it"
        )
    if UNWRITABLE.search(path):
        raise InputError(
            f"{entry}: {path!r}: paths must be without tab, line break, braces, or a word in angle "
            f"brackets such as <b>; rename it"
        )
    return path


def check_classes(classes: Sequence[str], where: str) -> None:
    """Refuse names of classes that tables cannot hold or people cannot tell apart.

    Parameters
    ----------
    classes : sequence of str
    where : str
        The dataset's folder, for the message.

    Raises
    ------
    InputError
        If a name is empty, has a tab, a line break or another control character, or is that of two
        classes, as far as one can see: composed and decomposed letters look the same.
    """
    for label, name in enumerate(classes):
        if not name.strip():
            raise InputError(f"{where}: class {label} has an empty name; give it one")
        if UNPRINTABLE.search(name):
            raise InputError(
                f"{where}: the name of class {label}, {name!r}, holds a control character, such "
                f"as a tab or a line break; write it without"
            )
    seen: dict[str, int] = {}
    for label, name in enumerate(classes):
        first = seen.setdefault(unicodedata.normalize("NFC", name), label)
        if first != label:
            raise InputError(
                f"{where}: classes {first} and {label} are both named '{name}'; rename one of "
                f"them, or make one class of both"
            )


def unicode_note(found: Iterable[str], wanted: Iterable[str]) -> str:
    """Say that texts which look the same differ in how letters with accents are composed.

    Parameters
    ----------
    found, wanted : iterable of str
        Those of a file, and those that it should have.

    Returns
    -------
    str
        What to do, to go on a sentence; empty if they differ otherwise.
    """
    wanted = {unicodedata.normalize("NFC", text): text for text in wanted}
    for text in found:
        other = wanted.get(unicodedata.normalize("NFC", text))
        if other not in (None, text):
            forms = [form for form in ("NFC", "NFD") if unicodedata.is_normalized(form, other)]
            how = f", by unicodedata.normalize('{forms[0]}', text) of Python" if forms else ""
            return f", though '{text}' differs only in its form of Unicode: write it as there{how}"
    return ""


def _refuse_loop(path: str, link: str) -> None:
    """Refuse a link, relative to `path`, to a folder that it lies in."""
    target, above = os.path.realpath(os.path.join(path, link)), link
    while above:
        above = os.path.dirname(above)
        if os.path.realpath(os.path.join(path, above)) == target:
            raise InputError(
                f"{os.path.join(path, link)} is a link to {target}, which it lies in; remove it"
            )
