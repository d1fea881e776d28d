"""What a killed job left, and what a later one may resume from."""

import glob
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path

log = logging.getLogger("uncorrelated")


def part_of(path: Path, identity: object) -> Path:
    """Name the part file of what is made of an identity, as JSON has it, and delete any other."""
    text = json.dumps(identity, sort_keys=True)
    part = path.with_name(f"{path.name}.{hashlib.sha256(text.encode()).hexdigest()[:16]}.part")
    for other in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
        if other != part:
            log.info("starting over, since %s was made of other data or by other code", other)
            other.unlink()
    return part


def publish(part: Path, path: Path) -> None:
    """Give a complete part file the name of the result, too.

    So the result is there whole or not at all. The part file, the same data under a second name,
    stays until a run of the workflow succeeds: Snakemake deletes what a job made whose end it did
    not see, or which shares a group with one that failed, and the job then has nothing to compute
    again.
    """
    second = path.with_name(f".{path.name}.link")
    second.unlink(missing_ok=True)
    try:
        os.link(part, second)
        os.utime(second)  # newer than its inputs, however old the part is
    except OSError:  # a file system without second names
        os.replace(part, path)
    else:
        os.replace(second, path)
        second.unlink(missing_ok=True)  # of two names of one file, none was replaced


def discard_kept(folder: str | os.PathLike) -> None:
    """Delete what jobs of a study kept to resume from, where the result of the job is there.

    Outputs on further test sets stay under their second name: one job makes those of all models,
    and when a model joins it has nothing to compute again of the others.
    """
    folder = Path(folder)
    models = folder / "models"
    for kept in (
        *folder.glob("**/*.part"), *models.glob("*/features.h5"), *models.glob("*/resume.pt")
    ):  # fmt: skip
        if kept.parent.parent == models:
            result = "checkpoint.safetensors"
        elif kept.suffixes[-2:] == [".h5", ".part"] and "test_sets" in kept.parts:
            continue
        else:  # <name>.h5.part and <name>.npy.<digest>.part
            result = re.sub(r"(\.h5|\.npy)\..*$", r"\1", kept.name)
        if kept.with_name(result).exists():
            kept.unlink()


def dates(inputs: Iterable[str | os.PathLike]) -> list[tuple[str, int]]:
    """Give the names and dates (nanoseconds) of a job's inputs, which tell apart what it makes.

    Resume only if every input has the same name and date: not even an earlier run of the job that
    is still running can hand over what it made of other inputs.
    """
    return [(str(file), os.stat(file).st_mtime_ns) for file in inputs]
