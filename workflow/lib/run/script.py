"""How every script is called: its arguments, its log, its turn, and what it says when it fails."""

import errno
import fcntl
import hashlib
import inspect
import logging
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from workflow.lib.run import warm
from workflow.lib.run.errors import InputError

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
DISK = (
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "file write failed",
    "inline_container.cc",
    "PytorchStreamWriter failed",  # of torch.save
    "'Stream' object has no attribute 'pos'",  # of matplotlib's PDF
)
"""What libraries say instead of where a disk is full."""

MEMORY = (
    "not enough memory",
    "allocate memory",
    "Unable to allocate",
    "bad_alloc",
    "out of memory",
    "insufficient shared memory",
)
"""What they say where the memory is."""

log = logging.getLogger("uncorrelated")


def run_script(function: Callable[..., None], snakemake: Any) -> None:
    """Call a rule's function with the rule's files and parameters, its output going to the log.

    A killed Snakemake leaves its jobs behind, and the next one starts them again: the second of two
    runs of one job waits here until the first has ended, and then resumes from what it has done.

    Parameters
    ----------
    function
        Takes every named input, output and parameter of the rule as a keyword argument, those of
        the parameter `settings` one by one, and `threads` and `code` (the rule's fingerprint) if
        its signature has them.
    snakemake
        The object that Snakemake puts into a script.

    Raises
    ------
    SystemExit
        With status 1 after an `InputError`, a full disk or a full memory, with its message as the
        log's last line.
    """
    imported = _processor_seconds()  # since its process began
    terminal = os.dup(sys.stderr.fileno())
    turn = _take_turn(snakemake.log[0])  # noqa: F841  (held until the process ends)
    with open(snakemake.log[0], "w", buffering=1) as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S"
    )
    logging.captureWarnings(True)
    try:
        function(**arguments_of(function, snakemake))
        spent, before = _processor_seconds(), warm.imported
        log.info(
            "Processor seconds: %.2f, of which importing: %.2f", before + spent, before + imported
        )
    except Exception as error:
        message = str(error) if isinstance(error, InputError) else what_is_full(error)
        if not message:
            raise
        log.error("Error: %s", message)
        if not isinstance(error, InputError):  # the disk may be that of the log
            os.write(terminal, f"Error in {snakemake.log[0]}: {message}\n".encode())
        sys.exit(1)


def _processor_seconds() -> float:
    """Take what this process has used so far, and the children that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def arguments_of(function: Callable[..., None], job: Any) -> dict[str, Any]:
    """Give the arguments of a rule's function: a job's inputs, outputs, parameters and threads."""
    arguments = dict(job.params.items())
    arguments |= arguments.pop("settings", {})
    arguments["threads"] = job.threads
    for name in {"threads", "code"} - inspect.signature(function).parameters.keys():
        arguments.pop(name, None)
    for name, files in (*job.input.items(), *job.output.items()):
        arguments[name] = str(files) if isinstance(files, str) else [str(file) for file in files]
    return arguments


def what_is_full(error: BaseException | None) -> str | None:
    """Say in words that a disk or the memory is full, if an error or what led to it says so."""
    while error is not None:
        text = " ".join(str(error).split())[:300] or type(error).__name__
        number = error.errno if isinstance(error, OSError) else None
        if number in DISK_ERRORS or any(mark in text for mark in DISK):
            return f"the disk is full, or its quota used up ({text}); free some and run again"
        if (
            isinstance(error, MemoryError)
            or number == errno.ENOMEM
            or any(m in text for m in MEMORY)
        ):
            return (
                f"the memory does not suffice ({text}); end other programs, or on a cluster ask "
                f"for more `mem_mb` of this rule, and run again"
            )
        error = error.__cause__ or error.__context__
    return None


def _take_turn(name: str) -> IO:
    """Wait for other runs of the same job, on any node; gives a file that holds the place.

    The lock lies in Snakemake's own folder and not beside the data. It ends with its process, even
    if that is killed.
    """
    flat, digest = name.replace(os.sep, "--"), hashlib.sha256(name.encode()).hexdigest()
    place = Path(".snakemake/running", flat if len(flat.encode()) < 200 else digest)
    place.parent.mkdir(parents=True, exist_ok=True)
    file = open(place, "w")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"Waiting for an earlier run of this job, which is still running: {name}",
              file=sys.stderr, flush=True)  # fmt: skip
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        print(f"Going on without a lock, which this file system does not know ({error}); be sure "
              f"that no job of an earlier run is left", file=sys.stderr, flush=True)  # fmt: skip
    return file
