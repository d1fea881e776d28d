"""Measure what training from image files costs: decoding, steps of the network, and both at once.

Writes JPEGs of 500 × 375 pixels, random crops of two photographs, and reports images a second of

- decoding: the worker processes alone, drawing random crops of the files;
- steps: forward pass, backward pass and optimiser on pixels that are in the device's memory;
- training: `workflow.lib.models.train.loop.train` as a study runs it, from the files.

Training can be no faster than the slower of the other two. On a CPU they share its cores. Steps are
measured with DropBlock in all four stages too.
"""

import argparse
import logging
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from workflow.lib.data.kinds import Decoder
from workflow.lib.models import networks
from workflow.lib.models.train import augment, objectives
from workflow.lib.models.train import loop as training


def write_photographs(folder: Path, count: int) -> list[str]:
    """Write crops of scikit-learn's two photographs."""
    rng = np.random.default_rng(0)
    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    names = []
    for row in range(count):
        left, top = int(rng.integers(140)), int(rng.integers(52))
        view = photographs[row % 2].crop((left, top, left + 500, top + 375))
        names.append(f"{row:05d}.jpg")
        view.save(folder / names[-1], quality=90)
    return names


def objective_of(recipe: dict, images: augment.Crops) -> objectives.Supervised:
    """Build a freshly initialised network and what it learns."""
    torch.manual_seed(0)
    labels = torch.arange(len(images), device=images.device) % 2
    return objectives.Supervised(recipe, images, labels, networks.create(recipe, 1000))


def seconds(work, device: torch.device) -> float:
    """Time a function until the device is done with it."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


class Resident(training.Images):
    """Pixels in the device's memory, the same ones for each batch."""

    def __init__(self, pixels: torch.Tensor, count: int, image: dict):
        super().__init__([], image["mean"], image["std"], pixels.device)
        self.pixels, self.count = pixels, count

    def __len__(self) -> int:
        return self.count

    def raw(self, rows: np.ndarray) -> torch.Tensor:
        """Give the same pixels, however they are asked for."""
        return self.pixels[: len(rows)]


def main() -> None:
    """Print the three rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", default="resnet50")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1, help="of the network, on a CPU")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(arguments.threads)
    device = networks.device()
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}, {vars(arguments)}")

    recipe = {
        "architecture": arguments.architecture, "options": {}, "objective": "supervised",
        "input": {"size": arguments.size, "interpolation": "bicubic",
                  "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
        "seed": 0, "epochs": 1, "batch_size": arguments.batch, "optimizer": "sgd",
        "learning_rate": 0.1, "weight_decay": 0.0001, "label_smoothing": 0.0, "flip": True,
        "shift": 0, "schedule": "step", "warmup": 5, "milestones": [30, 60, 80],
        "augmentation": "random-resized-crop",
    }  # fmt: skip
    count = arguments.steps * arguments.batch
    with tempfile.TemporaryDirectory() as folder:
        names = write_photographs(Path(folder), min(count, 1024))
        kilobytes = sum(file.stat().st_size for file in Path(folder).iterdir()) / len(names) / 1000
        print(f"{len(names)} JPEGs of 500 x 375, {kilobytes:.0f} kB each")
        ids = [names[row % len(names)] for row in range(count)]
        decode = Decoder("folder", folder, "RGB")
        images = augment.Crops(decode, ids, recipe, device, arguments.workers)

        batches = np.arange(count).reshape(arguments.steps, arguments.batch)
        taken = seconds(lambda: [None for _ in images.batches(0, batches)], device)
        print(f"decoding  {count / taken:8.1f} images a second, {arguments.workers} workers")

        [pixels] = images.batches(0, batches[:1])
        resident = Resident(pixels, count, recipe["input"])
        in_memory = {key: value for key, value in recipe.items() if key != "augmentation"}
        in_memory["flip"] = False
        blocks = {"drop_block_stages": [1, 2, 3, 4], "drop_block_keep": 0.9}

        def show(title: str, images: training.Images, recipe: dict, note: str = "") -> None:
            objective, state = objective_of(recipe, images), Path(folder, "resume.pt")
            state.unlink(missing_ok=True)
            taken = seconds(lambda: training.train(objective, recipe, state, []), device)
            print(f"{title:9s} {count / taken:8.1f} images a second{note}")

        show("warm-up", resident, in_memory)
        show("steps", resident, in_memory)
        show("steps", resident, in_memory | blocks, ", with DropBlock")
        show("training", images, recipe, ", from the files")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory {peak:.1f} GB", end="")
    if device.type == "cuda":
        print(f", of the GPU {torch.cuda.max_memory_allocated() / 1e9:.1f} GB", end="")
    print()


if __name__ == "__main__":
    main()
