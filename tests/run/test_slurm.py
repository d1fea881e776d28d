"""The same study on a real SLURM cluster: same results, whatever is killed on the way."""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.run.cluster import Cluster, missing
from tests.run.conftest import ROOT, Checkout

STUDY = "tests/run/cluster.yaml"

pytestmark = pytest.mark.skipif(
    bool(missing()),
    reason=f"no SLURM here: {', '.join(missing())} missing (apt install slurm-wlm munge)",
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("slurm") / "cluster") as running:
        yield running


@pytest.fixture(autouse=True)
def whole_cluster(request):
    """Leave no job and no dead node to the next test."""
    yield
    if "cluster" in request.fixturenames:
        running = request.getfixturevalue("cluster")
        running.revive()
        running.wait_until_idle()


def tallied(path: Path) -> Checkout:
    """A checkout that counts units of work: epochs of trainings, blocks of extractions.

    Each is a line of the file `tally`, written by the code that does the work.
    """
    checkout = Checkout.new(path)
    tally = 'open("tally", "a").write(f"{} {}\\n")'
    checkout.edit(
        "workflow/lib/outputs/store.py",
        "                logits, features = compute(rows) if start else first\n",
        "                logits, features = compute(rows) if start else first\n"
        f"                {tally.format('{path}', '{start}')}\n",
    )
    checkout.edit(
        "workflow/lib/models/train/loop.py",
        "        if not sums.isfinite().all():\n",
        f"        {tally.format('{resume}', '{epoch}')}\n        if not sums.isfinite().all():\n",
    )
    # A site's own numbers.
    checkout.edit("profiles/slurm/config.yaml", "gpu_cpus: 4 ", "gpu_cpus: 1 ")
    return checkout


def units(checkout: Checkout) -> list[str]:
    path = checkout.path / "tally"
    return path.read_text().splitlines() if path.exists() else []


