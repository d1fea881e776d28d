"""Measure the greedy search against a plain computation, and against just reading the logits.

Writes synthetic logits of models that share most of their mistakes, float32 in the layout of
outputs files, and prints in one run: the time to read them once, the search's time and peak memory
for a number of steps, the time of the dense search, which reads all logits again at every step, and
how far that goes the same way. `--no-dense` leaves the last one out.
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
from workflow.lib.ensembles.greedy import grow, read_candidates
from workflow.lib.ensembles.logits import Logits
from workflow.lib.ensembles.score import score_ensembles
from workflow.lib.outputs.store import BLOCK

ROWS = 5_000  # examples whose logits are made at a time


def write_logits(folder: Path, models: int, examples: int, classes: int) -> None:
    """Write logits of models that share what makes an example hard.

    Each example has a label and a few classes that are easily taken for it; models see the same
    evidence for them, plus noise of their own. This gives accuracies as ImageNet models have; the
    program prints them.
    """
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, examples)
    near = rng.integers(0, classes, (examples, 5))
    evidence = rng.normal(0, 1.6, (examples, 5)) + 4
    own = rng.normal(8.4, 2.5, examples)
    for model in range(models):
        rng = np.random.default_rng([0, model])
        spread = 0.5 + 0.8 * model / models
        with h5py.File(folder / f"{model}.h5", "w") as file:
            shape, chunks = (examples, classes), (min(BLOCK, examples), classes)
            logits = file.create_dataset("logits", shape, np.float32, chunks=chunks)
            for start in range(0, examples, ROWS):
                block = slice(start, min(start + ROWS, examples))
                rows = np.arange(block.stop - start)
                values = rng.standard_normal((len(rows), classes), np.float32)
                noise = rng.normal(0, spread, (len(rows), 6))
                np.add.at(values, (rows[:, None], near[block]), evidence[block] + noise[:, 1:])
                values[rows, labels[block]] += own[block] + noise[:, 0]
                logits[block] = values
    np.save(folder / "labels.npy", labels)


def temperatures(models: int) -> np.ndarray:
    """Of each model."""
    return np.linspace(0.7, 1.5, models)


def read_once(paths: list[Path]) -> float:
    """Seconds to read all logits once, block by block."""
    start = time.perf_counter()
    for path in paths:
        with h5py.File(path, rdcc_nbytes=0) as file:
            for row in range(0, len(file["logits"]), BLOCK):
                file["logits"][row : row + BLOCK]
    return time.perf_counter() - start


def peak_mb() -> float:
    """Most memory that this process has held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def engine(folder: Path, models: int, steps: int, threads: int) -> None:
    """Run the search alone, in a process of its own, and print what it took as JSON."""
    labels = np.load(folder / "labels.npy")
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(4, 40)).astype(np.float32) for _ in range(3)]
    few = Logits(arrays, np.zeros(4, int), np.ones(3))
    for combination in COMBINATIONS:  # compiles, or loads what was compiled before
        warm = read_candidates(few)
        grow(warm, 0, [1, 2], size=3, combination=combination, replacement=True)
        score_ensembles(few, [(combination, [0, 1])])
    files = [h5py.File(folder / f"{model}.h5", rdcc_nbytes=0) for model in range(models)]
    logits = Logits([file["logits"] for file in files], labels, temperatures(models))
    result = {"before_mb": peak_mb()}
    start = time.perf_counter()
    candidates = read_candidates(logits, threads=threads)
    result["reading"] = time.perf_counter() - start
    pool = list(range(models))
    for combination in COMBINATIONS:
        start = time.perf_counter()
        own = {"size": steps + 1, "combination": combination, "replacement": True}
        grown = grow(candidates, 0, pool, threads=threads, **own)
        result[combination] = {
            "seconds": time.perf_counter() - start,
            "members": grown.members,
            "correct": grown.correct,
            "whole_rows": len(candidates.cache),
        }
    result["peak_mb"] = peak_mb()
    del candidates
    start = time.perf_counter()
    ensembles = [(combination, result[combination]["members"]) for combination in COMBINATIONS]
    right = score_ensembles(logits, ensembles, threads=threads)
    result["scoring"] = time.perf_counter() - start
    for combination, found in zip(COMBINATIONS, right, strict=True):
        assert found.sum(axis=1).tolist() == result[combination]["correct"]
    print(json.dumps(result))


