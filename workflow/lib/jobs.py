"""What every script shares: its log, its progress lines, its errors, its way of writing files."""

import collections
import contextlib
import errno
import fcntl
import glob
import hashlib
import inspect
import json
import logging
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

log = logging.getLogger("uncorrelated")


class InputError(Exception):
    """Something the user gave is wrong; the message names it and says what to do."""


def run_script(function: Callable[..., None], snakemake: Any) -> None:
    """Call a rule's function with the rule's files and parameters, its output going to the log.

    A killed Snakemake leaves its jobs behind, and the next one starts them again: the second of two
    runs of one job waits here until the first has ended, and then goes on from what it has done.

    Parameters
    ----------
    function
        Takes every named input, output and parameter of the rule as a keyword argument, and
        `threads` and `code` (the rule's fingerprint) if its signature has them.
    snakemake
        The object that Snakemake puts into a script.

    Raises
    ------
    SystemExit
        With status 1 after an `InputError` or a full disk, with its message as the log's last line.
    """
    turn = _take_turn(snakemake.log[0])  # noqa: F841  (held until the process ends)
    with open(snakemake.log[0], "w", buffering=1) as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )
    logging.captureWarnings(True)
    arguments = dict(snakemake.params.items())
    arguments["threads"] = snakemake.threads
    for name in {"threads", "code"} - inspect.signature(function).parameters.keys():
        arguments.pop(name, None)
    for name, files in (*snakemake.input.items(), *snakemake.output.items()):
        arguments[name] = str(files) if isinstance(files, str) else [str(file) for file in files]
    try:
        function(**arguments)
    except InputError as error:
        log.error("Error: %s", error)
        sys.exit(1)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        log.error("Error: %s; free some disk space and run again", error)
        sys.exit(1)


def _take_turn(name: str) -> IO:
    """Wait for other runs of the same job, on any node; gives a file that holds the place.

    The lock lies in Snakemake's own folder and not beside the data. It ends with its process, even
    if that is killed.
    """
    place = Path(".snakemake/running", name.replace(os.sep, "--"))
    place.parent.mkdir(parents=True, exist_ok=True)
    file = open(place, "w")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"Waiting for an earlier run of this job, which still goes on: {name}",
              file=sys.stderr, flush=True)  # fmt: skip
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        print(f"Going on without a lock, which this file system does not know ({error}); be sure "
              f"that no job of an earlier run is left", file=sys.stderr, flush=True)  # fmt: skip
    return file


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path beside `path`; move it there if the block succeeds, else delete it.

    So a file is there whole or not at all, whatever stops its writer.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; give them the permissions of any other file.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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


def discard_kept(folder: Path) -> None:
    """Delete what jobs of a study kept to go on from, where the result of the job is there."""
    models = folder / "models"
    for kept in (
        *folder.glob("**/*.part"), *models.glob("*/features.h5"), *models.glob("*/resume.pt")
    ):  # fmt: skip
        if kept.parent.parent == models:
            result = "checkpoint.safetensors"
        else:  # <name>.h5.part and <name>.npy.<digest>.part
            result = re.sub(r"(\.h5|\.npy)\..*$", r"\1", kept.name)
        if kept.with_name(result).exists():
            kept.unlink()


def dates(inputs: Iterable[str | os.PathLike]) -> list[tuple[str, int]]:
    """Give the names and dates (nanoseconds) of a job's inputs, which tell apart what it makes.

    What was begun is gone on from only where they are the same: not even an earlier run of the job
    that still goes on can hand over what it made of other inputs.
    """
    return [(str(file), os.stat(file).st_mtime_ns) for file in inputs]


class Progress:
    """Log lines that say how far a job is, how fast it goes, and how long it will take.

    Parameters
    ----------
    total : int
        Units of work in the whole job.
    unit : str
        What is counted, in the plural.
    done : int
        Units that an earlier, interrupted run has done already.
    every : float
        Seconds between lines; the last one is always written.
    """

    def __init__(self, total: int, unit: str, *, done: int = 0, every: float = 30.0):
        self.total, self.unit, self.done, self.every = total, unit, done, every
        self.start = self.last = time.monotonic()
        self.before = done

    @property
    def rate(self) -> float:
        """Units a second in this run."""
        return (self.done - self.before) / max(time.monotonic() - self.start, 1e-9)

    def advance(self, units: int, note: str = "", *, now: bool = False) -> None:
        """Count `units` more as done and log a line if one is due, or `now`."""
        self.done += units
        moment = time.monotonic()
        if now or self.done >= self.total or moment - self.last >= self.every:
            self.last = moment
            left = (self.total - self.done) / max(self.rate, 1e-9)
            log.info(
                "%s%d of %d %s, %.0f a second, %d:%02d left",
                f"{note}, " if note else "",
                self.done,
                self.total,
                self.unit,
                self.rate,
                *divmod(round(left), 60),
            )


def ahead(
    function: Callable[[Any], Any], items: Iterable[Any], threads: int = 2, each: int = 1
) -> Iterator[Any]:
    """Give `function` of each item in order, threads computing the next ones meanwhile.

    Parameters
    ----------
    function
        Best one that waits for a disk or a GPU.
    items : iterable
    threads : int
    each : int
        How many results are at most computed ahead for each thread: more than one keep all threads
        busy where some items take longer than others.

    Yields
    ------
    object
        What it returned; what it raised is raised here.
    """
    pool = ThreadPoolExecutor(threads)
    waiting = collections.deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > threads * each:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
