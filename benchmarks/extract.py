"""Measure extraction against the bare forward pass, and a whole job against timm's own loader.

1. From a decoded array on disk to the outputs file, against nothing but the network's forward pass
   over tensors that lie normalised on the device: both with the same batches, precision and layout.
2. From JPEG files (cut from photographs of scikit-learn, of ImageNet's usual size) to the outputs
   file, decoding once and extracting, against an evaluation by timm's dataset and loader with as
   many worker processes as we have threads. The second model of a geometry only extracts.
3. The most memory that a process takes to extract N and 8 N images.

The sides take turns, and medians of their times are printed; without a GPU, in the first part those
of the process on all cores, since other jobs of the machine do not disturb these. Weights are
random: they make no difference to the speed. `--precision` sets that of both sides.

Seen with `--threads 2 --images 64 --batch 32 --tiny-images 4096 --rounds 3` on two cores of an AMD
EPYC, float32, Python 3.11.7, torch 2.13.0+cpu, timm 1.0.31, h5py 3.16.0 (not yet on a GPU):

| images a second | extraction | bare forward pass | ratio |
| --- | --- | --- | --- |
| resnet50, 224 pixels | 14.4 | 15.5 | 92 % |
| vit_base_patch16_224 | 2.6 | 2.6 | 99 % |
| test_resnet, 160 pixels | 640.7 | 671.3 | 95 % |

resnet50 from 64 JPEG files: decoding 0.09 s + extraction 2.46 s, timm's loader 2.83 s; the same
logits to the last bit. Memory: 1,365 MB for 4,096 images and for 32,768.
"""

import argparse
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import sklearn.datasets
import timm
import torch
from PIL import Image
from timm.data import create_dataset, create_loader, resolve_model_data_config

from workflow.lib.data.images import Images, prepare
from workflow.lib.data.splits import Split
from workflow.lib.models import networks
from workflow.lib.models.inference import Inference
from workflow.lib.outputs import store as outputs

MODELS = ("resnet50", "vit_base_patch16_224", "test_resnet")
MEMORY = "test_vit"


class Job:
    """A network, and what its extraction and its bare forward pass share."""

    def __init__(self, name: str, arguments: argparse.Namespace):
        torch.manual_seed(0)
        network = timm.create_model(name).eval()
        config = resolve_model_data_config(network)
        self.name, self.config, self.size = name, config, config["input_size"][-1]
        self.device = networks.device()
        self.classifier = networks.Classifier(network.to(self.device))
        self.network = torch.compile(network) if arguments.compile else network
        self.options = {"precision": arguments.precision, "batch_size": arguments.batch,
                        "compile": arguments.compile}  # fmt: skip

    def inference(self, array: Path) -> Inference:
        """Make what extraction computes with; it brings the network to its layout."""
        images = Images([array], self.config["mean"], self.config["std"], self.device)
        return Inference(self.classifier, images, model=self.name, **self.options)

    def extract(self, array: Path, path: Path) -> None:
        """Write an outputs file, as the rule does."""
        clear(path)
        inference = self.inference(array)
        ids = np.array([f"{row:06d}" for row in range(len(inference.images))])
        split = Split(ids, np.zeros(len(ids), np.int64))
        computed = outputs.write(path, split, inference, {})
        assert computed == len(ids), "only a whole extraction is measured"

    @torch.inference_mode()
    def forward(self, batches: Iterable[torch.Tensor], layout: torch.memory_format) -> torch.Tensor:
        """Logits of tensors that a network takes, on the CPU at the end."""
        reduced = self.options["precision"] != "float32"
        dtype = getattr(torch, self.options["precision"]) if reduced else None
        with torch.autocast(self.device.type, dtype, enabled=reduced):
            logits = [self.network(x.contiguous(memory_format=layout)) for x in batches]
        return torch.cat(logits).float().cpu()


def clear(path: Path) -> None:
    """Remove a file and its part files, from which a job would go on."""
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()


