"""What scripts share: logs, progress, and files that are there whole or not at all."""

import os
import re
import stat
import subprocess
import sys
import threading
import time

import pytest

from workflow.lib.run.files import replacing
from workflow.lib.run.fingerprint import ROOT
from workflow.lib.run.progress import Progress, ahead
from workflow.lib.run.resume import discard_kept, publish

SCRIPT = """
import logging, sys, warnings
from types import SimpleNamespace
from workflow.lib.run.errors import InputError
from workflow.lib.run.script import run_script

class Named(dict):
    pass

def rule(*, source, made, several, number, threads):
    print(source, made, several, number, threads)
    logging.getLogger("uncorrelated").info("at work")
    warnings.warn("mind this")
    {body}

run_script(rule, SimpleNamespace(
    log=["log"], threads=3, params=Named(number=1, code=["x"]),
    input=Named(source="a"), output=Named(made="b", several=["c", "d"])))
"""


def run(tmp_path, body: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(body=body)], cwd=tmp_path, capture_output=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert not done.stdout
    return done.returncode, (tmp_path / "log").read_text()


def test_a_script_gets_files_and_parameters_and_all_that_it_says_goes_to_the_log(tmp_path):
    status, log = run(tmp_path, "pass")
    assert status == 0
    assert "a b ['c', 'd'] 1 3" in log
    assert "at work" in log
    assert "mind this" in log


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise InputError('photo.png is torn; replace it')", "Error: photo.png is torn"),
        ("raise OSError(28, 'No space left on device')", "the disk is full"),
        ("raise OSError(122, 'Disk quota exceeded')", "the disk is full, or its quota used up"),
        (
            "raise RuntimeError('[enforce fail at inline_container.cc:862] . PytorchStream"
            "Writer failed writing file data/1: file write failed')",
            "the disk is full",
        ),
        (
            "from pathlib import Path\n    try:\n        raise OSError(28, 'No space left')\n"
            "    finally:\n        {}.pos",
            "the disk is full",
        ),
        ("raise AttributeError(\"'Stream' object has no attribute 'pos'\")", "the disk is full"),
        ("raise OSError('Unable to create file (No space left on device)')", "the disk is full"),
        ("raise MemoryError", "the memory does not suffice (MemoryError)"),
        ("import numpy as np; np.empty(10**15)", "the memory does not suffice (Unable to allocate"),
        (
            'raise RuntimeError("[enforce fail at alloc_cpu.cpp:118] data. DefaultCPUAllo'
            "cator: can't allocate memory: you tried to allocate 4 bytes\")",
            "the memory does not suffice",
        ),
    ],
)
def test_a_mistake_of_the_users_is_one_message(tmp_path, body, message):
    status, log = run(tmp_path, body)
    assert status == 1
    assert message in log.splitlines()[-1]
    assert "Traceback" not in log


def test_a_mistake_of_ours_shows_where(tmp_path):
    status, log = run(tmp_path, "raise RuntimeError('oops')")
    assert status == 1
    assert "Traceback" in log
    assert "oops" in log


def test_a_file_is_replaced_only_by_a_whole_one(tmp_path):
    path = tmp_path / "folder" / "table.tsv"
    with replacing(path) as part:
        part.write_text("first")
        assert not path.exists()
        assert part.suffix == ".tsv"

    def stop_half_way() -> None:
        with replacing(path) as part:
            part.write_text("half of the sec")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_half_way()
    assert path.read_text() == "first"
    assert [entry.name for entry in path.parent.iterdir()] == ["table.tsv"]


def test_what_is_published_already_is_published_again(tmp_path):
    part, path = tmp_path / "test.h5.part", tmp_path / "test.h5"
    part.write_text("all of it")
    for _ in range(2):
        publish(part, path)
        assert path.samefile(part)
        assert {file.name for file in tmp_path.iterdir()} == {"test.h5", "test.h5.part"}


def test_only_what_has_its_result_is_discarded(tmp_path):
    done = ["outputs/a/test.h5.part", "downstream/outputs/a/val.h5.part", "models/a/resume.pt",
            "images/28/test.npy.0123456789abcdef.part", "models/a/features.h5.part",
            "models/a/checkpoint.safetensors.0123456789abcdef.part"]  # fmt: skip
    results = ["outputs/a/test.h5", "downstream/outputs/a/val.h5", "images/28/test.npy",
               "models/a/checkpoint.safetensors"]  # fmt: skip
    left = [name.replace("/a/", "/b/").replace("/28/", "/32/") for name in done]
    for name in (*done, *results, *left, "models/b/features.h5"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    discard_kept(tmp_path)
    there = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert there == {*results, *left, "models/b/features.h5"}


def test_a_new_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "usual").touch()
    with replacing(tmp_path / "new") as part:
        part.touch()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "new")]
    assert modes[0] == modes[1]


