"""A real SLURM cluster on one machine, to test with: a CPU node and one with two GPUs.

    python tests/run/cluster.py /tmp/cluster

starts it in that (new) folder and keeps it until Ctrl-C. What it prints makes sbatch, squeue and
`snakemake --profile profiles/slurm` use it in another terminal. Nothing is installed: SLURM and
munge must be there (Debian: `apt install slurm-wlm munge`). GPUs are plain device files, which
SLURM hands out like real ones. Nothing outside the folder is written.
"""

import contextlib
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

NODES = ("cpu1", "gpu1")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "sinfo", "squeue")

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# A job whose node died waits as long as its credential lasts, two minutes by default.
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
# Containers have neither systemd nor cgroups of their own.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
# Memory is watched by sampling; a job above its own is killed.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
# A line for each job that has ended.
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobs
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
SchedulerTimeSlice=5
GresTypes=gpu
# Nodes come back by themselves, and a dead one is noticed soon.
ReturnToService=2
SlurmdTimeout={dead}
SlurmdParameters=config_overrides
KillWait={grace}
MessageTimeout=20
NodeName=DEFAULT CPUs={cpus} RealMemory={memory}
NodeName=cpu1 NodeAddr=127.0.0.1 NodeHostname={host} Port={ports[1]}
NodeName=gpu1 NodeAddr=127.0.0.1 NodeHostname={host} Port={ports[2]} Gres=gpu:2
PartitionName=cpu Nodes=cpu1 Default=YES
PartitionName=gpu Nodes=gpu1
"""


def missing() -> list[str]:
    """Programs that a cluster needs and this machine has not."""
    return [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


class Cluster:
    """A running cluster.

    Parameters
    ----------
    folder : Path
        Must not exist.
    cpus, memory : int
        Of each node; memory in MB. More CPUs than the machine has are allowed.
    dead, grace : int
        Seconds until a silent node is taken for dead, and between SIGTERM and SIGKILL.
    """

    def __init__(self, folder: Path, cpus=4, memory=64000, dead=10, grace=5):
        self.folder = folder.resolve()
        self.environment = os.environ | {
            "PATH": _path(),
            "SLURM_CONF": f"{self.folder}/slurm.conf",
        }
        self.processes: dict[str, subprocess.Popen] = {}
        for place in ("munge", "state", *NODES):
            (self.folder / place).mkdir(parents=True, mode=0o755)
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                folder=self.folder, host=socket.gethostname().split(".")[0], ports=_free_ports(),
                user=getpass.getuser(), cpus=cpus, memory=memory, dead=dead, grace=grace,
            )
        )  # fmt: skip
        (self.folder / "gres.conf").write_text(
            "NodeName=gpu1 Name=gpu File=/dev/null\nNodeName=gpu1 Name=gpu File=/dev/zero\n"
        )
        key = self.folder / "munge/key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        try:
            self._start_munge(key)
            self._start("slurmctld", ["slurmctld", "-D", "-i"])
            for node in NODES:
                self.start_node(node)
            self.wait_until_idle()
        except BaseException:
            self.stop()
            raise

    def _start_munge(self, key: Path) -> None:
        place = self.folder / "munge"
        self._start(
            "munged",
            ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={place}/socket",
             f"--pid-file={place}/pid", f"--seed-file={place}/seed", f"--log-file={place}/log"],
        )  # fmt: skip
        _wait(lambda: (place / "socket").exists(), 10, "munged made no socket")

    def _start(self, name: str, command: list[str]) -> None:
        with open(self.folder / f"{name}.out", "ab") as output:
            self.processes[name] = subprocess.Popen(
                command, env=self.environment, stdout=output, stderr=output, start_new_session=True
            )

    def start_node(self, node: str) -> None:
        """Start a node, or start it again."""
        self._start(node, ["slurmd", "-D", "-N", node])

    def revive(self) -> None:
        """Cancel all jobs and start the nodes that were killed."""
        for number in self.jobs():
            self.run("scancel", number)
        for node in NODES:
            if node not in self.processes:
                self.start_node(node)

    def kill_node(self, node: str) -> None:
        """Let a node die at once, with all that runs on it, as if its power failed."""
        victims = [self.processes.pop(node).pid]
        for pid in victims:
            victims += _children(pid)
        # A job's supervisor has left slurmd's family, and its steps the supervisor's.
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            if _supervises(pid, self.folder / f"{node}.log"):
                victims += [pid]
        for pid in victims:
            victims += [child for child in _children(pid) if child not in victims]
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def run(self, *command: str) -> str:
        """Output of one of SLURM's commands."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

    def jobs(self, *states: str) -> list[str]:
        """Numbers of the jobs in any of some states, by default all that are not finished."""
        wanted = [f"--states={','.join(states)}"] if states else []
        return self.run("squeue", "--noheader", "--format=%i", *wanted).split()

    def wait_until_idle(self, seconds: float = 60) -> None:
        """Wait until both nodes are up and nothing runs."""

        def idle() -> bool:
            try:
                return self.run("sinfo", "-N", "-h", "-o", "%t").split() == ["idle", "idle"]
            except RuntimeError:
                return False

        _wait(idle, seconds, f"the nodes did not become idle; see the logs in {self.folder}")

    def stop(self) -> None:
        """End the cluster and all that runs on it."""
        with contextlib.suppress(RuntimeError):
            self.run("scancel", "--user", getpass.getuser(), "--signal=KILL", "--full")
        for node in NODES:
            if node in self.processes:
                self.kill_node(node)
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _free_ports() -> list[int]:
    with socket.socket() as one, socket.socket() as two, socket.socket() as three:
        for free in (one, two, three):
            free.bind(("127.0.0.1", 0))
        return [free.getsockname()[1] for free in (one, two, three)]


def _wait(condition, seconds: float, otherwise: str) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            raise TimeoutError(otherwise)
        time.sleep(0.2)


def _children(pid: int) -> list[int]:
    try:
        return [
            int(child)
            for task in os.listdir(f"/proc/{pid}/task")
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split()
        ]
    except OSError:
        return []


def _supervises(pid: int, log: Path) -> bool:
    """Say whether a process is a job's supervisor (slurmstepd) that writes to a node's log."""
    try:
        if Path(f"/proc/{pid}/comm").read_text().strip() != "slurmstepd":
            return False
        return any(os.readlink(file) == str(log) for file in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


if __name__ == "__main__":
    if missing():
        sys.exit(f"{', '.join(missing())} missing; on Debian: apt install slurm-wlm munge")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Cluster(Path(sys.argv[1])) as cluster:
        for name in ("PATH", "SLURM_CONF"):
            print(f"export {name}={cluster.environment[name]}", flush=True)
        print("Ctrl-C ends the cluster.", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
