"""Extraction of whole files: timm's own logits, in flat memory, with attributes that say how."""

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_dataset, create_loader, resolve_model_data_config

from tests.close import assert_same_to_scale
from workflow.lib.data.images import prepare
from workflow.lib.data.kinds import Decoder
from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.models import networks
from workflow.lib.outputs.store import BLOCK, Outputs
from workflow.lib.run.errors import InputError
from workflow.scripts.extract import extract

PHOTOGRAPHS = Path(importlib.util.find_spec("sklearn").origin).parent / "datasets/images"
EXTRACTION = {"precision": "float32", "batch_size": 8, "compile": False}
CLASSES = ("china", "flower")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> tuple[Path, list[str], np.ndarray]:
    """Folders by class of JPEG files, cut from two photographs; their names and labels."""
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    names = []
    for name in CLASSES:
        whole = Image.open(PHOTOGRAPHS / f"{name}.jpg")
        (folder / name).mkdir()
        for number in range(11):
            left, top = rng.integers(0, 240, 2)
            width, height = rng.integers(120, 187, 2)
            part = whole.crop((left, top, left + width, top + height))
            names.append(f"{name}/{number:02d}.jpg")
            part.convert("L" if number == 3 else "RGB").save(folder / names[-1], quality=90)
    return folder, names, np.repeat([0, 1], 11)


def run(folder: Path, names, labels, recipe, network, **changes) -> Path:
    """Prepare images and extract the outputs of a network on them, as the workflow does."""
    size = recipe["input"]["size"]
    geometry = {key: recipe["input"][key] for key in ("size", "crop", "interpolation")}
    work = folder.parent / f"{folder.name}-{recipe['architecture']}"
    prepare(
        Decoder("folder", str(folder), "RGB"), names, geometry | {"channels": 3},
        work / f"{size}.npy",
    )  # fmt: skip
    split = Split(np.array(names), np.asarray(labels, dtype=np.int64))
    Manifest(CLASSES, {"calibration": split, "test": split}).write(work / "manifest.tsv")
    networks.save(work / "checkpoint.safetensors", recipe, network)
    arguments = {
        "manifest": str(work / "manifest.tsv"),
        "classes": str(work / "manifest.tsv"),
        "checkpoint": str(work / "checkpoint.safetensors"),
        "images": [str(work / f"{size}.npy")],
        "files": [str(work / "mine" / "test.h5")],
        "model": "mine",
        "recipe": recipe,
        "splits": ["test"],
        "extraction": EXTRACTION,
        "code": ["a@1"],
        "threads": 1,
    }
    extract(**arguments | changes)
    return Path(arguments["files"][0]), split


def recipe_of(architecture: str) -> tuple[dict, torch.nn.Module, dict]:
    torch.manual_seed(0)
    network = timm.create_model(architecture, num_classes=2).eval()
    config = resolve_model_data_config(network)
    recipe = {
        "architecture": architecture,
        "options": {},
        "head": "trained",
        "input": {
            "size": config["input_size"][-1],
            "crop": config["crop_pct"],
            "interpolation": config["interpolation"],
            "mean": list(config["mean"]),
            "std": list(config["std"]),
        },
    }
    return recipe, network, config


@pytest.mark.numeric
@pytest.mark.parametrize("architecture", ["test_resnet", "test_vit", "test_efficientnet"])
@pytest.mark.parametrize("prefetcher", [True, False])
def test_logits_are_those_of_timms_own_loader(photographs, architecture, prefetcher):
    folder, names, labels = photographs
    recipe, network, config = recipe_of(architecture)
    path, split = run(folder, names, labels, recipe, network)
    loader = create_loader(
        create_dataset("", str(folder)),
        batch_size=8,
        **{key: config[key] for key in ("input_size", "interpolation", "mean", "std", "crop_pct")},
        use_prefetcher=prefetcher,
        num_workers=0,
        persistent_workers=False,
        device=torch.device("cpu"),
    )
    network = network.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        batches = [(network(x.contiguous(memory_format=torch.channels_last)), y) for x, y in loader]
    expected = torch.cat([x for x, _ in batches]).numpy()
    with Outputs(path, split) as file:
        found = file.read("logits")
        np.testing.assert_array_equal(torch.cat([y for _, y in batches]), file.labels)
        assert (file.attributes["precision"], file.attributes["compiled"]) == ("float32", False)
        assert json.loads(file.attributes["preprocessing"]) == recipe["input"]
        assert file.attributes["images_per_second"] > 0
        assert file.attributes["macs"] > 0
    assert np.ptp(expected, axis=0).min() > 1e-4  # they tell images apart
    if (
        prefetcher
    ):  # the default of timm's own validate.py; normalises bytes on the device, as we do
        np.testing.assert_array_equal(found, expected)
    else:
        assert_same_to_scale(found, expected)


def test_images_of_another_dataset_are_refused(photographs):
    folder, names, labels = photographs
    recipe, network, _ = recipe_of("test_resnet")
    other = folder.parent / "other.npy"
    np.save(other, np.zeros((3, 3, 160, 160), np.uint8))
    with pytest.raises(InputError, match="is not of the dataset"):
        run(folder, names, labels, recipe, network, images=[str(other)])


MEMORY = """
import ctypes, re, sys
import workflow.lib.backends
import numpy as np
import torch
from workflow.lib.models import networks
from workflow.lib.data.splits import Split
from workflow.lib.data.images import Images
from workflow.lib.models.inference import Inference
from workflow.lib.outputs.store import write

torch.set_num_threads(1)
# Else glibc keeps large blocks that were freed (as `backends` wants it to), up to some 50 MB.
ctypes.CDLL(None).mallopt(-3, 1_000_000)  # M_MMAP_THRESHOLD
recipe = {"architecture": "test_vit", "options": {"img_size": 64, "patch_size": 32},
          "input": {"size": 64, "mean": [0.5] * 3, "std": [0.5] * 3}}
classifier = networks.Classifier(networks.create(recipe, 4000)).eval()
for path, count in zip(sys.argv[1::2], map(int, sys.argv[2::2])):
    images = Images([path], [0.5] * 3, [0.5] * 3, torch.device("cpu"))
    ids = np.array([f"{i:06d}" for i in range(count)])
    write(path + ".h5", Split(ids, np.zeros(count, np.int64)),
          Inference(classifier, images, model="mine", batch_size=64), {})
    print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    counts = [2 * BLOCK, 16 * BLOCK]
    arguments = []
    for count in counts:
        path = tmp_path / f"{count}.npy"
        np.lib.format.open_memmap(path, "w+", np.uint8, (count, 3, 64, 64)).flush()
        arguments += [str(path), str(count)]
    command = [sys.executable, "-c", MEMORY, *arguments]
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    few, many = (1024 * int(line) for line in run.stdout.split())
    # Pixels of 88 MB more, or logits of 115 MB, would show.
    assert many - few < 30e6, (few, many)