def test_progress_says_how_far_and_how_long(caplog, monkeypatch):
    moment = 0.0
    monkeypatch.setattr("time.monotonic", lambda: moment)
    caplog.set_level("INFO")
    progress = Progress(1000, "images", done=400)
    moment = 10.0
    progress.advance(100)
    assert not caplog.text  # too soon for a line
    moment = 30.0
    progress.advance(50, "epoch 1")
    # 150 images in 30 s, 450 to go.
    assert caplog.messages == ["epoch 1, 550 of 1000 images, 5 a second, 1:30 left"]
    progress.advance(450)
    assert caplog.messages[-1].startswith("1000 of 1000 images")


@pytest.mark.slow
def test_a_second_run_of_a_job_waits_for_the_first_and_a_killed_one_holds_nobody_up(tmp_path):
    body = "import time; print(time.time(), flush=True); time.sleep(2); print(time.time())"
    command = [sys.executable, "-c", SCRIPT.format(body=body)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(command, cwd=tmp_path, env=environment)
    while not (tmp_path / "log").exists():
        time.sleep(0.05)
    start = time.time()
    second = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert first.wait() == second.returncode == 0
    assert "Waiting for an earlier run of this job, which is still running: log" in second.stderr
    times = re.findall(r"^\d+\.\d+$", (tmp_path / "log").read_text(), re.MULTILINE)
    assert float(times[0]) > start + 1  # its own beginning, after the end of the first

    killed = subprocess.Popen(command, cwd=tmp_path, env=environment)
    time.sleep(1)
    killed.kill()
    killed.wait()
    third = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert third.returncode == 0
    assert "Waiting" not in third.stderr


def test_results_come_in_order_while_the_next_are_computed():
    second = threading.Event()

    def square(number):
        if number == 0:
            assert second.wait(10)  # the next one is under way, in another thread
        elif number == 1:
            second.set()
        return number**2

    assert list(ahead(square, range(7))) == [0, 1, 4, 9, 16, 25, 36]


def test_no_more_is_computed_ahead_than_there_are_threads():
    begun = []
    results = ahead(lambda number: begun.append(number) or number, range(100), threads=3)
    assert [next(results), next(results)] == [0, 1]
    results.close()
    assert len(begun) <= 2 + 3


def test_what_fails_ahead_is_raised_in_its_place():
    results = ahead(lambda number: 1 / number, [2, 1, 0, 5])
    assert [next(results), next(results)] == [0.5, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_a_job_whose_log_has_a_long_name_has_a_lock_all_the_same(tmp_path):
    name = f"results/{'a' * 150}/logs/{'b' * 150}.log"
    (tmp_path / name).parent.mkdir(parents=True)
    script = SCRIPT.format(body="pass").replace('log=["log"]', f'log=["{name}"]')
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True)
    assert "at work" in (tmp_path / name).read_text()


WRITERS = {
    "table": """
    import pandas as pd
    from workflow.lib.outputs.tables import write_table as write
    write("out/a.tsv", pd.DataFrame({"a": range(99999)}))""",
    "figure": """
    from matplotlib.figure import Figure
    from workflow.lib.show.marks import save as write
    write(Figure().subplots().figure, *(f"out/a.{k}" for k in ("pdf", "svg", "png")))""",
    "checkpoint": """
    import torch
    from workflow.lib.models.networks import save as write
    write("out/a.safetensors", {}, torch.nn.Linear(999, 999))""",
    "state": """
    import torch
    torch.save(torch.zeros(99999), "out/resume.pt")""",
    "images": """
    import numpy as np
    from pathlib import Path
    from workflow.lib.data.arrays import Writer
    Writer(Path("out/a.npy"), (99, 3, 99, 99)).__enter__().append(np.ones((3, 99, 99)))""",
}
LIMITED = """
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))  # what a full disk does to files
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_of_file_says_that_the_disk_is_full(tmp_path, kind):
    (tmp_path / "out").mkdir()
    status, log = run(tmp_path, f"pass{LIMITED}{WRITERS[kind]}")
    assert status == 1
    assert "the disk is full, or its quota used up" in log
    assert "Traceback" not in log
