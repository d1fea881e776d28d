"""The dataset of scenes: a whole VOC folder, the same for the same seed."""

import hashlib
import re

import numpy as np
import pytest
from PIL import Image

from workflow.lib.data import voc
from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.run.errors import InputError
from workflow.scripts.scenes import scenes

CLASSES = ("T-shirt", "ankle boot", "bag")
SHARES = {"train": 0.25, "val": 0.25, "test": 0.5}


@pytest.fixture
def study(tmp_path):
    """A split of 120 grey images of 12 by 12 pixels: a rectangle, shaped by its class."""
    labels = np.arange(120) % 3
    pixels = np.zeros((120, 1, 12, 12), dtype=np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        image[:, 3 - label : 9 + label, 1 + label : 11 - label] = 90 + 50 * label
    ids = np.array([f"train/{i:05d}" for i in range(120)])
    Manifest(CLASSES, {"rest": Split(ids, labels)}).write(tmp_path / "manifest.tsv")
    np.save(tmp_path / "rest.npy", pixels)
    return tmp_path


def make(study, name="scenes", **changes):
    arguments = {
        "manifest": str(study / "manifest.tsv"),
        "images": str(study / "rest.npy"),
        "directory": str(study / name),
        "listing": str(study / f"{name}.sha256"),
        "split": "rest",
        "shares": SHARES,
        "seed": 0,
    }
    scenes(**(arguments | changes))
    return study / name


def digest(folder):
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    parts = [str(file.relative_to(folder)).encode() + file.read_bytes() for file in files]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def garments(folder, split):
    """Ids of the images that the scenes of a split are made of."""
    used = []
    for path in voc.read_voc(folder, split).ids:
        text = (folder / path.replace("JPEGImages", "Annotations")).with_suffix(".xml").read_text()
        used += re.search("<image>(.*)</image>", text)[1].split("; ")
    return used


def test_the_scenes_are_a_voc_dataset(study):
    folder = make(study)
    classes = ("T-shirt", "ankle-boot", "bag")
    parts = {split: voc.read_voc(folder, split) for split in voc.SPLITS}
    for split, part in parts.items():
        assert part.classes == classes
        voc.check_tasks(part.labels, part.classes, split)
        assert (part.labels > 0).any(axis=1).all()
        for example in part.ids:
            with Image.open(folder / example) as image:
                assert (image.format, image.mode, image.size) == ("JPEG", "L", (18, 18))
    train, val, both, test = ([*parts[split].ids] for split in voc.SPLITS)
    assert both == sorted(train + val)
    count = len(both) + len(test)
    assert sorted(both + test) == [f"JPEGImages/{i:06d}.jpg" for i in range(1, count + 1)]
    assert abs(len(test) - count / 2) <= 1 and abs(len(train) - count / 4) <= 1
    # The same labels come from the annotations alone.
    for file in (folder / "ImageSets/Main").glob("*_*.txt"):
        file.unlink()
    for split, part in parts.items():
        again = voc.read_voc(folder, split)
        assert again.classes == part.classes
        assert again.labels.tolist() == part.labels.tolist()


def test_no_garment_is_in_two_scenes(study):
    folder = make(study)
    used = garments(folder, "trainval") + garments(folder, "test")
    assert sorted(used) == [f"train/{i:05d}" for i in range(120)]


def test_labels_are_those_of_the_garments(study):
    folder = make(study)
    for path, row in zip(*voc.read_voc(folder, "test")[:2], strict=True):
        text = (folder / path.replace("JPEGImages", "Annotations")).with_suffix(".xml").read_text()
        used = re.search("<image>(.*)</image>", text)[1].split("; ")
        inside = {int(example[-5:]) % 3 for example in used}
        shown = set(np.flatnonzero(row > 0))
        assert shown <= inside
        assert set(np.flatnonzero(row == 0)) <= inside - shown
        # Only the frontmost is sure to be seen.
        assert int(used[-1][-5:]) % 3 in shown


def test_the_seed_decides_every_byte(study):
    first = digest(make(study, "first"))
    assert digest(make(study, "second")) == first
    assert digest(make(study, "third", seed=1)) != first


def test_colour_images_make_colour_scenes(study):
    np.save(study / "rest.npy", np.repeat(np.load(study / "rest.npy"), 3, axis=1))
    folder = make(study)
    with Image.open(folder / "JPEGImages/000001.jpg") as image:
        assert (image.mode, image.size) == ("RGB", (18, 18))
    assert "<depth>3</depth>" in (folder / "Annotations/000001.xml").read_text()


def test_what_was_there_is_replaced_and_nothing_else_is_left(study):
    before = digest(make(study))
    (study / "scenes/JPEGImages/999999.jpg").touch()
    assert digest(make(study)) == before
    assert sorted(path.name for path in study.iterdir()) == [
        "manifest.tsv", "rest.npy", "scenes", "scenes.sha256",
    ]  # fmt: skip


def test_the_listing_is_of_every_file(study):
    folder = make(study)
    lines = [line.split("  ") for line in (study / "scenes.sha256").read_text().splitlines()]
    assert len(lines) == sum(path.is_file() for path in folder.rglob("*"))
    for known, name in lines:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == known


def test_nothing_is_left_of_a_failure(study):
    split = Manifest.read(study / "manifest.tsv").splits["rest"]
    # No file can have this name, which shows only after the images were written.
    Manifest(("T-shirt", "boot/shoe", "bag"), {"rest": split}).write(study / "manifest.tsv")
    with pytest.raises(FileNotFoundError, match="boot/shoe"):
        make(study)
    assert sorted(path.name for path in study.iterdir()) == ["manifest.tsv", "rest.npy"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "other"}, r"no split 'other' to make scenes of; it has rest"),
        ({"shares": {**SHARES, "test": 0.6}}, r"not together 1"),
    ],
)
def test_wrong_arguments_are_refused(study, changes, message):
    with pytest.raises(InputError, match=message):
        make(study, **changes)
    assert not (study / "scenes").exists()


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((119, 1, 12, 12), "uint8"),
        ((120, 2, 12, 12), "uint8"),
        ((120, 12, 12), "uint8"),
        ((120, 1, 12, 12), "float32"),
    ],
)
def test_images_of_another_split_are_refused(study, shape, dtype):
    np.save(study / "rest.npy", np.zeros(shape, dtype=dtype))
    with pytest.raises(InputError, match=r"rest.npy holds .*120 grey or colour images of 'rest'"):
        make(study)


def test_classes_that_would_share_their_files_are_refused(study):
    split = Manifest.read(study / "manifest.tsv").splits["rest"]
    Manifest(("ankle boot", "ankle-boot", "bag"), {"rest": split}).write(study / "manifest.tsv")
    with pytest.raises(InputError, match=r"differ only in spaces and hyphens"):
        make(study)
