"""Two clones that share results cannot write to them at once."""

import os
import subprocess
import sys

import pytest

from workflow.lib.run import lock
from workflow.lib.run.errors import InputError
from workflow.lib.run.fingerprint import ROOT

HOLD = """
import sys
from workflow.lib.run.lock import lock_results
lock_results([sys.argv[1]])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock of some results, by another path."""
    (tmp_path / "results/mine").mkdir(parents=True)
    (tmp_path / "clone").symlink_to(tmp_path / "results")
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "clone/mine")],
        cwd=tmp_path,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_run_is_refused_with_the_place_of_the_first(other, tmp_path):
    with pytest.raises(
        InputError, match=rf"results/mine: process {other.pid} on .*, in {tmp_path}"
    ):
        lock.lock_results([tmp_path / "results/mine"])


def test_a_killed_run_holds_nobody_up(other, tmp_path):
    other.kill()
    other.wait()
    lock.lock_results([tmp_path / "results/mine"])
    lock.lock_results([tmp_path / "results/another"])
    assert str(os.getpid()) in (tmp_path / "results/mine/.lock").read_text()


def test_a_file_system_without_locks_is_warned_of(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    lock.lock_results([tmp_path])
    assert "cannot be locked ([Errno 37] No locks available): be sure that no other" in caplog.text
