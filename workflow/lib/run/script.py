"""What every script shares: its log, its progress lines, its errors, its way of writing files."""

import errno
import fcntl
import inspect
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from workflow.lib.run.errors import InputError

log = logging.getLogger("uncorrelated")


def run_script(function: Callable[..., None], snakemake: Any) -> None:
    """Call a rule's function with the rule's files and parameters, its output going to the log.

    A killed Snakemake leaves its jobs behind, and the next one starts them again: the second of two
    runs of one job waits here until the first has ended, and then goes on from what it has done.

    Parameters
    ----------
    function
        Takes every named input, output and parameter of the rule as a keyword argument, those of
        the parameter `settings` one by one, and
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
    arguments |= arguments.pop("settings", {})
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
