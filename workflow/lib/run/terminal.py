"""A terminal that stays readable: a line a finished job, warnings, errors, and the end.

Snakemake's own log, in `.snakemake/log`, stays complete. `--verbose`, `--quiet`, `--dry-run` and a
logger plugin of the user's are Snakemake's as ever.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

STREAM = "DefaultStreamHandler"
TOLD = "told"
"""Attribute of the records that are always shown."""

KEPT = ("Nothing to be done", "Complete log", "Trying to restart", "Will exit after", "Terminating")
"""How messages begin that are shown though they are no warnings."""

SHOWN_WILDCARDS = ("model", "network", "pair", "kind", "geometry", "split", "name", "set")


class Brief(logging.Filter):
    """Drops Snakemake's account of each job, and writes one line when it has finished.

    What to show in a record's stead is its attribute `brief`, which `BriefFormatter` writes; other
    handlers, such as that of the log file, write the record as it is.

    Parameters
    ----------
    ending : callable
        Gives what to say where nothing has to run.
    clock : callable
        Gives seconds.
    """

    def __init__(self, ending: Callable[[], str], clock: Callable[[], float] = time.monotonic):
        super().__init__()
        self.ending, self.clock = ending, clock
        self.started: dict[int, tuple[str, float]] = {}
        self.finished: list[str] = []
        self.begun = clock()

    def filter(self, record: Any) -> bool:
        """Say whether to show a record."""
        event = getattr(record, "event", None)
        kind = getattr(event, "value", event)
        if kind == "run_info":
            self.begun = self.clock()
            total = record.stats.get("total", 0)
            record.brief = f"{total} job{'s' * (total != 1)} to run"
            return True
        if kind == "job_info":
            self.started[record.jobid] = title(record.rule_name, record.wildcards), self.clock()
            return False
        if kind == "job_finished":
            name, start = self.started.pop(record.job_id, ("a job", self.clock()))
            self.finished.append(f"{name}, {span(self.clock() - start)}")
            return False
        if kind == "progress":
            names, self.finished = self.finished, []
            record.brief = self._progress(record.done, record.total, "; ".join(names))
            return bool(names)
        if record.levelno >= logging.WARNING or getattr(record, TOLD, False):
            return True
        text = record.getMessage() if isinstance(record.msg, str) else ""
        if text.startswith(KEPT[0]):
            record.brief = f"{text.strip()}\n{self.ending()}".strip()
        return kind is None and text.startswith(KEPT)

    def _progress(self, done: int, total: int, names: str) -> str:
        left = (self.clock() - self.begun) / done * (total - done)
        tail = f"; about {span(left)} left" if done < total else ""
        return f"[{done:>{len(str(total))}}/{total}] {names}{tail}"


class BriefFormatter(logging.Formatter):
    """Writes what `Brief` has put in a record's stead, and all else as `other` does."""

    def __init__(self, other: logging.Formatter | None):
        super().__init__()
        self.other = other or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        return getattr(record, "brief", None) or self.other.format(record)


def title(rule: str, wildcards: Mapping[str, Any]) -> str:
    """Name a job: its rule, and what it is for."""
    parts = [str(wildcards[name]) for name in SHOWN_WILDCARDS if name in wildcards]
    return " ".join([rule, *parts])


def span(seconds: float) -> str:
    """Write a time in the unit that suits it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def be_brief(workflow: Any, ending: Callable[[], str]) -> None:
    """Make the terminal of a run brief, unless the user asks for more or less than usual.

    Parameters
    ----------
    workflow
        Snakemake's, as a Snakefile sees it.
    ending : callable
        See `Brief`.
    """
    settings = workflow.output_settings
    if not workflow.is_main_process or settings.verbose or settings.dryrun or settings.debug_dag:
        return
    if settings.quiet or settings.printshellcmds:
        return
    for handler in workflow.logger_manager.logger.handlers:
        if handler.name == STREAM and not any(isinstance(f, Brief) for f in handler.filters):
            handler.addFilter(Brief(ending))
            handler.setFormatter(BriefFormatter(handler.formatter))