def take_interruptions() -> None:
    """Let Ctrl-C through: what a shell starts in the background begins by ignoring it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


# Snakemake, asking every second what has ended: by itself it waits ten seconds longer each time.
SNAKEMAKE = [sys.executable, "-c", """
from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor
Executor.next_seconds_between_status_checks = property(lambda self: 1, lambda self, value: None)
main()
"""]  # fmt: skip


class Submission:
    """A Snakemake that hands its jobs to a cluster."""

    def __init__(self, checkout: Checkout, cluster: Cluster, *arguments: str):
        self.log = checkout.path / f"snakemake-{time.monotonic_ns()}.log"
        command = [
            *SNAKEMAKE, *arguments, "--profile", "profiles/slurm", "--configfile", STUDY,
        ]  # fmt: skip
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command, cwd=checkout.path, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=take_interruptions,
                env={k: v for k, v in cluster.environment.items() if not k.startswith("PYTEST")},
            )  # fmt: skip

    def wait(self, seconds: float = 900) -> str:
        """Wait for a good end; gives the output."""
        assert self.process.wait(seconds) == 0, self.log.read_text()[-20000:]
        return self.log.read_text()


def submit(checkout: Checkout, cluster: Cluster, *arguments: str) -> str:
    return Submission(checkout, cluster, *arguments).wait()


def until(condition, seconds: float = 300) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.1)


def assert_same(one: Path, other: Path) -> None:
    """Check that two folders of results hold the same, but for times and what was measured."""

    def files(folder: Path) -> set[str]:
        every = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
        return {
            f
            for f in every
            if not re.match(r"(logs|benchmarks)/|\.lock|.*\.snakemake_timestamp", f)
        }

    assert files(one) == files(other)
    # Images a second are measured, and these show them; SVG, PDF and HTML hold dates or such.
    measured = ("recommendations.tsv", "selection/recommendations.tsv", "figures/pareto", "report.")
    for name in sorted(files(one)):
        proven = re.sub(r"(^|/)\.(.+)\.sha256$", r"\1\2", name)
        if not proven.startswith(measured) and not proven.endswith((".pdf", ".svg")):
            assert_same_file(one / name, other / name)


def assert_same_file(one: Path, other: Path) -> None:
    """Check that two results hold the same, but for the measured speed in an outputs file."""
    if one.suffix != ".h5":
        assert one.read_bytes() == other.read_bytes(), other
        return
    with h5py.File(one) as first, h5py.File(other) as second:
        assert set(first) == set(second)
        for key in first:
            if isinstance(first[key], h5py.Dataset):
                np.testing.assert_array_equal(first[key][:], second[key][:], f"{other}: {key}")
        # Inputs hold dates, and the seal is of all attributes.
        for key in set(first.attrs) - {"images_per_second", "inputs", "seal"}:
            assert first.attrs[key] == second.attrs[key], f"{other}: {key}"


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Checkout:
    """The study, run on this machine without a cluster."""
    checkout = tallied(tmp_path_factory.mktemp("local"))
    checkout.run(study=STUDY)
    return checkout


def pause_a_job(cluster: Cluster) -> bool:
    """Pause a running job; gives whether one is paused, which SLURM says a moment later."""
    for number in cluster.jobs("RUNNING")[:1]:
        with contextlib.suppress(RuntimeError):  # it has just ended
            cluster.run("scancel", "--signal=STOP", "--full", number)
    return bool(cluster.jobs("STOPPED"))


def interrupt(how: str, checkout: Checkout, cluster: Cluster, submission: Submission) -> int:
    """Kill something; gives the number of jobs that were at work on what was killed."""
    running = cluster.jobs("RUNNING")
    if how == "snakemake":
        # At once, as when the login node dies: its jobs go on, until the next run ends them. One is
        # paused, or all might have ended by themselves by then.
        until(lambda: pause_a_job(cluster))
        running = cluster.jobs("RUNNING", "STOPPED")
        os.killpg(submission.process.pid, signal.SIGKILL)
        submission.process.wait()
        checkout.run("--unlock", study=STUDY)
        return len(running)
    if how == "ctrl-c":
        submission.process.send_signal(signal.SIGINT)
        submission.process.wait(120)
        return len(running)
    if how == "job":
        if running:
            with contextlib.suppress(RuntimeError):  # it has just ended
                cluster.run("scancel", random.choice(running))
        return min(1, len(running))
    on_node = len(cluster.run("squeue", "--noheader", "--states=RUNNING", "--nodelist=gpu1",
                              "--format=%i").split())  # fmt: skip
    cluster.kill_node("gpu1")
    time.sleep(3)
    cluster.start_node("gpu1")
    return on_node


def run_interrupted(
    checkout: Checkout, cluster: Cluster, kinds: list[str], *targets: str
) -> tuple[list[str], list[int]]:
    """Run the study, interrupted at random moments; give the same command again until it ends.

    Gives what Snakemake said each time, and of each interruption how many jobs it hit at work.
    """
    logs, hit = [], []

    def start() -> Submission:
        submission = Submission(checkout, cluster, *targets)
        logs.append(submission.log)
        return submission

    submission = start()
    random.seed(1)
    # All of the 154 units of work but the last.
    moments = sorted(random.sample(range(2, 130), len(kinds)))
    for moment, how in zip(moments, kinds, strict=True):
        while len(set(units(checkout))) < moment:
            if submission.process.poll() is not None:
                submission = start()
            time.sleep(0.1)
        time.sleep(random.random())
        if submission.process.poll() is not None:
            submission = start()
            time.sleep(3)
        hit.append(interrupt(how, checkout, cluster, submission))
    while submission.process.wait(900) != 0:
        assert len(logs) < 15
        submission = start()
    return [log.read_text() for log in logs], hit


@pytest.fixture(scope="module")
def remote(tmp_path_factory, cluster) -> tuple[Checkout, list[str], list[int]]:
    """The study, run on the cluster with interruptions: see `run_interrupted`."""
    checkout = tallied(tmp_path_factory.mktemp("remote"))
    kinds = ["snakemake", "job", "node", "ctrl-c"]
    return checkout, *run_interrupted(checkout, cluster, kinds)


def test_an_interrupted_study_on_a_cluster_has_the_results_of_one_on_a_single_machine(
    local, remote
):
    checkout, *_ = remote
    assert_same(local.path / "results/cluster", checkout.path / "results/cluster")


def test_nothing_is_left_to_do_and_nothing_is_left_behind(remote):
    checkout, *_ = remote
    assert checkout.planned(study=STUDY) == {}
    assert not list((checkout.path / "results").rglob("*.part"))
    assert not list((checkout.path / "results").rglob("resume.pt"))
    assert {path.name for path in (checkout.path / "results").rglob("*.lock")} == {".lock"}


def test_an_interruption_costs_a_unit_of_work_at_most(local, remote):
    checkout, logs, hit = remote
    assert any("Cancelled jobs of an earlier run" in log for log in logs)
    done = units(checkout)
    assert set(done) == set(units(local))
    assert len(done) - len(set(done)) <= sum(hit)


def test_the_cluster_sees_few_jobs(remote):
    checkout, *_ = remote
    logs = [path.read_text() for path in (checkout.path / ".snakemake/log").glob("*.log")]
    done = len(list((checkout.path / "results/cluster/benchmarks").rglob("*.tsv")))
    submitted = sum(len(re.findall("submitted with SLURM jobid", log)) for log in logs)
    assert 0 < submitted < done * 3 / 4  # those that were interrupted count again


def test_results_brought_home_are_redrawn_there_without_a_rerun(remote, tmp_path):
    checkout, *_ = remote
    home = tallied(tmp_path)
    for name in ("results", ".snakemake/metadata"):
        leave_out = shutil.ignore_patterns("models", "outputs")
        shutil.copytree(
            checkout.path / name, home.path / name, ignore=leave_out, dirs_exist_ok=True
        )
    assert home.planned(study=STUDY) == {}
    home.edit(
        "workflow/scripts/figures/figure2.py",
        "Improvement (percentage points)",
        "Improvement (points)",
    )
    assert home.planned(study=STUDY) == {"figure2": 1, "report": 1}


PROBE = """
localrules: all
rule all:
    input: [f"{rule}{n}.txt" for rule in ("train", "pairs") for n in (1, 2)], "extract1.txt"
