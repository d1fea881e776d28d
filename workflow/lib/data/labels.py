"""Labels alone: a CSV file `id, label`, perhaps with a column `split`, and no images at all.

Enough for a study of logits or answers that were computed elsewhere. A label is the name of a
class, or its index from 0. All rows are test images, unless the file says which split each is in.
"""

import csv
import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from workflow.lib.data.splits import Split
from workflow.lib.run.errors import InputError
from workflow.lib.run.files import refuse_special

COLUMNS = ("id", "label")
NAMES = ("name", "class")  # columns of a table of classes


def files(path: str, splits: Mapping, classes: str | None = None) -> list[str]:
    """List the files that Snakemake is to watch."""
    return [path, classes] if classes else [path]


def listing(path: str, splits: Mapping, classes: str | None = None) -> str:
    """Say what stands for files that are too many to watch: none are."""
    return ""


def warnings(path: str, splits: Mapping, classes: str | None = None) -> Iterator[str]:
    """Say what of the files is left out: nothing."""
    yield from ()


def opener(path: str) -> Callable[[str], str]:
    """Refuse to open images.

    Raises
    ------
    InputError
        Always.
    """
    raise InputError(f"dataset.path: {path} holds labels alone, no images")


def named_splits(path: str) -> set[str]:
    """Name the splits in the file's column `split`; none if it has no such column or is unsound."""
    try:
        return {row.get("split", "test") for _, row in rows_of(path, COLUMNS)}
    except InputError:
        return set()


def read(
    path: str, splits: Mapping, classes: str | None = None
) -> tuple[Sequence[str], dict[str, Split]]:
    """Read class names, and ids and labels of each split, in the order of the file.

    Parameters
    ----------
    path : str
        CSV file with the columns `id`, `label` and perhaps `split`; .tsv with tabs; or .gz of one.
    splits : mapping
        Not used: the file says what there is.
    classes : str, optional
        File of the names of the classes in order: a name a line, or a .csv or .tsv file with a
        column `name` or `class`. Without it, classes are called as in the column `label`, sorted;
        numbers are indices from 0.

    Raises
    ------
    InputError
        If a file cannot be read, an id is there twice, or a label is of no class.
    """
    rows = list(rows_of(path, COLUMNS))
    if not rows:
        raise InputError(f"{path} has no rows; write an id and a label for each image")
    known = {}
    for line, row in rows:
        if row["id"] in known:
            first = known[row["id"]]
            raise InputError(f"{path}, line {line}: the id '{row['id']}' is in line {first} too")
        known[row["id"]] = line
    found = [row["label"] for _, row in rows]
    names = read_names(classes) if classes else _sorted(set(found), path)
    index = {name: label for label, name in enumerate(names)}
    index |= {str(label): label for label in range(len(names)) if str(label) not in index}
    divided: dict[str, tuple[list[str], list[int]]] = {}
    for line, row in rows:
        if row["label"] not in index:
            last = len(names) - 1
            raise InputError(
                f"{path}, line {line}: the label '{row['label']}' is no class, by name or by index "
                f"from 0 to {last}"
            )
        ids, labels = divided.setdefault(row.get("split", "test"), ([], []))
        ids.append(row["id"])
        labels.append(index[row["label"]])
    if "test" not in divided:
        raise InputError(f"{path} has no row whose split is 'test', but {', '.join(divided)}")
    return names, {
        name: Split(np.array(ids), np.array(labels, dtype=np.int64))
        for name, (ids, labels) in divided.items()
    }


def read_names(path: str) -> list[str]:
    """Read the names of classes, in order.

    Raises
    ------
    InputError
        If the file cannot be read, or has no column of names.
    """
    if path.removesuffix(".gz").endswith((".csv", ".tsv")):
        rows = [row for _, row in rows_of(path, ())]
        column = next((name for name in NAMES if rows and name in rows[0]), None)
        if column is None:
            raise InputError(f"{path} has no column `name` or `class`; name the classes in one")
        return [row[column] for row in rows]
    return [line.strip() for line in _text(path) if line.strip()]


def rows_of(path: str, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Read a table with a line of headings, a row at a time, with its number of line.

    Raises
    ------
    InputError
        If the file cannot be read, lacks one of the columns, or has a row of another length.
    """
    tabs = path.removesuffix(".gz").endswith(".tsv")
    reader = csv.reader(_text(path), delimiter="\t" if tabs else ",")
    try:
        heads = [head.strip() for head in next(reader, [])]
        lacking = [column for column in columns if column not in heads]
        if lacking:
            raise InputError(
                f"{path} has no column `{lacking[0]}`: its first line must name the columns, such "
                f"as {','.join(columns)}, and is {','.join(heads)[:80] or 'empty'}"
            )
        for row in reader:
            if not row:
                continue
            if len(row) != len(heads):
                raise InputError(
                    f"{path}, line {reader.line_num}: {len(row)} cells, but {len(heads)} headings"
                )
            yield reader.line_num, dict(zip(heads, map(str.strip, row), strict=True))
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}") from error


def _text(path: str) -> list[str]:
    refuse_special(path)
    open_text = gzip.open if path.endswith(".gz") else open
    try:
        with open_text(path, "rt", encoding="utf-8-sig", newline="") as file:
            return file.readlines()
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error


def _sorted(found: set[str], path: str) -> list[str]:
    """Put names of classes in order; of numbers, all from 0 to the greatest are classes."""
    if not all(name.isdecimal() for name in found):
        return sorted(found)
    last = max(map(int, found))
    if last > 1_000_000:
        raise InputError(f"{path}: the label {last} is no index of a class; name them in `classes`")
    return [str(label) for label in range(last + 1)]
