"""Time `make compare` on two files of logits of 10,000 images and 1,000 classes.

Prints seconds from the command to the answer in the terminal, and to the report, with the processor
seconds of each: on a machine that does other things, too, only the latter mean something. The first
run of a checkout compiles kernels; the second does not.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
ANSWERED = "Drawing the report"


def write_files(folder: Path, images: int, classes: int) -> list[str]:
    """Write logits of two models that have something in common, and labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(classes, size=images)
    ids = np.array([f"image-{number:06d}" for number in range(images)])
    common = rng.normal(size=(images, classes)).astype(np.float32)
    arguments = []
    for name, height in (("A", 3.2), ("B", 3.0)):
        logits = common + 0.6 * rng.normal(size=common.shape).astype(np.float32)
        logits[np.arange(images), labels] += height + 2 * rng.normal(size=images)
        np.savez(folder / f"{name}.npz", logits=logits, ids=ids)
        arguments.append(f"{name}={folder / name}.npz")
    with open(folder / "labels.csv", "w") as file:
        file.write("id,label\n")
        file.writelines(f"{i},{label}\n" for i, label in zip(ids, labels, strict=True))
    return [*arguments, "--labels", str(folder / "labels.csv")]


def main() -> None:
    """Print the times of two runs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=1_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-u", "-m", "workflow.compare", "--name", "benchmark-compare"]
        command += write_files(Path(folder), given.images, given.classes)
        for run in ("first", "second"):
            print(f"{run} run: {measure(command)}", flush=True)


def measure(command: list[str]) -> str:
    """Run a comparison, and give its times."""
    before, start, answered = used(), time.monotonic(), None
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        spent = Path(f"/proc/{process.pid}/stat")
        for line in process.stdout or ():
            if line.startswith(ANSWERED):
                ticks = spent.read_text().rpartition(")")[2].split()[11:13]
                answered = time.monotonic() - start, sum(map(int, ticks)) / 100
    if process.returncode or answered is None:
        raise SystemExit(f"{' '.join(command)} failed")
    return (
        f"answer after {answered[0]:.1f} s ({answered[1]:.1f} processor seconds), report after "
        f"{time.monotonic() - start:.1f} s ({used() - before:.1f})"
    )


def used() -> float:
    """Processor seconds of all children that have ended."""
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


if __name__ == "__main__":
    main()