def take_turns(
    sides: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Median seconds of each side, after one round that does not count."""
    seconds = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, side in sides.items():
            start = clock()
            side()
            if turn:
                seconds[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def against_forward(job: Job, folder: Path, images: int, rounds: int) -> None:
    """Print the rate of extraction from a decoded array, and that of the bare forward pass."""
    array = folder / f"{job.name}.npy"
    pixels = np.lib.format.open_memmap(array, "w+", np.uint8, (images, 3, job.size, job.size))
    rng = np.random.default_rng(0)
    for row in range(0, images, 256):
        pixels[row : row + 256] = rng.integers(0, 256, pixels[row : row + 256].shape, np.uint8)
    pixels.flush()
    inference = job.inference(array)
    batch, layout = min(inference.batch_size, images), inference.layout
    resident = inference.images.normalise(next(inference.images.stream(0, batch)), layout)
    batches = [resident] * (images // batch) + [resident[: images % batch]] * bool(images % batch)

    seconds = take_turns(
        {
            "extraction": lambda: job.extract(array, folder / "a.h5"),
            "forward": lambda: job.forward(batches, layout),
        },
        rounds,
        time.perf_counter if job.device.type == "cuda" else time.process_time,
    )
    print(
        f"  {job.name:22} {job.size} pixels, {images} images: extraction "
        f"{images / seconds['extraction']:.1f} images/s, bare forward pass "
        f"{images / seconds['forward']:.1f} images/s: "
        f"{100 * seconds['forward'] / seconds['extraction']:.1f} %",
        flush=True,
    )
    array.unlink()


def write_photographs(folder: Path, images: int) -> list[str]:
    """JPEG files of 500 x 375 pixels, as most of ImageNet are; gives their names."""
    whole = [Image.fromarray(image) for image in sklearn.datasets.load_sample_images().images]
    rng, names = np.random.default_rng(0), []
    (folder / "0").mkdir(parents=True)
    for number in range(images):
        left, top = rng.integers(0, 140), rng.integers(0, 52)
        part = whole[number % 2].crop((left, top, left + 500, top + 375))
        names.append(f"0/{number:06d}.jpg")
        part.save(folder / names[-1], quality=92)
    return names


def against_loader(job: Job, folder: Path, images: int, rounds: int, threads: int) -> None:
    """Print the time of the whole job from JPEG files, and of timm's evaluation loop."""
    names = write_photographs(folder / "jpeg", images)
    geometry = {
        "size": job.size,
        "crop": job.config["crop_pct"],
        "interpolation": job.config["interpolation"],
        "channels": 3,
    }
    array = folder / "jpeg.npy"
    results = {}

    def decode() -> None:
        clear(array)
        decoded = []

        def load(name: str) -> Image.Image:
            decoded.append(name)
            return Image.open(folder / "jpeg" / name).convert("RGB")

        prepare(load, names, geometry, array, threads=threads)
        assert len(decoded) == images, "only a whole decoding is measured"

    def loader() -> None:
        keys = ("input_size", "interpolation", "mean", "std", "crop_pct")
        batches = create_loader(
            create_dataset("", str(folder / "jpeg")),
            batch_size=job.options["batch_size"],
            **{key: job.config[key] for key in keys},
            num_workers=threads,
            persistent_workers=False,
            device=job.device,
        )
        results["timm"] = job.forward((x for x, _ in batches), job.inference(array).layout)

    seconds = take_turns(
        {
            "decode": decode,
            "extract": lambda: job.extract(array, folder / "b.h5"),
            "timm": loader,
        },
        rounds,
        time.perf_counter,
    )
    with outputs.h5py.File(folder / "b.h5") as file:
        difference = np.abs(file["logits"][:] - results["timm"].numpy()).max()
    extraction, timms = seconds["extract"], seconds["timm"]
    own = seconds["decode"] + extraction
    print(
        f"  {job.name}, {images} files, {threads} threads or workers\n"
        f"  decoding {seconds['decode']:.2f} s + extraction {extraction:.2f} s = {own:.2f} s; "
        f"timm's loader {timms:.2f} s\n"
        f"  timm's takes {timms / own:.2f} times as long for the first model of a geometry, and "
        f"{timms / extraction:.2f} times for each further one\n"
        f"  largest difference between their logits {difference:.1e}",
        flush=True,
    )


def memory_of(images: int, arguments: argparse.Namespace) -> None:
    """Extract so many images, and print the most memory that this process took, in MB."""
    with tempfile.TemporaryDirectory() as name:
        array = Path(name) / "a.npy"
        job = Job(MEMORY, arguments)
        shape = (images, 3, job.size, job.size)
        np.lib.format.open_memmap(array, "w+", np.uint8, shape).flush()
        job.extract(array, Path(name) / "a.h5")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Print the measurements."""
    gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--images", type=int, default=8192 if gpu else 64)
    parser.add_argument("--tiny-images", type=int, default=50_000 if gpu else 2048)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=256 if gpu else 32)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int, default=8 if gpu else 2)
    parser.add_argument("--memory", type=int, default=4096, help="N of the third part")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.backends.cudnn.allow_tf32 = False
    if arguments.memory_of:
        memory_of(arguments.memory_of, arguments)
        return
    processor = torch.cuda.get_device_name() if gpu else processor_name()
    print(
        f"{processor}, {arguments.threads} threads, {arguments.precision}, batches of "
        f"{arguments.batch}{', compiled' if arguments.compile else ''}; Python "
        f"{platform.python_version()}, torch {torch.__version__}, timm {timm.__version__}, "
        f"h5py {version('h5py')}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("from a decoded array, against the bare forward pass")
        for model in arguments.models:
            images = arguments.tiny_images if model.startswith("test_") else arguments.images
            against_forward(Job(model, arguments), folder, images, arguments.rounds)
        print("from JPEG files, against timm's loader")
        job = Job(arguments.models[0], arguments)
        against_loader(job, folder, arguments.images, arguments.rounds, arguments.threads)
    print(f"memory to extract images by {MEMORY}")
    for images in (arguments.memory, 8 * arguments.memory):
        command = [sys.executable, __file__, "--memory-of", str(images)]
        for option in ("precision", "batch", "threads"):
            command += [f"--{option}", str(getattr(arguments, option))]
        peak = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        print(f"  {images} images: {float(peak):.0f} MB", flush=True)


def processor_name() -> str:
    """Name of the CPU, where Linux tells it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()


if __name__ == "__main__":
    main()
