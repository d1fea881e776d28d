"""Datasets: splits, manifest, and what is said when files are wrong."""

import numpy as np
import pytest
from PIL import Image

from workflow.lib import datasets
from workflow.lib.datasets import Decoder, Manifest, Split, build_manifest, source_files
from workflow.lib.jobs import InputError

FASHION = {"kind": "fashion-mnist", "path": "resources/fashion-mnist"}


@pytest.fixture
def folder(tmp_path):
    """Twelve cats and eight dogs to train on, two of each to test on."""
    for split, name, count in (
        ("train", "cat", 12), ("train", "dog", 8), ("test", "cat", 2), ("test", "dog", 2)
    ):  # fmt: skip
        place = tmp_path / split / name
        place.mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (40, 30), (i, 100, 200)).save(place / f"{i:02d}.png")
    return tmp_path


def build(folder, splits, seed=0):
    files = source_files({"kind": "folder", "path": str(folder)})
    return build_manifest("folder", str(folder), files, splits, seed)


def test_fashion_mnist_is_the_published_dataset():
    manifest = build_manifest(
        **FASHION, files=[], splits={"train": 30000, "calibration": "rest"}, seed=0
    )
    assert {name: len(split.ids) for name, split in manifest.splits.items()} == {
        "train": 30000, "calibration": 30000, "test": 10000
    }  # fmt: skip
    # The first test images are an ankle boot, a pullover and two trousers (the dataset's page).
    assert [manifest.classes[i] for i in manifest.splits["test"].labels[:4]] == [
        "ankle boot", "pullover", "trouser", "trouser"
    ]  # fmt: skip
    for split in manifest.splits.values():
        assert set(np.bincount(split.labels)) == {len(split.labels) // 10}


def test_splits_share_no_image_and_give_each_class_its_share(folder):
    manifest = build(folder, {"train": 10, "other": 5, "calibration": "rest"})
    splits = [manifest.splits[name] for name in ("train", "other", "calibration")]
    assert [np.bincount(split.labels).tolist() for split in splits] == [[6, 4], [3, 2], [3, 2]]
    ids = np.concatenate([split.ids for split in splits])
    assert len(set(ids)) == 20


def test_the_seed_decides_the_draw(folder):
    draws = [build(folder, {"train": 10, "calibration": 10}, seed) for seed in (0, 0, 1)]
    digests = [manifest.splits["train"].digest for manifest in draws]
    assert digests[0] == digests[1] != digests[2]


def test_a_folder_of_its_own_is_a_split(folder):
    (folder / "test").rename(folder / "calibration")
    for name in ("cat", "dog"):
        (folder / "test" / name).mkdir(parents=True)
        Image.new("L", (9, 9)).save(folder / "test" / name / "a.png")
    manifest = build(folder, {})
    assert {name: len(split.ids) for name, split in manifest.splits.items()} == {
        "train": 20, "calibration": 4, "test": 2
    }  # fmt: skip


def test_the_manifest_is_read_as_it_was_written(folder, tmp_path):
    manifest = build(folder, {"train": 10, "calibration": 10})
    manifest.write(tmp_path / "manifest.tsv")
    again = Manifest.read(tmp_path / "manifest.tsv")
    assert again.classes == ("cat", "dog")
    for name, split in manifest.splits.items():
        assert again.splits[name].digest == split.digest


def test_a_manifest_cut_short_is_refused(folder, tmp_path):
    path = tmp_path / "manifest.tsv"
    build(folder, {"train": 10, "calibration": 10}).write(path)
    path.write_text(path.read_text()[:-20])
    with pytest.raises(InputError, match=r"manifest.tsv was altered or cut short"):
        Manifest.read(path)


def test_the_digest_sees_every_id_and_label():
    def digest(ids, labels):
        return Split(np.array(ids), np.array(labels)).digest

    assert digest(["a", "b"], [0, 1]) == digest(["a", "b"], [0, 1])
    others = {digest(["b", "a"], [0, 1]), digest(["a", "b"], [1, 1]), digest(["a"], [0])}
    assert digest(["a", "b"], [0, 1]) not in others


@pytest.mark.parametrize(
    ("spoil", "splits", "message"),
    [
        (lambda f: [p.unlink() for p in (f / "test/dog").iterdir()], {"calibration": 9},
         "'test' has no image of dog"),
        (lambda f: (f / "test/dog").rename(f / "test/wolf"), {"calibration": 9},
         "test/wolf is a class that .*train has not"),
        (lambda f: (f / "train/cat/00.png").rename(f / "train/00.png"), {}, "00.png is not in a"),
        (lambda f: (f / "train").rename(f / "learn"), {}, "train holds no image"),
        (lambda f: None, {"train": 15, "calibration": 6}, "asks for 21 images, but .* has 20"),
        (lambda f: None, {"train": 20}, "no split 'calibration'"),
        (lambda f: None, {"train": 1, "calibration": 10}, "'train' has no image of"),
        (lambda f: (f / "other/cat").mkdir(parents=True)
         or Image.new("L", (9, 9)).save(f / "other/cat/a.png"),
         {"train": 9, "other": 2, "calibration": 9}, "remove one of them"),
    ],
)  # fmt: skip
def test_a_wrong_folder_is_named(folder, spoil, splits, message):
    spoil(folder)
    with pytest.raises(InputError, match=message):
        build(folder, {"train": 10, **splits} if splits else splits)


def test_a_missing_or_altered_file_of_fashion_mnist_is_named(tmp_path):
    with pytest.raises(InputError, match=r"train-labels-idx1-ubyte.gz is missing; restore"):
        build_manifest("fashion-mnist", str(tmp_path), [], {}, 0)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(b"other")
    with pytest.raises(InputError, match=r"SHA-256"):
        build_manifest("fashion-mnist", str(tmp_path), [], {}, 0)


def test_an_image_that_cannot_be_read_is_named(folder):
    decode = Decoder("folder", str(folder), "RGB")
    assert decode("train/cat/03.png").getpixel((0, 0)) == (3, 100, 200)
    (folder / "train/cat/03.png").write_bytes((folder / "train/cat/03.png").read_bytes()[:50])
    with pytest.raises(InputError, match=r"train/cat/03.png"):
        decode("train/cat/03.png")
    with pytest.raises(InputError, match=r"train/cat/99.png.*No such file"):
        decode("train/cat/99.png")


def test_a_label_out_of_range_is_refused(monkeypatch):
    labels = np.arange(60000) % 11
    monkeypatch.setattr(datasets, "_fashion_mnist_labels", lambda *_: labels)
    with pytest.raises(InputError, match=r"is 10, out of range"):
        build_manifest(**FASHION, files=[], splits={"train": 9000, "calibration": 100}, seed=0)


def test_a_manifest_of_tasks_is_read_as_it_was_written(tmp_path):
    labels = np.array([[1, -1, 0], [-1, 1, 1]])
    split = Split(np.array(["JPEGImages/1.jpg", "JPEGImages/2.jpg"]), labels)
    Manifest(("bag", "coat", "dress"), {"test": split}).write(tmp_path / "manifest.tsv")
    found = Manifest.read(tmp_path / "manifest.tsv")
    assert found.classes == ("bag", "coat", "dress")
    np.testing.assert_array_equal(found.splits["test"].labels, labels)
    assert found.splits["test"].digest == split.digest
    assert Split(split.ids, -labels).digest != split.digest
