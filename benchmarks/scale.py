"""Measure every analysis of logits at the size of a large study, and say what a larger one takes.

Each stage runs in a process of its own, as a study's job would, on the calibration images, the test
images or both: wall and processor seconds, peak memory, and how often it passes over all logits.
The logits are synthetic, of the confidence and agreement of ImageNet models. They are HDF5 files
where the disk has room for them, and else made as they are read, which takes less time than a read.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from workflow.lib.ensembles.cascades import count_cascades, curves, thresholds_of
from workflow.lib.ensembles.combine import COMBINATIONS
from workflow.lib.ensembles.greedy import Candidates, grow
from workflow.lib.ensembles.listed import cross_fit, folds_of
from workflow.lib.ensembles.logits import Logits, Part, stream
from workflow.lib.ensembles.pairs import PairCounter
from workflow.lib.ensembles.recommend import choose
from workflow.lib.ensembles.scores import score_all
from workflow.lib.ensembles.triples import TripleCounter
from workflow.lib.ensembles.whole import combine, fit_weights, read_alone
from workflow.lib.measures.calibration import fit_temperature
from workflow.lib.measures.uncertainty import GROUPS, groups
from workflow.lib.outputs.store import BLOCK
from workflow.scripts.selection import TRIPLES_OF, count_all

TABLE = 4099  # rows of noise, a prime number
NEAR = 5  # classes that are easily taken for an image's own


class Images:
    """What makes images hard, for all models alike."""

    def __init__(self, examples: int, classes: int):
        rng = np.random.default_rng(0)
        self.noise = rng.normal(0, 1, (TABLE, classes)).astype(np.float32)
        self.labels = rng.integers(0, classes, examples)
        self.near = rng.integers(0, classes, (examples, NEAR))
        self.evidence = (rng.normal(0, 1.6, (examples, NEAR)) + 4).astype(np.float32)
        self.own = rng.normal(8.5, 2.5, examples).astype(np.float32)


class Made:
    """A model's logits, made as they are read: float32, (examples, classes)."""

    read = 0
    """Rows that were read of all models."""

    def __init__(self, images: Images, model: int, models: int):
        self.images, self.model, self.spread = images, model, 0.15 + 0.75 * model / models
        self.shape, self.dtype = (len(images.labels), images.noise.shape[1]), np.dtype(np.float32)

    def __getitem__(self, rows: slice) -> np.ndarray:
        images, numbers = self.images, np.arange(*rows.indices(self.shape[0]))
        Made.read += len(numbers)
        places = (numbers * 7919 + self.model * 104_729) % TABLE
        values, here = images.noise[places], np.arange(len(numbers))
        spread = self.spread * images.noise[(places * 31 + 7) % TABLE, : NEAR + 1]
        for k in range(NEAR):
            values[here, images.near[numbers, k]] += images.evidence[numbers, k] + spread[:, k]
        values[here, images.labels[numbers]] += images.own[numbers] + spread[:, NEAR]
        return values


class Stored:
    """The same, of a file."""

    def __init__(self, path: Path):
        self.array = h5py.File(path, rdcc_nbytes=0)["logits"]
        self.shape, self.dtype = self.array.shape, self.array.dtype

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self.shape[0])
        Made.read += stop - start
        return self.array[start:stop]


