"""The manifest of tasks says what the folder says, and tasks that can't be learnt are refused."""

import shutil

import numpy as np
import pytest
from PIL import Image

from tests.voc import write_annotation, write_sets
from workflow.lib.data.manifest import Manifest
from workflow.lib.data.voc import VocObject
from workflow.lib.run.errors import InputError
from workflow.scripts.tasks import tasks

CLASSES = ["bag", "coat"]


def make(folder, labels: dict[str, list[list[int]]]) -> None:
    """Write a folder of images with these labels."""
    for name in ("JPEGImages", "Annotations"):
        (folder / name).mkdir(parents=True)
    ids, number = {}, 0
    for split, rows in labels.items():
        ids[split] = []
        for row in rows:
            key = f"{number:06d}"
            number += 1
            Image.new("L", (8, 8)).save(folder / f"JPEGImages/{key}.jpg")
            things = [
                VocObject(name, label == 0, False, (1, 1, 8, 8))
                for name, label in zip(CLASSES, row, strict=True)
                if label >= 0
            ]
            write_annotation(folder / f"Annotations/{key}.xml", (8, 8, 1), things,
                             {"database": "test", "image": key})  # fmt: skip
            ids[split].append(key)
    own = {split: np.array(rows, dtype=np.int8) for split, rows in labels.items()}
    write_sets(folder, ids, own, CLASSES)


GOOD = [[1, 1], [1, 1], [-1, 0], [0, -1]]


def test_the_manifest_holds_all_splits_and_labels(tmp_path):
    make(tmp_path / "voc", {"train": GOOD, "val": GOOD[::-1], "test": GOOD})
    tasks(source=[], manifest=str(tmp_path / "m.tsv"), path=str(tmp_path / "voc"))
    manifest = Manifest.read(tmp_path / "m.tsv")
    assert manifest.classes == ("bag", "coat")
    assert list(manifest.splits) == ["train", "val", "test"]
    np.testing.assert_array_equal(manifest.splits["val"].labels, GOOD[::-1])
    assert manifest.splits["train"].ids[0] == "JPEGImages/000000.jpg"


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        ([[1, 1], [-1, 1]], "the task 'bag' has a single positive image in the split 'val'"),
        ([[0, 1], [-1, 1]], "the task 'bag' has no positive image in the split 'val'"),
    ],
)
def test_a_task_without_two_positives_is_refused(tmp_path, spoilt, message):
    make(tmp_path / "voc", {"train": GOOD, "val": spoilt, "test": GOOD})
    with pytest.raises(InputError, match=message):
        tasks(source=[], manifest=str(tmp_path / "m.tsv"), path=str(tmp_path / "voc"))
    assert not (tmp_path / "m.tsv").exists()


def test_splits_that_share_an_image_are_refused(tmp_path):
    folder = tmp_path / "voc"
    make(folder, {"train": GOOD, "val": GOOD, "test": GOOD})
    sets = folder / "ImageSets/Main"
    for name in ("test", "bag_test", "coat_test"):
        shutil.copy(sets / f"{name.replace('test', 'train')}.txt", sets / f"{name}.txt")
    with pytest.raises(InputError, match=r"000000.jpg is in the splits 'train' and 'test'; leave"):
        tasks(source=[], manifest=str(tmp_path / "m.tsv"), path=str(folder))
