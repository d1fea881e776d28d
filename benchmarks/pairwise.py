"""Measure the all-pairs engine against a plain computation, and against just reading the logits.

Writes synthetic logits of realistic confidence and agreement, float32 in the layout of outputs
files, and prints in one run: the time to read them once, the engine's time and peak memory, the
time of the dense computation in NumPy pair by pair, and whether both agree on every pair.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from workflow.lib.ensembles.combine import COMBINATIONS
from workflow.lib.ensembles.logits import Logits
from workflow.lib.ensembles.pairs import count_pairs
from workflow.lib.outputs.store import BLOCK


def write_logits(folder: Path, models: int, examples: int, classes: int) -> None:
    """Write logits of models that share what makes an example hard.

    Each example has a label and a few classes that are easily taken for it; models see the same
    evidence for them, plus noise of their own. This gives accuracies and inconsistencies as
    ImageNet models have; the program prints them.
    """
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, examples)
    near = rng.integers(0, classes, (examples, 5))
    evidence = rng.normal(0, 1.6, (examples, 5)) + 4
    own = rng.normal(8.5, 2.5, examples)
    rows = np.arange(examples)
    for model in range(models):
        logits = rng.normal(0, 1, (examples, classes)).astype(np.float32)
        spread = 0.15 + 0.75 * model / models
        np.add.at(logits, (rows[:, None], near), evidence + rng.normal(0, spread, (examples, 5)))
        logits[rows, labels] += own + rng.normal(0, spread, examples)
        with h5py.File(folder / f"{model}.h5", "w") as file:
            file.create_dataset("logits", data=logits, chunks=(min(BLOCK, examples), classes))
    np.save(folder / "labels.npy", labels)


def read_once(paths: list[Path]) -> float:
    """Seconds to read all logits once, block by block."""
    start = time.perf_counter()
    for path in paths:
        with h5py.File(path) as file:
            for row in range(0, len(file["logits"]), BLOCK):
                file["logits"][row : row + BLOCK]
    return time.perf_counter() - start


def engine(folder: Path, models: int, threads: int) -> None:
    """Run the engine alone, in a process of its own, and print what it took as JSON."""
    labels = np.load(folder / "labels.npy")
    few = Logits([np.zeros((1, 3), np.float32)] * 2, np.zeros(1, int), [1.0, 1.0])
    count_pairs(few)  # compiles, or loads what was compiled before
    files = [h5py.File(folder / f"{model}.h5", rdcc_nbytes=0) for model in range(models)]
    start = time.perf_counter()
    arrays = [file["logits"] for file in files]
    counts = count_pairs(Logits(arrays, labels, np.linspace(0.7, 1.5, models)), threads=threads)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    np.savez(
        folder / "counts.npz",
        both_right=counts.both_right,
        **{
            f"{combination}_converted": counts.converted[combination]
            for combination in COMBINATIONS
        },
        **{f"{combination}_rescued": counts.rescued[combination] for combination in COMBINATIONS},
    )
    print(json.dumps({"seconds": seconds, "peak_mb": peak}))


def dense(folder: Path, models: int, counts, sample: int) -> tuple[float, int]:
    """Combine pairs by adding all classes, and compare; gives seconds and pairs that differ.

    Scores of all models are kept in memory for a slice of the examples at a time, so only the
    additions, the maxima and the comparisons are timed, and not the softmax.
    """
    labels = np.load(folder / "labels.npy")
    temperatures = np.linspace(0.7, 1.5, models)
    found = {name: np.zeros((models, models), np.int64) for name in counts.files}
    seconds = 0.0
    for row in range(0, len(labels), sample):
        rows = slice(row, min(row + sample, len(labels)))
        scores = {combination: [] for combination in COMBINATIONS}
        for model in range(models):
            with h5py.File(folder / f"{model}.h5") as file:
                scaled = file["logits"][rows].astype(np.float64) / temperatures[model]
            scores["logit"].append(scaled)
            exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
            scores["probability"].append(exponentials / exponentials.sum(axis=1, keepdims=True))
        right = [s.argmax(axis=1) == labels[rows] for s in scores["logit"]]
        start = time.perf_counter()
        for a in range(models):
            for b in range(a, models):
                both, one = right[a] & right[b], right[a] ^ right[b]
                found["both_right"][a, b] += both.sum()
                if a == b:
                    continue
                for combination in COMBINATIONS:
                    top = (scores[combination][a] + scores[combination][b]).argmax(
                        axis=1
                    ) == labels[rows]
                    found[f"{combination}_converted"][a, b] += (top & one).sum()
                    found[f"{combination}_rescued"][a, b] += (top & ~one & ~both).sum()
        seconds += time.perf_counter() - start
        print(f"  dense: {rows.stop} of {len(labels)} examples", file=sys.stderr, flush=True)
    upper = np.triu_indices(models)
    differ = np.zeros(len(upper[0]), bool)
    for name in counts.files:
        differ |= found[name][upper] != counts[name][upper]
    return seconds, int(differ.sum())


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=80)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--engine", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engine:
        engine(arguments.engine, arguments.models, arguments.threads)
        return
    size = 4 * arguments.models * arguments.examples * arguments.classes
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if shutil.disk_usage(folder).free < 1.2 * size:
            sys.exit(f"{folder} needs {size / 1e9:.1f} GB; set TMPDIR to a larger disk")
        write_logits(folder, arguments.models, arguments.examples, arguments.classes)
        paths = [folder / f"{model}.h5" for model in range(arguments.models)]
        read_once(paths)  # so that both find the files in memory
        command = [sys.executable, __file__, "--engine", str(folder)]
        for option in ("models", "examples", "classes", "threads"):
            command += [f"--{option}", str(getattr(arguments, option))]
        reads, runs = [], []
        for _ in range(3):
            reads.append(read_once(paths))
            runs.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
        read, took = float(np.median(reads)), float(np.median([run["seconds"] for run in runs]))
        counts = np.load(folder / "counts.npz")
        # As much memory as 500 examples of all models take.
        seconds, differ = dense(folder, arguments.models, counts, 500)
        accuracy = counts["both_right"].diagonal() / arguments.examples
        right = counts["both_right"].diagonal()
        inconsistency = (right[:, None] + right - 2 * counts["both_right"]) / arguments.examples
        inconsistency = inconsistency[np.triu_indices(arguments.models, 1)]
    pairs = arguments.models * (arguments.models - 1) // 2
    print(
        f"{arguments.models} models x {arguments.examples} examples x {arguments.classes} classes, "
        f"{pairs} pairs, both means, {arguments.threads} threads\n"
        f"accuracy {accuracy.min():.3f} to {accuracy.max():.3f}, inconsistency "
        f"{inconsistency.min():.3f} to {inconsistency.max():.3f}\n"
        f"read once          {read:8.2f} s (median of 3)\n"
        f"engine             {took:8.2f} s (median of 3), {took / read:.1f} times reading, "
        f"peak memory {max(run['peak_mb'] for run in runs):.0f} MB\n"
        f"dense, pair by pair{seconds:8.2f} s, {seconds / took:.1f} times the engine\n"
        f"pairs that differ from the dense answer: {differ}"
    )


if __name__ == "__main__":
    main()