class Study:
    """Logits on both splits; the first images are those of calibration."""

    def __init__(self, options: argparse.Namespace):
        self.threads = options.threads
        images = Images(options.examples, options.classes)
        models, folder = options.models, options.folder
        arrays = [
            Stored(folder / f"{model}.h5") if folder else Made(images, model, models)
            for model in range(models)
        ]
        temperatures = np.linspace(0.7, 1.5, models)

        def split(begin: int, end: int) -> Logits:
            parts = [Part(array, np.arange(begin, end), None) for array in arrays]
            return Logits(parts, images.labels[begin:end], temperatures)

        self.before = split(0, options.calibration)
        self.after = split(options.calibration, options.examples)
        self.pairs = list(combinations(range(models), 2))
        # A few of each kind, as a study lists them.
        spread = np.linspace(0, len(self.pairs) - 1, min(100, len(self.pairs))).astype(int)
        some = [self.pairs[place] for place in spread]
        triples = [(a, b, (a + b) // 2) for a, b in some if b - a > 1]
        self.listed = [(m,) for m in range(models)] + some + triples


def temperatures(study: Study) -> str:
    """Fit a temperature of each model."""
    logits = study.before
    for model in range(logits.shape[0]):
        fit_temperature(logits.read(model, slice(0, logits.shape[1])), logits.labels)
    return f"{logits.shape[0]} fits"


def counts(study: Study) -> str:
    """Count all pairs at three kinds of temperatures."""
    logits = study.after
    counter = PairCounter(logits, [logits.temperatures * 1.1, np.ones(logits.shape[0])], True)
    stream(logits, counter, threads=study.threads)
    right = counter.counts()[0].correct / logits.shape[1]
    return f"accuracies {right.min():.3f} to {right.max():.3f}"


def selection(study: Study) -> str:
    """Compare singles, pairs and triples, and grow one greedy ensemble of eight."""
    logits = study.before
    models = logits.shape[0]
    likely = list(range(min(models, TRIPLES_OF)))
    pairs, greedy = PairCounter(logits), Candidates(logits)
    triples = {name: TripleCounter(logits, name, likely) for name in COMBINATIONS}
    stream(logits, pairs, *triples.values(), greedy, threads=study.threads)
    found = pairs.counts()[0]
    listed = [
        choose(*count_all(found, own.counts(), likely, name), np.ones((models, 3)))
        for name, own in triples.items()
    ]
    pool = list(range(1, models))
    grown = grow(greedy, 0, pool, size=8, combination="probability", replacement=False,
                 threads=study.threads)  # fmt: skip
    return f"{sum(map(len, listed))} ensembles listed, {len(grown.members)} grown"


def weights(study: Study) -> str:
    """Fit the weights of listed ensembles, and choose their combinations."""
    several = [own for own in study.listed if len(own) > 1]
    fits = fit_weights(study.before, several, threads=study.threads)
    folds = folds_of(study.before.labels)
    cross_fit(study.before, study.listed, folds, threads=study.threads)
    return f"{int(fits.converged.sum())} of {len(several)} fits converged"


def scores(study: Study) -> str:
    """Score listed ensembles."""
    logits, group = study.after, groups(study.after.shape[1])
    own = [np.full(len(members), 1 / len(members)) for members in study.listed]
    found = combine(logits, study.listed, own, group, GROUPS, threads=study.threads)
    score_all(found, group, logits, threads=study.threads)
    return f"{len(study.listed)} ensembles"


def cascades(study: Study) -> str:
    """Follow the cascades of all pairs at 40 thresholds, on both splits."""
    grid = thresholds_of(read_alone(study.before, threads=study.threads).log_confidence)
    for logits in (study.before, study.after):
        found = curves(count_cascades(logits, study.pairs, grid, threads=study.threads))
    return f"{len(study.pairs)} pairs, accuracies up to {found.accuracy.max():.3f}"


STAGES: dict[str, Callable[[Study], str]] = {
    own.__name__: own for own in (temperatures, counts, selection, weights, scores, cascades)
}


def measure(options: argparse.Namespace) -> dict:
    """Run a stage in this process, once everything is compiled."""
    warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
    stage = STAGES[options.stage]
    toy = argparse.Namespace(models=4, examples=60, calibration=30, classes=12, threads=1,
                             folder=None)  # fmt: skip
    stage(Study(toy))
    study = Study(options)
    Made.read = 0
    start, spent = time.perf_counter(), time.process_time()
    said = stage(study)
    return {
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - spent,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "passes": Made.read / options.models / options.examples,
        "said": said,
    }


def store(folder: Path, options: argparse.Namespace) -> None:
    """Write all logits to files, in the layout of outputs files."""
    images = Images(options.examples, options.classes)
    shape = options.examples, options.classes
    for model in range(options.models):
        array = Made(images, model, options.models)
        with h5py.File(folder / f"{model}.h5", "w") as file:
            chunks = min(BLOCK, shape[0]), shape[1]
            data = file.create_dataset("logits", shape, np.float32, chunks=chunks)
            for row in range(0, shape[0], BLOCK):
                data[row : row + BLOCK] = array[row : row + BLOCK]


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=300)
    parser.add_argument("--examples", type=int, default=50_000)
    parser.add_argument("--calibration", type=int, default=10_000, help="of the examples")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        print(json.dumps(measure(options)))
        return
    size = 4 * options.models * options.examples * options.classes
    with tempfile.TemporaryDirectory() as name:
        sizes = "models", "examples", "calibration", "classes", "threads"
        command = [sys.executable, __file__]
        for key in sizes:
            command += [f"--{key}", str(getattr(options, key))]
        stored = shutil.disk_usage(name).free > 1.2 * size
        if stored:
            store(Path(name), options)
            command += ["--folder", name]
        print(
            f"{options.models} models x {options.examples} examples ({options.calibration} for "
            f"calibration) x {options.classes} classes, {size / 1e9:.1f} GB of logits "
            f"{'in HDF5 files' if stored else 'made as they are read'}, {options.threads} threads\n"
            f"{'stage':<14}{'seconds':>9}{'processor s':>13}{'peak MB':>9}{'passes':>8}",
            flush=True,
        )
        for stage in options.stages:
            done = subprocess.run(
                [*command, "--stage", stage], check=True, stdout=subprocess.PIPE, text=True
            )
            found = json.loads(done.stdout)
            print(
                f"{stage:<14}{found['seconds']:>9.1f}{found['cpu']:>13.1f}{found['peak']:>9.0f}"
                f"{found['passes']:>8.2f}  {found['said']}",
                flush=True,
            )


if __name__ == "__main__":
    main()
