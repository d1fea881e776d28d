"""Jobs that start at once: copies of one process that has imported what their scripts need.

A study has hundreds of short jobs, and each would spend a second or three importing NumPy, pandas,
matplotlib or torch again. Here the first job of a script has its modules imported into a process
that stays, and every job runs in a copy of it (a fork). Nothing else changes: the script that
Snakemake wrote runs as it is, with its log, its benchmark and its exit status. docs/decisions/0012.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snakemake.script import PythonScript

ROOT = Path(__file__).resolve().parents[3]

ACCELERATORS = ("nvidia[0-9]*", "kfd", "dxg")
"""Of /dev: what has once been used cannot be used in a copy of the process."""

SERVE = "import sys; sys.path[:0] = [{!r}]; from workflow.lib.run import warm; warm.serve({})"

imported = 0.0
"""Processor seconds that were spent on this job's imports before it began."""


def start_jobs_warm() -> None:
    """Have Snakemake run this project's scripts in copies of a process with their modules.

    Only on Linux, and where there is no accelerator; scripts with an environment, a container or a
    shadow directory of their own run as ever.
    """
    from snakemake.script import PythonScript

    devices = [place for name in ACCELERATORS for place in Path("/dev").glob(name)]
    cold, server = PythonScript.execute_script, Server()
    if not sys.platform.startswith("linux") or devices or cold.__module__ == __name__:
        return

    def execute_script(script: "PythonScript", fname: str, edit: bool = False) -> None:
        own = (script.conda_env, script.container_img, script.env_modules, script.shadow_dir)
        if edit or any(own) or not server.run(script, fname):
            cold(script, fname, edit)

    PythonScript.execute_script = execute_script


class Server:
    """Asks the process that stays for copies; it begins with the first job, and ends with us."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._door: socket.socket | None = None

    def run(self, script: "PythonScript", fname: str) -> bool:
        """Run a script and wait for its end.

        Returns
        -------
        bool
            False if it has to be run otherwise: its modules cannot be imported, say, which its own
            process will explain better.

        Raises
        ------
        subprocess.CalledProcessError
            If it fails, as Snakemake has it of other commands.
        """
        source = Path(script.path.get_path_or_uri(secret_free=True)).resolve()
        if not source.is_relative_to(ROOT):
            return False
        environment = _threads(script.threads)
        if place := script.resources.get("tmpdir"):
            environment |= dict.fromkeys(("TMPDIR", "TMP", "TEMPDIR", "TEMP"), place)
        job = {
            "module": ".".join(source.relative_to(ROOT).with_suffix("").parts),
            "file": fname,
            "folder": os.getcwd(),
            "threads": script.threads,
            "environment": environment,
        }
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                self._ask(job, theirs)
            pid = _receive(ours)
            if pid is None:
                return False
            with _measured(pid, script.bench_record):
                _send(ours, "begin")
                status = _receive(ours)
        if status != 0:
            raise subprocess.CalledProcessError(status or 1, f"{sys.executable} {fname}")
        return True

    def _ask(self, job: dict, place: socket.socket) -> None:
        with self._lock:
            if self._door is None:
                self._door, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                code = SERVE.format(str(ROOT), theirs.fileno())
                with theirs:
                    # Without threads of its own, which no copy would have.
                    self._process = subprocess.Popen(
                        [sys.executable, "-c", code], pass_fds=[theirs.fileno()],
                        env=os.environ | _threads(1),
                    )  # fmt: skip
            with contextlib.suppress(OSError):  # it has ended: there will be no answer
                socket.send_fds(self._door, [json.dumps(job).encode()], [place.fileno()])


def _threads(number: int) -> dict[str, str]:
    """Variables that say how many threads libraries are to have, those that Snakemake sets."""
    names = ("OMP", "GOTO", "OPENBLAS", "MKL", "NUMEXPR")
    return {f"{name}_NUM_THREADS": str(number) for name in names}


def _measured(pid: int, record: Any) -> contextlib.AbstractContextManager:
    """Measure a process for Snakemake's benchmark file, if there is to be one."""
    if record is None:
        return contextlib.nullcontext()
    from snakemake.benchmark import benchmarked

    return benchmarked(pid, record)


def _send(place: socket.socket, message: object) -> None:
    with contextlib.suppress(OSError):  # the other side has ended
        place.send(json.dumps(message).encode())


def _receive(place: socket.socket) -> Any:
    """What the other side says; None if it has ended without a word."""
    try:
        message = place.recv(4096)
    except OSError:
        return None
    return json.loads(message) if message else None


def serve(fd: int) -> None:
    """Be the process that stays: import, divide, and tell how each copy has ended.

    Parameters
    ----------
    fd : int
        Of the socket that jobs come from. At its end, Snakemake's, this process ends, too; copies
        that are at work go on, as jobs of a killed Snakemake do.
    """
    interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the jobs
    door = socket.socket(fileno=fd)
    jobs: dict[int, socket.socket] = {}

    def reap(*_: object) -> None:
        for pid in list(jobs):  # and no others: imports may have children of their own
            with contextlib.suppress(ChildProcessError):  # another signal came, and saw to it
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    with jobs.pop(pid) as place:
                        _send(place, os.waitstatus_to_exitcode(status))

    signal.signal(signal.SIGCHLD, reap)
    while True:
        message, fds, _, _ = socket.recv_fds(door, 1 << 16, 1)
        if not message:
            return
        job = json.loads(message)
        place = socket.socket(fileno=fds[0])
        spent = _import(job["module"])
        if spent is None:
            _send(place, None)
            place.close()
            continue
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        pid = os.fork()
        if pid == 0:
            for other in (door, *jobs.values()):
                other.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, interrupted)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            os._exit(_work(place, job, spent))
        jobs[pid] = place
        _send(place, pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


def _import(module: str) -> float | None:
    """Import a script's module and Snakemake's; gives processor seconds, None if it cannot be."""
    before = sum(os.times()[:2])
    try:
        for name in ("snakemake.script", module):
            importlib.import_module(name)
    except Exception:
        return None
    # What is there now is no garbage: to look through it would copy all of it into each job.
    gc.freeze()
    return sum(os.times()[:2]) - before


def _work(place: socket.socket, job: dict, spent: float) -> int:
    """Run a script in a copy, once it may begin; gives its exit status."""
    global imported
    try:
        if _receive(place) is None:
            return 1
        imported = spent
        os.chdir(job["folder"])
        os.environ.update(job["environment"])
        tempfile.tempdir = None
        _limit_threads(job["threads"])
        runpy.run_path(job["file"], run_name="__main__")
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
    return 0


def _limit_threads(threads: int) -> None:
    """Do what the environment would have done, had the libraries been loaded under it."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
