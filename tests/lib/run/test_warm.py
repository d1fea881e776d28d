"""Jobs in copies of a process with their modules: they run, fail and end as others do."""

import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from snakemake.benchmark import BenchmarkRecord
from snakemake.script import PythonScript

from workflow.lib.run import warm

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")


@pytest.fixture
def server():
    server = warm.Server()
    yield server
    if server._door:
        server._door.close()
        assert server._process.wait(timeout=60) == 0


def job(rule="pairs", **changes) -> SimpleNamespace:
    """What Snakemake knows of a script, as far as it is asked for."""
    path = str(warm.ROOT / f"workflow/rules/../scripts/{rule}.py")
    known = {"threads": 1, "resources": {}, "bench_record": None} | changes
    return SimpleNamespace(path=SimpleNamespace(get_path_or_uri=lambda secret_free: path), **known)


@pytest.fixture
def run(server, tmp_path):
    def run(text: str, **changes) -> bool:
        script = tmp_path / f"{threading.get_ident()}.py"
        script.write_text(text)
        return server.run(job(**changes), str(script))

    return run


def test_what_a_script_needs_is_there_and_its_threads_are_limited(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for threads in (1, 2):
        assert run(
            "import os, sys, tempfile, threadpoolctl\n"
            "assert __name__ == '__main__' and 'workflow.scripts.pairs' in sys.modules\n"
            "pools = {pool['num_threads'] for pool in threadpoolctl.threadpool_info()}\n"
            "open('found', 'w').write(f'{pools} {tempfile.gettempdir()} '\n"
            "                         + os.environ['OMP_NUM_THREADS'])\n",
            threads=threads, resources={"tmpdir": str(tmp_path)},
        )  # fmt: skip
        assert (tmp_path / "found").read_text() == f"{{{threads}}} {tmp_path} {threads}"


def test_jobs_do_not_see_each_other(run, server):
    assert run("import workflow.scripts.pairs as own; own.changed = 1")
    assert run("import workflow.scripts.pairs as own; assert not hasattr(own, 'changed')")


@pytest.mark.parametrize(
    ("text", "status"),
    [("import sys; sys.exit(3)", 3), ("import sys; sys.exit('why')", 1), ("1 / 0", 1),
     ("import os; os.kill(os.getpid(), 9)", -9), ("import sys; sys.exit(0)", 0)],
)  # fmt: skip
def test_a_job_fails_as_a_command_does(run, capfd, text, status):
    if status == 0:
        assert run(text)
        return
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run(text)
    assert caught.value.returncode == status
    told = capfd.readouterr().err
    assert ("ZeroDivisionError" in told) == ("/" in text)
    assert ("why" in told) == ("why" in text)


def test_jobs_run_beside_each_other_and_are_measured(server, tmp_path):
    # Each waits for what the other writes.
    text = (
        "import pathlib, time\n"
        "pathlib.Path({own!r}).touch()\n"
        "held = bytearray(200_000_000)\n"
        "while not pathlib.Path({other!r}).exists(): time.sleep(0.01)\n"
        "time.sleep(0.5)\n"
    )
    names = [str(tmp_path / name) for name in "ab"]
    records, ended = [BenchmarkRecord(), BenchmarkRecord()], []
    threads = []
    for own, other, record in zip(names, names[::-1], records, strict=True):
        script = tmp_path / f"{os.path.basename(own)}.py"
        script.write_text(text.format(own=own, other=other))
        threads.append(
            threading.Thread(
                target=lambda s=script, r=record: ended.append(
                    server.run(job(bench_record=r), str(s))
                )
            )
        )
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert ended == [True, True]
    for record in records:
        assert record.running_time >= 0.5 and record.max_rss > 150


@pytest.mark.slow
def test_many_jobs_that_end_at_once(server, tmp_path):
    script = tmp_path / "job.py"
    script.write_text("")
    server.run(job(), str(script))
    ended = []
    for _ in range(10):
        threads = [
            threading.Thread(target=lambda: ended.append(server.run(job(), str(script))))
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert ended == [True] * 200


def test_what_cannot_be_imported_is_left_to_a_process_of_its_own(run, server):
    assert not run("", rule="no_such_script")
    assert run("")  # and the server is there yet


def test_a_script_of_another_project_is_left_alone(server, tmp_path):
    other = SimpleNamespace(
        path=SimpleNamespace(get_path_or_uri=lambda secret_free: str(tmp_path / "other.py"))
    )
    assert not server.run(other, "")
    assert server._door is None


def test_an_interruption_is_for_the_jobs(server, tmp_path):
    script = tmp_path / "job.py"
    begun = tmp_path / "begun"
    script.write_text(
        "import os, pathlib, signal, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"pathlib.Path({str(begun)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    failed = []

    def work():
        try:
            server.run(job(), str(script))
        except subprocess.CalledProcessError as error:
            failed.append(error.returncode)

    thread = threading.Thread(target=work)
    thread.start()
    while not (begun.exists() and begun.read_text()):
        thread.join(0.01)
    os.kill(server._process.pid, signal.SIGINT)
    os.kill(int(begun.read_text()), signal.SIGINT)
    thread.join(60)
    assert failed == [1]
    script.write_text("")
    assert server.run(job(), str(script))


def test_a_server_that_is_killed_fails_its_job_and_leaves_others_to_processes_of_their_own(
    server, tmp_path
):
    script = tmp_path / "job.py"
    script.write_text("import os; os.kill(os.getppid(), 9); import time; time.sleep(0.2)")
    with pytest.raises(subprocess.CalledProcessError):
        server.run(job(), str(script))
    assert server._process.wait(timeout=60) == -9
    assert not server.run(job(), str(script))
    server._door.close()
    server._door = None


def test_it_is_off_where_there_is_an_accelerator_and_on_elsewhere(monkeypatch):
    cold = PythonScript.execute_script
    monkeypatch.setattr(PythonScript, "execute_script", cold)  # put back afterwards
    monkeypatch.setattr(warm, "ACCELERATORS", ("null",))
    warm.start_jobs_warm()
    assert PythonScript.execute_script is cold
    monkeypatch.setattr(warm, "ACCELERATORS", ())
    warm.start_jobs_warm()
    ours = PythonScript.execute_script
    assert ours is not cold
    warm.start_jobs_warm()
    assert PythonScript.execute_script is ours