rule train:
    output: "train{n}.txt"
    shell: "echo run $SLURM_JOB_PARTITION gpus ${{CUDA_VISIBLE_DEVICES-none}} >> {output}; sleep 12"
rule extract:
    input: "train1.txt", "train2.txt"
    output: "extract{n}.txt"
    shell: "echo run $SLURM_JOB_PARTITION gpus ${{CUDA_VISIBLE_DEVICES-none}} >> {output}"
rule pairs:
    output: "pairs{n}.txt"
    shell: "echo run $SLURM_JOB_PARTITION gpus ${{CUDA_VISIBLE_DEVICES-none}} >> {output}"
"""


def test_jobs_see_the_gpus_they_were_given_and_run_once(cluster, tmp_path):
    # As the last file of rules ends, too.
    end = "if workflow.remote_exec:\n    run_rules_here(workflow)\n"
    assert Path("workflow/rules/run.smk").read_text().endswith(end)
    here = "from workflow.lib.run.slurm import run_rules_here\n"
    (tmp_path / "Snakefile").write_text(here + PROBE + end)
    profile = Path("profiles/slurm/config.yaml").read_text()
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile/config.yaml").write_text(profile.replace("gpu_cpus: 4 ", "gpu_cpus: 1 "))
    subprocess.run(
        [*SNAKEMAKE, "--profile", "profile", "--resources", "gpu=2",
         "--set-resources", "train:slurm_partition=gpu", "train:gpu=1",
         "extract:slurm_partition=gpu", "extract:gpu=2"],
        cwd=tmp_path, env=cluster.environment | {"PYTHONPATH": str(ROOT)}, check=True,
    )  # fmt: skip
    seen = {path.stem: path.read_text().splitlines() for path in tmp_path.glob("*.txt")}
    assert sorted([seen["train1"], seen["train2"]]) == [["run gpu gpus 0"], ["run gpu gpus 1"]]
    assert seen["extract1"] == ["run gpu gpus 0,1"]
    assert seen["pairs1"] == seen["pairs2"] == ["run cpu gpus none"]


def test_a_job_out_of_memory_or_time_gets_more_and_goes_on_from_its_part(cluster, local, tmp_path):
    # All is done but two extractions.
    shutil.copytree(local.path, tmp_path, dirs_exist_ok=True)
    checkout = Checkout(tmp_path)
    (tmp_path / "tally").unlink()
    for model in ("base", "low"):
        shutil.rmtree(tmp_path / "results/cluster/outputs" / model)
    # From block 3 on, one takes more memory than is asked for at first; the other more time.
    checkout.edit(
        "workflow/lib/models/inference.py",
        "        start, stop = int(rows[0]), int(rows[-1]) + 1\n",
        "        start, stop = int(rows[0]), int(rows[-1]) + 1\n"
        "        import os, time\n"
        "        if start >= 3 * 512 and self.model == 'low':\n"
        "            self.ballast = bytearray(os.urandom(2**20)) * 1500\n"
        "            time.sleep(2)\n"
        "        if start >= 4 * 512 and self.model == 'base':\n"
        "            time.sleep(6)\n",
    )
    targets = [f"results/cluster/outputs/{model}/test.h5" for model in ("base", "low")]
    output = submit(
        checkout, cluster, *targets, "--group-components", "outputs=1", "--set-resources",
        "extract:slurm_partition=gpu", "extract:gpu=1", "extract:mem_mb=1500 * attempt",
        "extract:runtime=attempt * attempt",
    )  # fmt: skip
    assert output.count("Trying to restart") >= 2
    counts = Counter(units(checkout))
    for model in ("base", "low"):
        log = (checkout.path / f"results/cluster/logs/extract/{model}.log").read_text()
        done = int(re.search(r"resuming at image (\d+) of 10000", log)[1])
        assert done >= 3 * 512, log
        # Fewer blocks the second time; none but the one at work was computed twice.
        blocks = {key: n for key, n in counts.items() if f"outputs/{model}/test.h5" in key}
        assert len(blocks) == 20
        assert sum(blocks.values()) <= 21


def test_one_model_that_fails_holds_no_other_of_its_group_up(cluster, local, tmp_path):
    # All is done but two extractions, of which the first to begin fails.
    shutil.copytree(local.path, tmp_path, dirs_exist_ok=True)
    checkout = Checkout(tmp_path)
    outputs = [tmp_path / "results/cluster/outputs" / model for model in ("base", "low")]
    for folder in outputs:
        shutil.rmtree(folder)
    checkout.edit(
        "workflow/scripts/extract.py",
        "    torch.set_num_threads(threads)\n",
        "    torch.set_num_threads(threads)\n"
        "    from pathlib import Path\n"
        "    if not Path('first').exists():\n"
        "        Path('first').touch()\n"
        "        raise InputError('the first one fails')\n",
    )
    targets = [f"results/cluster/outputs/{folder.name}/test.h5" for folder in outputs]
    failing = Submission(checkout, cluster, "--retries", "0", *targets)
    assert failing.process.wait(600) == 1
    assert "the first one fails" in failing.log.read_text()
    done = [folder for folder in outputs if (folder / "test.h5.part").exists()]
    assert len(done) == 1
    before = (done[0] / "test.h5.part").stat().st_ino
    # Nothing of the other one is computed again.
    submit(checkout, cluster, *targets)
    assert (done[0] / "test.h5").stat().st_ino == before
    assert all((folder / "test.h5").exists() for folder in outputs)


def test_a_job_that_fails_for_good_names_its_log_and_holds_no_other_up(cluster, tmp_path):
    checkout = tallied(tmp_path)
    checkout.edit(STUDY, "  low: {", "  low: {learning_rate: 1.0e+30, ")
    networks = [f"results/cluster/models/{key}/checkpoint.safetensors" for key in ("base", "low")]
    submission = Submission(checkout, cluster, "--retries", "0", *networks)
    assert submission.process.wait(600) == 1
    output = submission.log.read_text()
    assert "results/cluster/logs/train/low.log" in output
    assert "lower the learning_rate" in output
    assert [(checkout.path / network).exists() for network in networks] == [True, False]
