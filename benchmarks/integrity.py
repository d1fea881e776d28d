"""What it costs to check that intermediates are as they were written, as a share of reading them.

    python benchmarks/integrity.py

Files are as of ImageNet: logits of 1000 classes, images of 224 pixels, weights of a ResNet-50, a
table of pairs. Each is read from memory, where reading is fastest, as its stage reads it, with its
checks and with these left out (of logits also with the test for NaN, which they make superfluous,
in their place). The least processor time of several rounds counts, both in turn.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import numpy as np
import pandas as pd
import timm
import torch

from workflow.lib.data.arrays import Writer
from workflow.lib.data.images import Images
from workflow.lib.data.splits import Split
from workflow.lib.models import networks
from workflow.lib.outputs.store import Outputs, Rows, write
from workflow.lib.outputs.tables import read_table, write_table

RNG = np.random.default_rng(0)
ROWS = "workflow.lib.outputs.store.Rows.__getitem__"
RECIPE = {"architecture": "resnet50", "options": {}, "input": {"mean": [0.5] * 3}}


def outputs(folder: Path) -> tuple[Callable[[], object], list]:
    """Stream the logits of 16,384 images."""
    rows, split = 16384, Split(np.arange(16384).astype(str), np.zeros(16384, np.int64))
    values = RNG.standard_normal((rows, 1000)).astype(np.float32)
    write(folder / "test.h5", split, lambda rows: (values[rows], None), {"model": "m"})

    def read() -> None:
        with Outputs(folder / "test.h5", split) as file:
            for _ in file.blocks("logits"):
                pass

    return read, [mock.patch(ROWS, lambda self, rows: self.data[rows])]


def outputs_as_before(folder: Path) -> tuple[Callable[[], object], list]:
    """Stream them as when NaN was looked for instead."""

    def take(self: Rows, rows: slice) -> np.ndarray:
        values = self.data[rows]
        assert np.isfinite(values).all()
        return values

    return outputs(folder)[0], [mock.patch(ROWS, take)]


def images(folder: Path) -> tuple[Callable[[], object], list]:
    """Stream 512 images and bring them to what a network takes."""
    pixels = RNG.integers(0, 256, (512, 3, 224, 224), dtype=np.uint8)
    with Writer(folder / "test.npy", pixels.shape) as file:
        for row in pixels:
            file.append(row)
    stream = Images([str(folder / "test.npy")], [0.5] * 3, [0.5] * 3, torch.device("cpu"))

    def read() -> None:
        for batch in stream.stream(0, 64):
            stream.normalise(batch, torch.channels_last)

    return read, [mock.patch("workflow.lib.data.arrays.Array._checked", lambda self, v, rows: v)]


def weights(folder: Path) -> tuple[Callable[[], object], list]:
    """Load a ResNet-50 as a classifier."""
    networks.save(folder / "a.safetensors", RECIPE, timm.create_model("resnet50"))
    recipe, tensors = networks.load_tensors(folder / "a.safetensors")
    known = networks.digest_of([json.dumps(recipe), tensors])
    return (
        lambda: networks.load_classifier(folder / "a.safetensors", RECIPE, 1000),
        [mock.patch("workflow.lib.models.networks.digest_of", return_value=known)],
    )


def table(folder: Path) -> tuple[Callable[[], object], list]:
    """Read a table of 7,000 pairs, as wide as pairs.tsv: numbers, and words of few kinds."""
    numbers = pd.DataFrame(RNG.standard_normal((7000, 20))).add_prefix("number_")
    words = RNG.choice(["resnet50-a1", "vit-small-patch16-224", "dataset"], (7000, 10))
    names = ["model_1", "model_2", "name_1", "name_2", "category", "category_1", "category_2"]
    words = pd.DataFrame(words, columns=[*names, "pair", "mean", "paper"])
    write_table(folder / "pairs.tsv", pd.concat([words, numbers], axis=1))
    return (
        lambda: read_table(folder / "pairs.tsv"),
        [mock.patch("workflow.lib.outputs.tables.read_sealed", lambda path: path.read_bytes())],
    )


def main() -> None:
    """Print a line a kind of file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print("kind              unchecked ms  checked ms  cost")
    for kind in (outputs, outputs_as_before, images, weights, table):
        with tempfile.TemporaryDirectory() as folder:
            read, patches = kind(Path(folder))
            best = {False: float("inf"), True: float("inf")}
            for checked in (False, True) * rounds:
                for patch in [] if checked else patches:
                    patch.start()
                begin = time.process_time()
                read()
                best[checked] = min(best[checked], time.process_time() - begin)
                mock.patch.stopall()
            cost = best[True] / best[False] - 1
            print(
                f"{kind.__name__:8} {1e3 * best[False]:12.1f} {1e3 * best[True]:11.1f} {cost:+6.1%}"
            )


if __name__ == "__main__":
    main()
