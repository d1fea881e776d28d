"""Training as a job: from image files to a checkpoint; shades, another label space."""

import logging
import os

import numpy as np
import pytest
import torch
from PIL import Image

from workflow.lib.data import kinds
from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.models import networks
from workflow.lib.run.errors import InputError
from workflow.scripts.train import shades, train

FASHION_MNIST = "resources/fashion-mnist"
CLASSES = ("trouser", "bag", "ankle boot")
RECIPE = {
    "head": "trained", "objective": "supervised", "architecture": "test_resnet",
    "options": {"channels": [8, 8, 8, 16]}, "data": ["train", "probe"], "labels": "classes",
    "input": {"size": 24, "crop": 0.875, "interpolation": "bilinear", "mean": [0.5], "std": [0.25]},
    "seed": 1, "epochs": 3, "batch_size": 30, "optimizer": "sgd", "learning_rate": 0.1,
    "weight_decay": 0.0001, "label_smoothing": 0.1, "shift": 0, "flip": True,
    "schedule": "cosine", "warmup": 1, "augmentation": "random-resized-crop",
    "crop_scale": [0.4, 1.0],
}  # fmt: skip


@pytest.fixture(scope="module")
def clothes(tmp_path_factory):
    """A manifest of 300 images of three classes of Fashion-MNIST, saved as JPEGs by class."""
    root = tmp_path_factory.mktemp("clothes")
    source = kinds.build_manifest(
        {"kind": "fashion-mnist", "path": FASHION_MNIST, "seed": 0, "skip_corrupt": False,
         "splits": {"train": "rest", "calibration": 1000}}
    )  # fmt: skip
    decode = kinds.Decoder("fashion-mnist", FASHION_MNIST, "L")
    whole, ids, labels = source.splits["train"], [], []
    for label, name in enumerate(CLASSES):
        (root / name).mkdir()
        for example in whole.ids[whole.labels == source.classes.index(name)][:100]:
            ids.append(f"{name}/{example.replace('/', '-')}.jpg")
            labels.append(label)
            decode(example).resize((40, 32)).save(root / ids[-1], quality=95)
    ids, labels = np.array(ids), np.array(labels)
    own = np.arange(300) % 3 == 0
    splits = {"train": Split(ids[~own], labels[~own]), "probe": Split(ids[own], labels[own])}
    Manifest(CLASSES, splits).write(root / "manifest.tsv")
    return root


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    """Sums in one order, however many threads a job may take, so that weights can be compared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    yield
    monkeypatch.undo()
    torch.set_num_threads(threads)


def run(root, checkpoint, threads=1, parent=(), **changes):
    train(
        manifest=str(root / "manifest.tsv"),
        images=[],
        parents=[str(path) for path in parent],
        checkpoint=str(checkpoint),
        recipe=RECIPE | changes,
        dataset={"kind": "folder", "path": str(root)},
        code=["a fingerprint"],
        threads=threads,
    )


@pytest.mark.numeric
def test_a_network_learns_from_files_and_its_checkpoint_classifies_them(clothes, tmp_path):
    run(clothes, tmp_path / "checkpoint.safetensors", epochs=6)
    assert {file.name for file in tmp_path.iterdir()} == {"checkpoint.safetensors", "resume.pt"}
    classifier = networks.load_classifier(tmp_path / "checkpoint.safetensors", {}, 3)
    right = 0
    for label, name in enumerate(CLASSES):
        for file in sorted((clothes / name).iterdir()):
            with Image.open(file) as image:
                pixels = np.asarray(image.resize((24, 24)), dtype=np.float32)
            _, _, logits = classifier((torch.from_numpy(pixels)[None, None] / 255 - 0.5) / 0.25)
            right += int(logits.argmax()) == label
    assert right > 270


def test_a_state_of_another_parent_is_not_gone_on_from(clothes, tmp_path, caplog):
    caplog.set_level("INFO")
    parent, checkpoint = tmp_path / "parent.safetensors", tmp_path / "checkpoint.safetensors"
    parent.touch()
    run(clothes, checkpoint, parent=[parent])
    caplog.clear()
    run(clothes, checkpoint, parent=[parent])
    assert "resuming after epoch" in caplog.text
    caplog.clear()
    os.utime(parent, (0, 0))
    run(clothes, checkpoint, parent=[parent])
    assert "starting over" in caplog.text
    assert "epoch 1 of" in caplog.text


@pytest.mark.numeric
def test_the_weights_do_not_depend_on_the_number_of_decoding_processes(clothes, tmp_path):
    tensors = []
    for workers in (1, 2):
        path = tmp_path / f"{workers}.safetensors"
        run(clothes, path, threads=workers, epochs=1, warmup=0)
        tensors.append(networks.load_tensors(path)[1])
    for name, tensor in tensors[0].items():
        assert torch.equal(tensor, tensors[1][name]), name


def test_a_missing_file_is_named_and_no_checkpoint_written(clothes, tmp_path):
    table = Manifest.read(clothes / "manifest.tsv")
    train_split = table.splits["train"]
    ids = train_split.ids.copy()
    ids[7] = "bag/none.jpg"
    for name in CLASSES:
        (tmp_path / name).symlink_to(clothes / name)
    splits = {"train": Split(ids, train_split.labels), "probe": table.splits["probe"]}
    Manifest(CLASSES, splits).write(tmp_path / "manifest.tsv")
    with pytest.raises(InputError, match=r"^cannot read the image .*bag/none\.jpg"):
        run(tmp_path, tmp_path / "model" / "checkpoint.safetensors")
    assert not (tmp_path / "model").exists()


def test_throughput_is_told_for_each_epoch(clothes, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run(clothes, tmp_path / "checkpoint.safetensors", epochs=2)
    lines = [line for line in caplog.messages if line.endswith("images a second")]
    assert [line.split(":")[0] for line in lines] == ["epoch 1 of 2", "epoch 2 of 2"]


def test_each_class_is_divided_into_thirds_from_dark_to_light():
    brightness = np.array([10.0, 5, 20, 200, 100, 150, 15, 1, 2])
    labels = np.array([0, 0, 0, 1, 1, 1, 0, 0, 0])
    # Class 0 from dark to light: 1, 2, 5, 10, 15, 20.
    assert shades(brightness, labels, 2).tolist() == [1, 1, 2, 5, 3, 4, 2, 0, 0]


def test_every_shade_maps_back_to_its_class():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 500)
    fine = shades(rng.random(500), labels, 7)
    assert (networks.class_of_label("shades", 7).numpy()[fine] == labels).all()
    sizes = np.bincount(fine, minlength=21).reshape(7, 3)
    assert (np.ptp(sizes, axis=1) <= 1).all()
