"""Read a finished study's own benchmark files, and time a run with nothing to do.

Prints the time and peak memory of the jobs of each rule, and how long Snakemake takes to find that
there is nothing to do. Run it after `make run`.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="default")
    folder = Path("results", parser.parse_args().study, "benchmarks")
    files = sorted(folder.rglob("*.tsv"))
    if not files:
        sys.exit(f"{folder} holds no benchmark files; run the study first")
    jobs = pd.concat([pd.read_csv(file, sep="\t").assign(file=file) for file in files])
    jobs["rule"] = [file.relative_to(folder).with_suffix("").parts[0] for file in jobs["file"]]
    by_rule = jobs.groupby("rule").agg(
        jobs=("s", "size"), seconds=("s", "sum"), longest=("s", "max"), peak_mb=("max_rss", "max")
    )
    print(by_rule.sort_values("seconds", ascending=False).round(1).to_string())
    largest = jobs.nlargest(1, "max_rss").iloc[0]
    print(
        f"\n{len(jobs)} jobs, {jobs['s'].sum():.0f} s one after another; most memory: "
        f"{largest['max_rss']:.0f} MB ({largest['file']})"
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
