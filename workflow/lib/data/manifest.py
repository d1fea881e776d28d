"""A dataset's manifest: which images are in which split, and what they show.

Only what every analysis needs is here; `workflow.lib.data.kinds` finds images on disk.
"""

import csv
import functools
import hashlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workflow.lib.data.splits import Split, split_of_sets
from workflow.lib.run.errors import InputError
from workflow.lib.run.files import replacing

SOURCE, CLASSES, TASKS = "# source", "# classes", "# tasks"  # first cells of lines of the manifest
KEPT = "# kept"
SINGLE = ["label", "class"]  # columns of a manifest of one label an image


@dataclass(frozen=True)
class Manifest:
    """A dataset's class names and splits.

    Attributes
    ----------
    classes : tuple of str
    splits : mapping of str to Split
    source : str
        Digest of the files that it was made of. So a manifest differs where an image does, and what
        depends on images can depend on their manifest.
    """

    classes: tuple[str, ...]
    splits: Mapping[str, Split]
    source: str = ""

    def split(self, name: str) -> Split:
        """Give the split of a name.

        Raises
        ------
        InputError
            If there is none, with the names of those that there are.
        """
        if name not in self.splits:
            raise InputError(
                f"the dataset has no split '{name}', but {', '.join(self.splits)}; name one of "
                f"these in the study, or draw it by dataset.splits"
            )
        return self.splits[name]

    def write(self, path: str | os.PathLike) -> None:
        """Write a table of id, split, label and class.

        Lines above it hold its SHA-256, the source, and all class names; and for each split whose
        answers are chosen from some of the classes, its name and their indices. Where several
        labels of an image are right, its cells hold all of them. Of a multi-label dataset, each
        class has a column, instead of the last two.
        """
        text = io.StringIO()
        table = csv.writer(text, delimiter="\t", lineterminator="\n")
        tasks = any(split.labels.ndim == 2 for split in self.splits.values())
        table.writerow([SOURCE, self.source])
        table.writerow([TASKS if tasks else CLASSES, *self.classes])
        for name, split in self.splits.items():
            if split.kept is not None:
                table.writerow([KEPT, name, *split.kept.tolist()])
        table.writerow(["id", "split", *(self.classes if tasks else SINGLE)])
        for name, split in self.splits.items():
            if tasks:
                for example, label in zip(split.ids, split.labels.tolist(), strict=True):
                    table.writerow([example, name, *label])
                continue
            for example, right in zip(split.ids, split.right(), strict=True):
                names = ", ".join(self.classes[label] for label in right)
                table.writerow([example, name, " ".join(map(str, right)), names])
        body = text.getvalue()
        with replacing(path) as temporary:
            digest = hashlib.sha256(body.encode()).hexdigest()
            temporary.write_text(f"# sha256 {digest}\n{body}", encoding="utf-8")

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Manifest":
        """Read what `write` wrote.

        Raises
        ------
        InputError
            If the table is not the one that its digest was made of.
        """
        try:
            head, _, body = Path(path).read_text(encoding="utf-8").partition("\n")
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read {path}: {error}; delete it and run again") from error
        if head != f"# sha256 {hashlib.sha256(body.encode()).hexdigest()}":
            raise InputError(f"{path} was altered or cut short; delete it and run again")
        return _parse(body)


@functools.lru_cache(2)  # a job of many models reads those of the study and of a test set for each
def _parse(body: str) -> Manifest:
    """Read the lines of a manifest below its digest."""
    rows = csv.reader(io.StringIO(body), delimiter="\t")
    _, source = next(rows)
    kind, *classes = next(rows)
    tasks = kind == TASKS  # whatever these are called
    kept = {}
    while (line := next(rows))[0] == KEPT:
        kept[line[1]] = np.array(line[2:], dtype=np.int64)
    splits: dict[str, tuple[list[str], list]] = {}
    for example, split, *own in rows:
        ids, labels = splits.setdefault(split, ([], []))
        ids.append(example)
        labels.append(own if tasks else own[0])
    read = {}
    for name, (ids, labels) in splits.items():
        if not tasks and any(" " in cell for cell in labels):
            sets = [[int(label) for label in cell.split()] for cell in labels]
            read[name] = split_of_sets(zip(ids, sets, strict=True), kept.get(name))
        else:
            whole = np.array(labels).astype(np.int64)
            read[name] = Split(np.array(ids), whole, kept=kept.get(name))
    return Manifest(tuple(classes), read, source)
