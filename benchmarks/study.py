"""Read a finished study's own benchmark files and logs, and time a run with nothing to do.

Prints the time, processor time and peak memory of the jobs of each rule, the share of processor
time that goes into imports, and how long Snakemake takes to find that there is nothing to do. Run
it after `make run`. Processor time is the jobs' own account at the end of their logs, since what
Snakemake samples misses short jobs; Snakemake's own is not in it.
"""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

ACCOUNT = re.compile(r"Processor seconds: ([\d.]+), of which importing: ([\d.]+)")


def processor_seconds(log: Path) -> tuple[float, float]:
    """What a job has used, and what of it before its script's first own line; as its log says."""
    total, importing = ACCOUNT.findall(log.read_text())[-1]
    return float(total), float(importing)


def jobs_of(results: Path) -> pd.DataFrame:
    """What each job of a finished study took, by Snakemake's benchmarks and the jobs' own account.

    Columns are those of the benchmarks, `file`, `rule`, `cpu` and `importing`; none without files.
    """
    folder = results / "benchmarks"
    jobs = pd.DataFrame(
        pd.read_csv(file, sep="\t", na_values="-").iloc[0].to_dict() | {"file": file}
        for file in sorted(folder.rglob("*.tsv"))
    )
    if jobs.empty:
        return jobs
    places = [file.relative_to(folder).with_suffix("") for file in jobs["file"]]
    jobs["rule"] = [place.parts[0] for place in places]
    logs = [(results / "logs" / place).with_suffix(".log") for place in places]
    jobs[["cpu", "importing"]] = [processor_seconds(log) for log in logs]
    return jobs


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="default")
    results = Path("results", parser.parse_args().study)
    jobs = jobs_of(results)
    if jobs.empty:
        sys.exit(f"{results / 'benchmarks'} holds no benchmark files; run the study first")
    by_rule = jobs.groupby("rule").agg(
        jobs=("s", "size"),
        seconds=("s", "sum"),
        longest=("s", "max"),
        cpu=("cpu", "sum"),
        importing=("importing", "sum"),
        peak_mb=("max_rss", "max"),
    )
    print(by_rule.sort_values("seconds", ascending=False).round(1).to_string())
    largest = jobs.nlargest(1, "max_rss").iloc[0]
    cpu, importing = jobs["cpu"].sum(), jobs["importing"].sum()
    print(
        f"\n{len(jobs)} jobs, {jobs['s'].sum():.0f} s one after another; most memory: "
        f"{largest['max_rss']:.0f} MB ({largest['file']})\n"
        f"{cpu:.0f} s of processors, of which {importing:.0f} s ({100 * importing / cpu:.1f} %) "
        f"importing"
    )
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "all"], capture_output=True, text=True
    )
    seconds = time.monotonic() - start
    nothing = "Nothing to be done" in done.stdout + done.stderr
    print(f"`snakemake --cores all` again: {seconds:.1f} s, nothing to do: {nothing}")


if __name__ == "__main__":
    main()
