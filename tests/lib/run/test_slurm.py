"""What SLURM answers is not misread, and no answer is no 'there are none'."""

import pytest

from workflow.lib.run import slurm
from workflow.lib.run.errors import InputError

RUN = "0c21f6a3-7d5f-4a3e-9a43-1d2f6b0f7a11"


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A squeue that prints jobs in the format asked for, and a scancel that ends them."""
    jobs = tmp_path / "jobs"

    def install(*answers, **scripts):
        # A job a line: number, name, comment, folder; of which a comment may hold anything.
        jobs.write_text("\x1e".join("\x1f".join(answer) for answer in answers))
        (tmp_path / "squeue").write_text(
            f"#!/usr/bin/env python3\nimport sys, re\ntext = open({str(jobs)!r}).read()\n"
            "form = sys.argv[-1].partition('=')[2]\n"
            "for job in filter(None, text.split('\\x1e')):\n"
            "    fields = dict(zip('AjkZ', job.split('\\x1f')))\n"
            "    print(re.sub('%([AjkZ])', lambda m: fields[m[1]], form))\n"
        )
        (tmp_path / "scancel").write_text(f"#!/bin/sh\necho $@ >> {jobs}.cancelled; : > {jobs}\n")
        for name, script in scripts.items():
            (tmp_path / name).write_text(script)
        for name in ("squeue", "scancel"):
            (tmp_path / name).chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/local/bin:/usr/bin:/bin")
    monkeypatch.setattr(slurm.time, "sleep", lambda _: None)
    (tmp_path / ".snakemake/slurm_logs").mkdir(parents=True)
    return install


@pytest.mark.parametrize("comment", ["a|b", "rule_x\nsecond line", "rule_x|1|2|/", "", "\n\n|"])
def test_any_comment_of_another_job_is_only_a_comment(commands, tmp_path, comment):
    others = [("7", "shell", comment, "/home"), ("8", comment or "x", comment, str(tmp_path))]
    commands(others[0], ("12", RUN, "rule_train_wildcards_a", str(tmp_path)), others[1])
    assert slurm.cancel_left_behind(tmp_path) == ["12"]
    assert (tmp_path / "jobs.cancelled").read_text() == "12\n"


def test_a_folder_whose_name_holds_a_bar_is_found(commands, tmp_path):
    folder = tmp_path / "a|b\nc"
    folder.mkdir()
    commands(("3", f"study-{RUN}", "group_outputs", str(folder)))
    assert slurm.cancel_left_behind(folder) == ["3"]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("#!/bin/sh\necho 'slurm_load_jobs error: Unable to contact' >&2\nexit 1\n", "Unable to"),
        ("#!/bin/sh\nexec sleep 30\n", "timed out after 1 seconds"),
        ('#!/bin/sh\necho "${3#--format=}" | cut -c1-60\n', "cut short"),
        ("#!/bin/none\n", "does not answer"),
    ],
)
def test_no_answer_stops_the_run_and_is_no_empty_queue(
    commands, tmp_path, monkeypatch, script, why
):
    monkeypatch.setattr(slurm, "PATIENCE", 1)
    commands(squeue=script)
    with pytest.raises(InputError, match=rf"{why}.*; run again"):
        slurm.cancel_left_behind(tmp_path)


def test_where_nothing_was_ever_submitted_no_answer_is_no_warning(commands, tmp_path, caplog):
    (tmp_path / ".snakemake/slurm_logs").rmdir()
    commands(squeue="#!/bin/sh\nexit 1\n")
    with caplog.at_level("INFO", logger="uncorrelated"):
        assert slurm.cancel_left_behind(tmp_path) == []
    (said,) = caplog.records
    assert said.levelname == "INFO"
    assert "SLURM does not answer `squeue`" in said.message and "run again" not in said.message


def test_jobs_that_do_not_end_are_told_even_if_scancel_hangs(commands, tmp_path, monkeypatch):
    monkeypatch.setattr(slurm, "PATIENCE", 1)
    job = ("5", RUN, "rule_x", str(tmp_path))
    commands(job, scancel="#!/bin/sh\nexec sleep 30\n")
    with pytest.raises(InputError, match=r"do not end: 5;"):
        slurm.cancel_left_behind(tmp_path, seconds=2)