def scores(values: np.ndarray, temperature: float, combination: str) -> np.ndarray:
    """What a member adds, spelt out."""
    scaled = values.astype(np.float64) / temperature
    if combination == "logit":
        return scaled
    exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def dense(
    folder: Path, models: int, members: list[int], combination: str
) -> tuple[float, list, list]:
    """Search by reading and adding everything at every step; gives seconds and the path."""
    labels = np.load(folder / "labels.npy")
    files = [h5py.File(folder / f"{model}.h5", rdcc_nbytes=0) for model in range(models)]
    blocks = [slice(row, row + BLOCK) for row in range(0, len(labels), BLOCK)]
    start = time.perf_counter()
    total = np.zeros(files[0]["logits"].shape)
    path, correct, best = [], [], 0
    while True:
        for block in blocks:
            total[block] += scores(
                files[best]["logits"][block], temperatures(models)[best], combination
            )
        path.append(best)
        correct.append(int((total.argmax(axis=1) == labels).sum()))
        if len(path) == len(members):
            return time.perf_counter() - start, path, correct
        counts = np.zeros(models, int)
        for model, file in enumerate(files):
            for block in blocks:
                more = scores(file["logits"][block], temperatures(models)[model], combination)
                counts[model] += ((total[block] + more).argmax(axis=1) == labels[block]).sum()
        best = int(np.argmax(counts))
        print(f"  dense, {combination}: step {len(path)}", file=sys.stderr, flush=True)


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=80)
    parser.add_argument("--examples", type=int, default=5_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-dense", action="store_true")
    parser.add_argument("--engine", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engine:
        engine(arguments.engine, arguments.models, arguments.steps, arguments.threads)
        return
    size = 4 * arguments.models * arguments.examples * arguments.classes
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if shutil.disk_usage(folder).free < 1.2 * size:
            sys.exit(f"{folder} needs {size / 1e9:.1f} GB; set TMPDIR to a larger disk")
        write_logits(folder, arguments.models, arguments.examples, arguments.classes)
        paths = [folder / f"{model}.h5" for model in range(arguments.models)]
        read_once(paths)  # so that both find the files in memory, if they fit
        read = read_once(paths)
        command = [sys.executable, __file__, "--engine", str(folder)]
        for option in ("models", "steps", "threads"):
            command += [f"--{option}", str(getattr(arguments, option))]
        run = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        took = json.loads(run.stdout)
        accuracy = [
            took[combination]["correct"][0] / arguments.examples for combination in COMBINATIONS
        ]
        print(
            f"{arguments.models} models x {arguments.examples} examples x {arguments.classes} "
            f"classes, {arguments.threads} threads, with replacement; {size / 1e9:.1f} GB\n"
            f"read once         {read:8.2f} s\n"
            f"read and sort     {took['reading']:8.2f} s, {took['reading'] / read:.1f} times that"
        )
        for combination, alone in zip(COMBINATIONS, accuracy, strict=True):
            own = took[combination]
            both = took["reading"] + own["seconds"]
            print(
                f"{combination}: {len(own['members']) - 1} steps, accuracy {alone:.4f} to "
                f"{own['correct'][-1] / arguments.examples:.4f}\n"
                f"  steps           {own['seconds']:8.2f} s; with reading {both:.2f} s, "
                f"{both / read:.1f} times reading; {own['whole_rows']} rows held whole by then"
            )
            if not arguments.no_dense:
                seconds, path, correct = dense(
                    folder, arguments.models, own["members"], combination
                )
                assert path == own["members"], (path, own["members"])
                assert correct == own["correct"], (correct, own["correct"])
                print(
                    f"  dense           {seconds:8.2f} s, the same path; {seconds / both:.1f} "
                    f"times as long as with reading, "
                    f"{seconds / own['seconds']:.1f} times the steps alone"
                )
        print(
            f"scoring both paths{took['scoring']:8.2f} s\n"
            f"peak memory of the search {took['peak_mb']:.0f} MB, of which libraries "
            f"{took['before_mb']:.0f} MB"
        )


if __name__ == "__main__":
    main()
