"""One line a finished job, warnings, errors, and the end."""

import logging
from types import SimpleNamespace

from snakemake.logging import DefaultFormatter
from snakemake_interface_logger_plugins.common import LogEvent

from workflow.lib.run.terminal import STREAM, Brief, BriefFormatter, be_brief, span, title


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def said(
    brief: Brief, formatter: logging.Formatter, msg, level=logging.INFO, **extra
) -> str | None:
    record = logging.makeLogRecord({"msg": msg, "levelno": level, **extra})
    return formatter.format(record) if brief.filter(record) else None


def test_a_run_as_the_terminal_shows_it():
    clock = Clock()
    brief = Brief(lambda: "The answer.", clock)
    formatter = BriefFormatter(DefaultFormatter())

    def say(msg, level=logging.INFO, **extra):
        return said(brief, formatter, msg, level, **extra)

    stats = {"train": 3, "all": 1, "total": 4}
    assert say("Job stats…", event=LogEvent.RUN_INFO, stats=stats) == "4 jobs to run"
    job = {"jobid": 7, "rule_name": "extract", "wildcards": {"model": "vit", "x": "y"}}
    assert say(None, event=LogEvent.JOB_INFO, **job) is None
    assert say("Select jobs to execute...") is None
    clock.now = 30
    assert say("Finished", event=LogEvent.JOB_FINISHED, job_id=7) is None
    line = say(None, event=LogEvent.PROGRESS, done=1, total=4)
    assert line == "[1/4] extract vit, 30 s; about 90 s left"
    assert say(None, event=LogEvent.PROGRESS, done=2, total=4) is None
    assert say("Careful", logging.WARNING) == "Careful"
    assert say("told", told=True) == "told"
    done = say("Nothing to be done (all requested files are present and up to date).")
    assert done.endswith("up to date).\nThe answer.")
    assert say("Complete log(s): /x") == "Complete log(s): /x"


def test_other_handlers_see_the_record_as_it_is():
    brief = Brief(str, Clock())
    record = logging.makeLogRecord({"msg": "Job stats…", "event": LogEvent.RUN_INFO, "stats": {}})
    assert brief.filter(record)
    assert DefaultFormatter().format(record) == "Job stats…"


def workflow(**settings):
    handler = logging.StreamHandler()
    handler.name = STREAM
    logger = logging.Logger("test")
    logger.addHandler(handler)
    quiet = {"verbose": False, "dryrun": False, "debug_dag": False, "quiet": None}
    chosen = SimpleNamespace(**quiet | {"printshellcmds": False} | settings)
    manager = SimpleNamespace(logger=logger)
    made = SimpleNamespace(is_main_process=True, output_settings=chosen, logger_manager=manager)
    return made, handler


def test_whoever_asks_for_more_or_less_gets_what_snakemake_says():
    for settings in ({}, {"verbose": True}, {"dryrun": True}, {"quiet": {"all"}}):
        made, handler = workflow(**settings)
        be_brief(made, str)
        be_brief(made, str)
        assert len(handler.filters) == (not settings)


def test_times_and_names():
    assert [span(s) for s in (3.4, 99, 180, 7200 * 3)] == ["3 s", "99 s", "3 min", "6.0 h"]
    assert title("report", {}) == "report"
    assert title("extract", {"split": "test", "model": "vit"}) == "extract vit test"
