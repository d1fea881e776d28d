"""How SLURM jobs run their rules, and what a killed Snakemake leaves of them."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from workflow.lib.run.errors import InputError

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
    alone they would run beside those of the next one, or after it, on the same files. They are told
    by their working directory, and by the name and comment that Snakemake's SLURM plugin gives
    them. Call it where Snakemake holds the lock of the folder: no other one's jobs are meant then.

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
        If jobs have not ended in time.
    """
    if shutil.which("squeue") is None:
        return []
    cancelled = left = _left_behind(folder)
    limit = time.monotonic() + seconds
    while left:
        subprocess.run(["scancel", *left], check=False)
        time.sleep(1)
        left = _left_behind(folder)
        if left and time.monotonic() > limit:
            raise InputError(
                f"jobs of an earlier run still write to {folder} and do not end: {' '.join(left)}; "
                f"see `squeue --me`, and run again once they are gone"
            )
    return cancelled


def _left_behind(folder: str | os.PathLike) -> list[str]:
    """Numbers of Snakemake's jobs in a folder, none if SLURM does not answer."""
    listing = subprocess.run(
        ["squeue", "--me", "--noheader", "--format=%A|%j|%k|%Z"],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    uuid = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    jobs = []
    for line in listing.splitlines():
        number, name, comment, place = line.split("|", 3)
        ours = re.search(f"{uuid}$", name) and re.match("(rule|group)_", comment)
        if ours and Path(place).resolve() == Path(folder).resolve():
            jobs.append(number)
    return sorted(set(jobs))
