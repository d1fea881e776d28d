"""One run at a time in a folder of results, from whichever clone of the repository."""

import fcntl
import logging
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from workflow.lib.run.errors import InputError

log = logging.getLogger("uncorrelated")

NAME = ".lock"


HELD: list[IO] = []  # open as long as this process lives


def lock_results(folders: Iterable[str | os.PathLike]) -> None:
    """Take the place of the one run that may write to some folders of results.

    Snakemake's own lock lies in the clone, and two clones may share results by a link. This one
    lies beside the results; it ends with its process, even if that is killed, and its jobs do not
    inherit it. Where a file system knows no locks, a warning says so.

    Parameters
    ----------
    folders : iterable of path
        Such as `results/mine`; made if missing.

    Raises
    ------
    InputError
        If another run holds one of them.
    """
    for folder in map(Path, folders):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = open(folder / NAME, "a+", encoding="utf-8")  # noqa: SIM115
            HELD.append(file)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise InputError(
                f"another run writes to {folder.resolve()}: {file.read().strip() or 'unknown'}; "
                f"wait for its end, or stop it there"
            ) from None
        except OSError as error:
            log.warning(
                "%s cannot be locked (%s): be sure that no other run writes to it", folder, error
            )
            continue
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}, in {Path.cwd()}\n")
        file.flush()
