"""Measure combinations and scores of all pairs, and their cascades, against the engine of pairs.

On the synthetic logits of pairwise.py, in one run: the time of the engine of pairs on the test
images; of fitting the weights of all pairs on the calibration images, of combining all pairs on the
test images and scoring them; and of the curves of all cascades of two at 40 thresholds. Weights of
a sample of pairs are compared with scipy's optimum.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from itertools import combinations
from pathlib import Path

import h5py
import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.pairwise import read_once, write_logits
from workflow.lib.ensembles.cascades import count_cascades
from workflow.lib.ensembles.logits import Logits, Part
from workflow.lib.ensembles.pairs import count_pairs
from workflow.lib.ensembles.scores import score_all
from workflow.lib.ensembles.whole import combine, fit_weights
from workflow.lib.measures.uncertainty import GROUPS, groups

SAMPLE = 5


def opened(folder: Path, models: int) -> Logits:
    """The logits, at temperatures that are far from right."""
    files = [h5py.File(folder / f"{model}.h5", rdcc_nbytes=0) for model in range(models)]
    labels = np.load(folder / "labels.npy")
    return Logits([file["logits"] for file in files], labels, np.linspace(0.7, 1.5, models))


def first(logits: Logits, examples: int) -> Logits:
    """Only the first examples, in memory where they are few."""
    arrays = [array[:examples] for array in logits.arrays]
    return Logits(arrays, logits.labels[:examples], logits.temperatures)


def work(folder: Path, models: int, calibration: int, threads: int, what: str) -> dict:
    """Do one of the works in this process, and say what it took."""
    logits = opened(folder, models)
    few = first(logits.of(range(3)), 8)
    pairs = list(combinations(range(models), 2))
    group = groups(logits.shape[1])
    some = [(0, 1), (0, 2)]
    weights = fit_weights(few, some)  # compiles, or loads what was compiled before
    score_all(combine(few, some, weights.values, group[:8], GROUPS), group[:8])
    count_cascades(few, some, [0.5])
    count_pairs(few)
    times, found = {}, {}
    start, spent = time.perf_counter(), time.process_time()
    if what == "pairs":
        count_pairs(logits, threads=threads)
    elif what == "cascades":
        count_cascades(logits, pairs, np.linspace(0, 1, 40), threads=threads)
    elif what == "scores":
        last = np.arange(logits.shape[1])[-calibration:]
        held_out = Logits(
            [Part(array, last, None) for array in logits.arrays],
            logits.labels[-calibration:],
            logits.temperatures,
        )
        weights = fit_weights(held_out, pairs, threads=threads)
        times["weights"] = time.perf_counter() - start
        combined = combine(logits, pairs, weights.values, group, GROUPS, threads=threads)
        times["combine"] = time.perf_counter() - start - times["weights"]
        score_all(combined, group, threads=threads)
        times["score"] = time.perf_counter() - start - sum(times.values())
    times["seconds"] = time.perf_counter() - start
    times["cpu"] = time.process_time() - spent  # of all threads: other processes do not add to it
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if what == "scores":
        found["off"] = max(_off(held_out, pairs[k], weights.nll[k]) for k in _sample(len(pairs)))
        found["converged"] = int(weights.converged.sum())
    return times | found


def _sample(count: int) -> list[int]:
    return np.random.default_rng(1).choice(count, min(SAMPLE, count), replace=False).tolist()


def _off(logits: Logits, pair: tuple[int, int], nll: float) -> float:
    """By how much a fitted loss is off scipy's optimum."""
    rows = np.arange(logits.shape[1])
    scaled = [
        logits.arrays[m][0 : len(rows)].astype(np.float64) / logits.temperatures[m] for m in pair
    ]

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        values = w[0] * scaled[0] + w[1] * scaled[1]
        zed = logsumexp(values, axis=1, keepdims=True)
        p = np.exp(values - zed)
        slope = [((p * own).sum(axis=1) - own[rows, logits.labels]).mean() for own in scaled]
        return float((zed[:, 0] - values[rows, logits.labels]).mean()), np.array(slope)

    best = minimize(
        loss, [0.5, 0.5], jac=True, method="L-BFGS-B", bounds=[(0, None)] * 2,
        options={"ftol": 1e-15, "gtol": 1e-10},
    )  # fmt: skip
    return abs(nll - best.fun)


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=80)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--calibration", type=int, default=5_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    own = arguments.models, arguments.calibration, arguments.threads
    if arguments.work:
        print(json.dumps(work(arguments.folder, *own, arguments.work)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_logits(folder, arguments.models, arguments.examples, arguments.classes)
        read_once([folder / f"{model}.h5" for model in range(arguments.models)])
        command = [sys.executable, __file__, "--folder", str(folder)]
        for option in ("models", "calibration", "threads"):
            command += [f"--{option}", str(getattr(arguments, option))]
        runs: dict[str, list[dict]] = {"pairs": [], "scores": [], "cascades": []}
        for _ in range(arguments.repeat):
            for what, found in runs.items():
                done = subprocess.run([*command, "--work", what], check=True, capture_output=True)
                found.append(json.loads(done.stdout))
    took = {what: sorted(found, key=lambda run: run["seconds"])[len(found) // 2]
            for what, found in runs.items()}  # fmt: skip
    pairs, scores, cascades = took["pairs"], took["scores"], took["cascades"]
    count = arguments.models * (arguments.models - 1) // 2
    times = {what: (own["seconds"] / pairs["seconds"], own["cpu"] / pairs["cpu"])
             for what, own in took.items()}  # fmt: skip
    print(
        f"{arguments.models} models x {arguments.examples} examples ({arguments.calibration} for "
        f"calibration) x {arguments.classes} classes, {count} pairs, {arguments.threads} threads\n"
        f"engine of pairs    {pairs['seconds']:8.2f} s, {pairs['peak_mb']:.0f} MB\n"
        f"all rules, scores  {scores['seconds']:8.2f} s, {scores['peak_mb']:.0f} MB, "
        f"{times['scores'][0]:.1f} times the engine "
        f"({times['scores'][1]:.1f} in processor time): weights "
        f"{scores['weights']:.1f} s, combining {scores['combine']:.1f} s, scores "
        f"{scores['score']:.1f} s\n"
        f"cascades of two    {cascades['seconds']:8.2f} s, {cascades['peak_mb']:.0f} MB, "
        f"{times['cascades'][0]:.2f} times the engine "
        f"({times['cascades'][1]:.2f} in processor time)\n"
        f"weights: {scores['converged']} converged, at most {scores['off']:.1e} nats off scipy's "
        f"optimum in {SAMPLE} pairs"
    )


if __name__ == "__main__":
    main()
