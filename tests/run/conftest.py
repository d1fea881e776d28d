"""Runs Snakemake on copies of the checkout."""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from tests.voc import write_annotation, write_sets
from workflow.lib.data import fashion_mnist, voc
from workflow.lib.models import networks

ROOT = Path(__file__).resolve().parents[2]
SMALL = "tests/run/small.yaml"


class Checkout:
    """A copy of the checkout to run Snakemake in."""

    def __init__(self, path: Path):
        self.path = path

    @classmethod
    def new(cls, path: Path) -> "Checkout":
        """Copy what a fresh clone would hold, and kernels that another one has compiled."""
        tracked = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(tracked, cwd=ROOT, capture_output=True, check=True).stdout
        for name in filter(None, names.decode().split("\0")):
            if (ROOT / name).is_file():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                # Kernels are of sources of one date; all else has today's.
                copy = shutil.copy2 if name.startswith("workflow/") else shutil.copyfile
                copy(ROOT / name, path / name)
        write_other_images(path)
        with kernels_of_all(path) as kernels:
            share_kernels(kernels, path)
        return cls(path)

    def snakemake(self, *arguments: str, study: str | None = SMALL) -> subprocess.CompletedProcess:
        """Run Snakemake as a user does; its output is text, both streams in one."""
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        if study:
            command += ["--configfile", study]
        environment = {key: os.environ[key] for key in os.environ if not key.startswith("PYTEST")}
        done = subprocess.run(
            command, cwd=self.path, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        with kernels_of_all(self.path) as kernels:
            share_kernels(self.path, kernels)
        return done

    def run(self, *arguments: str, study: str | None = SMALL) -> str:
        """Run Snakemake, which must succeed."""
        done = self.snakemake(*arguments, study=study)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def planned(self, study: str = SMALL) -> dict[str, int]:
        """Count the jobs that Snakemake would run now, by rule."""
        output = self.run("--dry-run", study=study)
        if "Nothing to be done" in output:
            return {}
        table = output.rpartition("Job stats:")[2].partition("\n\n")[0]
        jobs = {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}
        assert jobs.pop("total") == sum(jobs.values())
        jobs.pop("all", None)
        return jobs

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text that a file holds exactly once."""
        text = (self.path / name).read_text()
        assert text.count(old) == 1, f"{name} holds {old!r} {text.count(old)} times"
        (self.path / name).write_text(text.replace(old, new))


def write_other_images(path: Path) -> None:
    """Make what the small study's further test sets are of: some shoes, and other labels."""
    names, whole = fashion_mnist.read(str(path / "resources/fashion-mnist"), {})
    test, open_image = whole["test"], fashion_mnist.opener(str(path / "resources/fashion-mnist"))
    for label in (5, 7, 9):  # sandal, sneaker, ankle boot
        place = path / "shoes" / names[label]
        place.mkdir(parents=True)
        for row in np.flatnonzero(test.labels == label)[:60]:
            ImageOps.mirror(open_image(test.ids[row])).save(place / f"{row:05d}.png")
    lines = ["id,label"]
    for row in range(0, 4000, 2):
        lines.append(f"{test.ids[row]},{names[test.labels[row]]}")
        if row % 10 == 0:  # a shirt is a top, too
            lines.append(f"{test.ids[row]},{names[(test.labels[row] + 6) % 10]}")
    (path / "second-look.csv").write_text("\n".join(lines) + "\n")


def of_all(folder: Path) -> Path:
    """The folder of all of pytest's processes, for one in the temporary folder of a process."""
    own = (p for p in (folder, *folder.parents) if p.name.startswith("popen-gw"))
    return next((p.parent for p in own), folder)


@contextlib.contextmanager
def kernels_of_all(path: Path) -> Iterator[Path]:
    """The folder of kernels of all of pytest's processes, for a path in one's temporary folder."""
    place = of_all(path.parent)
    with open(place / "kernels.lock", "w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        yield place / "kernels"


def share_kernels(one: Path, other: Path) -> None:
    """Copy what Numba compiled in one folder to another that lacks it: 15 seconds a checkout."""
    for index in one.glob("workflow/lib/*/__pycache__/*.nbi"):
        copy = other / index.relative_to(one)
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            for file in (*index.parent.glob(f"{index.stem}.*.nbc"), index):
                shutil.copy2(file, copy.parent)


def once(tmp_path_factory, name: str, make: Callable[[Checkout], None]) -> Checkout:
    """A checkout in which `make` ran, in the first of pytest's processes that asks for it."""
    place = of_all(tmp_path_factory.getbasetemp())
    with open(place / f"{name}.lock", "a+") as made:
        fcntl.flock(made, fcntl.LOCK_EX)
        made.seek(0)
        if not made.read():
            shutil.rmtree(place / name, ignore_errors=True)
            make(Checkout.new(place / name))
            made.write("made")
    return Checkout(place / name)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Checkout:
    """The small study, run from nothing; only to be looked at."""
    return once(tmp_path_factory, "finished", Checkout.run)


@pytest.fixture
def checkout(finished, tmp_path) -> Checkout:
    """A copy of the finished study, dates and all, to change."""
    shutil.copytree(finished.path, tmp_path / "copy", symlinks=True)
    return Checkout(tmp_path / "copy")


@pytest.fixture
def folder_study(finished_folder_study, tmp_path) -> tuple[Checkout, str]:
    """A copy of the finished study of a folder, to change, and its configuration file."""
    checkout, study = finished_folder_study
    shutil.copytree(checkout.path, tmp_path / "folder")
    return Checkout(tmp_path / "folder"), study


def write_voc(folder: Path, rng: np.random.Generator) -> None:
    """Images of two halves, each red, green or blue, in the layout of Pascal VOC 2007."""
    names, ids, labels = ["blue", "green", "red"], {}, {}
    for place in ("JPEGImages", "Annotations"):
        (folder / place).mkdir(parents=True)
    for number, split in enumerate(("train", "val", "test")):
        ids[split] = [f"{number}{i:05d}" for i in range(40)]
        labels[split] = np.full((40, 3), -1, np.int8)
        for row, example in enumerate(ids[split]):
            pixels = rng.integers(0, 120, (32, 40, 3), dtype=np.uint8)
            shown = rng.integers(0, 3, 2)
            for half, channel in enumerate(shown):
                pixels[:, 20 * half : 20 * half + 20, channel] += 100
                labels[split][row, 2 - channel] = 1
            Image.fromarray(pixels).save(folder / f"JPEGImages/{example}.jpg", quality=95)
            things = [voc.VocObject(names[2 - channel], False, False, (1, 1, 20, 32))
                      for channel in shown]  # fmt: skip
            source = {"database": "halves", "image": example}
            path = folder / f"Annotations/{example}.xml"
            write_annotation(path, (40, 32, 3), things, source)
    write_sets(folder, ids, labels, names)


PHOTOS = "studies/photos.yaml"


@pytest.fixture(scope="session")
def finished_folder_study(tmp_path_factory) -> tuple[Checkout, str]:
    """A study of a folder of photographs by class, with weights brought by the user."""
    return once(tmp_path_factory, "folder", run_folder_study), PHOTOS


def run_folder_study(checkout: Checkout) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 60), ("test", 20)):
        for channel, name in enumerate(("red", "green", "blue")):
            place = checkout.path / "photos" / split / name
            place.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 120, (32, 40, 3), dtype=np.uint8)
                pixels[..., channel] += 60
                Image.fromarray(pixels).save(place / f"{i:02d}.png")
    write_voc(checkout.path / "voc", rng)
    lines = ["id,odd,letter"]
    for name in ("red", "green", "blue"):
        lines += [f"test/{name}/{i:02d}.png,{i % 2},{'abc'[i % 3]}" for i in range(20)]
    (checkout.path / "attributes.csv").write_text("\n".join(lines) + "\n")
    torch.manual_seed(0)
    recipe = {
        "architecture": "test_resnet",
        "options": {"channels": [8, 8, 8, 16]},
        "input": {"mean": [0.5, 0.5, 0.5]},
    }
    networks.save(checkout.path / "mine.safetensors", {}, networks.create(recipe, 3))
    (checkout.path / PHOTOS).write_text(
        """
study: photos
dataset: {kind: folder, path: photos, seed: 0, splits: {train: 120, calibration: rest}}
band: [0, 1]
pairs: [[base, again]]
updates: [[again, base]]
attributes: attributes.csv
recipe:
  architecture: test_resnet
  options: {channels: [8, 8, 8, 16]}
  objective: supervised
  data: [train]
  labels: classes
  seed: 0
  epochs: 20
  batch_size: 20
  optimizer: adamw
  learning_rate: 0.01
  weight_decay: 0.02
  label_smoothing: 0.0
  shift: 1
  flip: true
  input: {size: 32, crop: 0.9, interpolation: bicubic, mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2]}
pretraining: {}
downstream: {kind: voc, path: voc, models: [base, again], regularisation: [0.01, 0.1]}
models:
  base: {category: base}
  again: {category: reinit, seed: 1}
  mine: {category: dataset, set: low, checkpoint: mine.safetensors}
"""
    )
    checkout.run(study=PHOTOS)
