"""What a cluster costs: run a study on this machine and on SLURM, and compare; plan a large one.

Times the dry run of a study of a thousand models, and counts its jobs. Then it starts the test
cluster (tests/run/cluster.py), runs the small study of its tests on it and without it, one job at a
time, and prints for each how long jobs took beyond their scripts' own work. Waiting in SLURM's
queue, and until Snakemake asks SLURM again, is latency and not counted. At last it interrupts the
study ten times at random moments, and counts the units of work (epochs, blocks of images) that were
done twice.

On 2 cores of a virtual machine, SLURM 22.05, Snakemake 9.27.1, plugin 2.8.0:

    1000 models planned in 7.1 s: 2062 jobs, most of them 998 train and 1000 extract
    here: 51 jobs, 129 s, of them work 126 s: 0.1 s a job
    on the cluster: 51 jobs as 19 of SLURM's, 347 s; these took 158 s, of them work 134 s: 0.5 s a
    job
    overhead of the cluster: 0.4 s a job
    154 units of work, 10 interruptions that hit 11 jobs at work, the same command 4 times: same
    files, 1 units done twice
"""

import argparse
import re
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.run.cluster import Cluster, missing  # noqa: E402
from tests.run.conftest import Checkout  # noqa: E402
from tests.run.test_slurm import (  # noqa: E402
    STUDY,
    Submission,
    assert_same,
    run_interrupted,
    tallied,
    units,
)

KINDS = ["snakemake", "job", "node", "job", "ctrl-c", "node", "job", "snakemake", "node", "job"]


def main() -> None:
    """Print both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    models = parser.parse_args().models
    with tempfile.TemporaryDirectory() as folder:
        plan(Path(folder, "plan"), models)
        if missing():
            print(f"no SLURM here: {', '.join(missing())} missing (apt install slurm-wlm munge)")
        else:
            overhead(Path(folder))


def overhead(folder: Path) -> None:
    """Print seconds a job beyond the work of its script, here and on the cluster."""
    local = tallied(folder / "local")
    start = time.monotonic()
    local.run("--cores", "1", study=STUDY)
    wall, (jobs, seconds) = time.monotonic() - start, own_work(local)
    here = (wall - seconds) / jobs
    print(f"here: {jobs} jobs, {wall:.0f} s, of them work {seconds:.0f} s: {here:.1f} s a job")

    with Cluster(folder / "cluster") as cluster:
        remote = tallied(folder / "remote")
        start = time.monotonic()
        Submission(remote, cluster, "--jobs", "1").wait(3600)  # beside one another they would wait
        wall, (jobs, seconds) = time.monotonic() - start, own_work(remote)
        record = (cluster.folder / "jobs").read_text()
        times = [datetime.fromisoformat(t) for t in re.findall(r"(?:Start|End)Time=(\S+)", record)]
        spans = [(end - start).seconds for start, end in zip(times[::2], times[1::2], strict=True)]
        there = (sum(spans) - seconds) / jobs
        print(
            f"on the cluster: {jobs} jobs as {len(spans)} of SLURM's, {wall:.0f} s; these took "
            f"{sum(spans)} s, of them work {seconds:.0f} s: {there:.1f} s a job"
        )
        print(f"overhead of the cluster: {there - here:.1f} s a job")

        study = tallied(folder / "interrupted")
        logs, hit = run_interrupted(study, cluster, KINDS)
        assert_same(local.path / "results/cluster", study.path / "results/cluster")
        done = units(study)
        print(
            f"{len(set(done))} units of work, {len(KINDS)} interruptions that hit {sum(hit)} jobs "
            f"at work, the same command {len(logs)} times: same files, "
            f"{len(done) - len(set(done))} units done twice"
        )


def own_work(checkout: Checkout) -> tuple[int, float]:
    """Count a study's jobs, and the seconds that their scripts took, which Snakemake notes."""
    files = list((checkout.path / "results").glob("*/benchmarks/**/*.tsv"))
    return len(files), sum(pd.read_csv(file, sep="\t")["s"].sum() for file in files)


def plan(folder: Path, models: int) -> None:
    """Print how long Snakemake takes to plan a study of many models, and how many jobs it has."""
    checkout = Checkout.new(folder)
    text = (folder / STUDY).read_text()
    more = "".join(f"  m{n}: {{category: reinit, seed: {n + 6}}}\n" for n in range(models - 6))
    (folder / "large.yaml").write_text(text.replace("study: cluster", "study: large") + more)
    start = time.monotonic()
    output = checkout.run("--dry-run", "--quiet", "rules", study="large.yaml")
    seconds = time.monotonic() - start
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE))
    print(f"{models} models planned in {seconds:.1f} s: {jobs['total']} jobs, most of them "
          f"{jobs['train']} train and {jobs['extract']} extract")  # fmt: skip


if __name__ == "__main__":
    main()
