"""How SLURM jobs run their rules, and what a killed Snakemake leaves of them."""

import contextlib
import logging
import os
import re
import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from workflow.lib.run.errors import InputError

log = logging.getLogger("uncorrelated")

PATIENCE = 60  # seconds to wait for an answer of SLURM

if TYPE_CHECKING:
    from snakemake.workflow import Workflow


def run_rules_here(workflow: "Workflow") -> None:
    """Have a job on a cluster run its rules itself, all of them that can.

    Snakemake would start itself once more for each rule, which takes seconds, and end at the first
    rule that fails: it passes --keep-going on to no job, whose settings come after the Snakefile.

    Parameters
    ----------
    workflow : snakemake.workflow.Workflow
        Of the job, all rules being there.
    """
    workflow.localrules(*(rule.name for rule in workflow.rules))

    def keep_going(self, settings):
        settings.keep_going = True
        vars(self)["execution_settings"] = settings

    type(workflow).execution_settings = property(
        lambda self: vars(self)["execution_settings"], keep_going
    )


def cancel_left_behind(folder: str | os.PathLike, seconds: float = 120) -> list[str]:
    """Cancel the jobs that an earlier Snakemake of a folder left to SLURM, and wait for their end.

    A Snakemake that was killed outright, or whose login node died, cannot cancel its jobs. Left
    alone they would run beside those of the next one, or after it, on the same files. They are
    known by their working directory, and by the name and comment that Snakemake's SLURM plugin
    gives them. Call it where Snakemake holds the lock of the folder: no other one's jobs are meant
    then.

    Parameters
    ----------
    folder
        Where Snakemake runs.
    seconds : float
        To wait for.

    Returns
    -------
    list of str
        Numbers of the jobs; none where there is no SLURM.

    Raises
    ------
    InputError
        If jobs have not ended in time; if SLURM does not say which there are, and there were some.
    """
    if shutil.which("squeue") is None:
        return []
    try:
        cancelled = left = _left_behind(folder)
    except InputError as error:
        if Path(folder, ".snakemake/slurm_logs").is_dir():
            raise InputError(
                f"{error}, and jobs of an earlier run may still write to these results; run again "
                f"once it does"
            ) from error
        log.info("%s, but nothing was submitted from here", error)
        return []
    limit = time.monotonic() + seconds
    while left:
        with contextlib.suppress(InputError):  # it is asked again
            _ask("scancel", *left)
            time.sleep(1)
            left = _left_behind(folder)
        if left and time.monotonic() > limit:
            raise InputError(
                f"jobs of an earlier run still write to {folder} and do not end: {' '.join(left)}; "
                f"see `squeue --me`, and run again once they are gone"
            )
    return cancelled


def _left_behind(folder: str | os.PathLike) -> list[str]:
    """Numbers of Snakemake's jobs in a folder."""
    mark = uuid.uuid4().hex  # names and comments of jobs may hold anything else
    fields = _ask(
        "squeue", "--me", "--noheader", f"--format={mark.join(['%A', '%j', '%k', '%Z', ''])}"
    )
    jobs, run = set(), "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    *parts, rest = fields.split(mark)
    if len(parts) % 4 or rest.strip():
        raise InputError(f"SLURM's answer on jobs in {folder} is cut short")
    for number, name, comment, place in zip(*(parts[i::4] for i in range(4)), strict=True):
        ours = re.search(rf"{run}\Z", name) and re.match("(rule|group)_", comment)
        if ours and Path(place).resolve() == Path(folder).resolve():
            jobs.add(number.strip())
    return sorted(jobs)


def _ask(*command: str) -> str:
    """Run one of SLURM's commands.

    Raises
    ------
    InputError
        If it fails, or does not answer.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
        return done.stdout
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError) as error:
        why = " ".join((getattr(error, "stderr", None) or str(error)).split())
        raise InputError(f"SLURM does not answer `{command[0]}` ({why})") from error
