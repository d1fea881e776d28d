"""The manifest is read as it was written, and refused if it was altered."""

import numpy as np
import pytest

from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split, split_of_sets
from workflow.lib.outputs.digests import digest_files
from workflow.lib.run.errors import InputError

TRAIN = Split(np.array(["train/cat/a b.png", 'train/dog/"1".png']), np.array([0, 2]))
TEST = Split(np.array(["test/dog/00.png"]), np.array([2]))
MANIFEST = Manifest(("cat", "tab\tby", "dog"), {"train": TRAIN, "test": TEST}, "a1b2")


def test_the_manifest_is_read_as_it_was_written(tmp_path):
    MANIFEST.write(tmp_path / "manifest.tsv")
    again = Manifest.read(tmp_path / "manifest.tsv")
    assert again.classes == MANIFEST.classes  # that without an image, too
    assert again.source == "a1b2"
    assert list(again.splits) == ["train", "test"]
    for name, split in MANIFEST.splits.items():
        assert again.splits[name].ids.tolist() == split.ids.tolist()
        assert again.splits[name].labels.tolist() == split.labels.tolist()
        assert again.splits[name].digest == split.digest


def test_a_manifest_cut_short_is_refused(tmp_path):
    path = tmp_path / "manifest.tsv"
    MANIFEST.write(path)
    path.write_text(path.read_text()[:-4])
    with pytest.raises(InputError, match=r"manifest.tsv was altered or cut short"):
        Manifest.read(path)


def test_a_manifest_is_parsed_once_until_it_is_another(tmp_path):
    path = tmp_path / "manifest.tsv"
    MANIFEST.write(path)
    first = Manifest.read(path)
    assert Manifest.read(path) is first
    Manifest(("cat", "dog"), {"test": Split(np.array(["a"]), np.array([1]))}).write(path)
    assert Manifest.read(path).classes == ("cat", "dog")


def test_a_split_that_is_not_there_is_told_with_those_that_are():
    assert MANIFEST.split("test") is TEST
    with pytest.raises(InputError, match=r"no split 'tset', but train, test; name one of these"):
        MANIFEST.split("tset")


def test_the_digest_sees_every_id_and_label():
    def digest(ids, labels):
        return Split(np.array(ids), np.array(labels)).digest

    assert digest(["a", "b"], [0, 1]) == digest(["a", "b"], [0, 1])
    others = {digest(["b", "a"], [0, 1]), digest(["a", "b"], [1, 1]), digest(["a"], [0])}
    assert digest(["a", "b"], [0, 1]) not in others


@pytest.mark.parametrize("classes", [("label", "class"), ("id", "split")])
@pytest.mark.parametrize("labels", [[0, 1], [[1, -1], [0, 1]]])
def test_classes_may_be_called_as_columns(tmp_path, classes, labels):
    split = Split(np.array(["a", "b"]), np.array(labels))
    Manifest(classes, {"test": split}).write(tmp_path / "manifest.tsv")
    found = Manifest.read(tmp_path / "manifest.tsv")
    assert found.classes == classes
    np.testing.assert_array_equal(found.splits["test"].labels, labels)


def test_several_right_labels_and_kept_classes_are_read_as_they_were_written(tmp_path):
    rows = [("a", [2]), ("b", [0, 2]), ("c", [3, 0, 2])]
    split = split_of_sets(rows, np.array([0, 2, 3]))
    assert split.labels.tolist() == [2, 0, 3]
    assert split.also.tolist() == [[-1, -1], [2, -1], [0, 2]]
    path = tmp_path / "manifest.tsv"
    Manifest(("cat", "cow, a", "dog", "elk"), {"train": TRAIN, "test": split}).write(path)
    assert path.read_text().split("\n", 3)[3].splitlines() == [
        "# kept\ttest\t0\t2\t3",
        "id\tsplit\tlabel\tclass",
        "train/cat/a b.png\ttrain\t0\tcat",
        '"train/dog/""1"".png"\ttrain\t2\tdog',
        "a\ttest\t2\tdog",
        "b\ttest\t0 2\tcat, dog",
        "c\ttest\t3 0 2\telk, cat, dog",
    ]
    again = Manifest.read(path)
    found = again.splits["test"]
    for name in ("ids", "labels", "also", "kept"):
        np.testing.assert_array_equal(getattr(found, name), getattr(split, name))
        if name != "ids":
            assert getattr(found, name).dtype == np.int64
    assert found.digest == split.digest
    assert again.splits["train"].also is None
    assert again.splits["train"].kept is None
    assert again.splits["train"].digest == TRAIN.digest


def test_manifests_of_one_label_and_all_classes_are_as_they_always_were(tmp_path):
    MANIFEST.write(tmp_path / "manifest.tsv")
    assert (tmp_path / "manifest.tsv").read_text() == (
        "# sha256 eba45ae22dc4209c4fb5ffbc069a52f887b997dca8b0db00359035b1e954b2d4\n"
        "# source\ta1b2\n"
        '# classes\tcat\t"tab\tby"\tdog\n'
        "id\tsplit\tlabel\tclass\n"
        "train/cat/a b.png\ttrain\t0\tcat\n"
        '"train/dog/""1"".png"\ttrain\t2\tdog\n'
        "test/dog/00.png\ttest\t2\tdog\n"
    )
    assert TEST.digest == "37e9ef821df56a8ac0a8242b717407a49ff6140972baed911c66efb2f81d490a"


def test_the_digest_covers_further_labels_and_kept_classes():
    ids, labels = np.array(["a", "b"]), np.array([0, 1])
    also = np.array([[1, -1], [-1, -1]])
    plain = Split(ids, labels).digest
    none = np.full((2, 3), -1)
    assert Split(ids, labels, none).digest == plain  # what is written and read again has none
    others = {
        Split(ids, labels, also).digest,
        Split(ids, labels, also, np.array([0, 1])).digest,
        Split(ids, labels, kept=np.array([0, 1])).digest,
        Split(ids, labels, kept=np.array([0, 1, 2])).digest,
    }
    assert len(others | {plain}) == 5
    assert Split(ids, labels, also[:, :1]).digest == Split(ids, labels, also).digest


def test_a_manifest_of_tasks_is_read_as_it_was_written(tmp_path):
    labels = np.array([[1, -1, 0], [-1, 1, 1]])
    split = Split(np.array(["JPEGImages/1.jpg", "JPEGImages/2.jpg"]), labels)
    Manifest(("bag", "coat", "dress"), {"test": split}).write(tmp_path / "manifest.tsv")
    found = Manifest.read(tmp_path / "manifest.tsv")
    assert found.classes == ("bag", "coat", "dress")
    np.testing.assert_array_equal(found.splits["test"].labels, labels)
    assert found.splits["test"].digest == split.digest
    assert Split(split.ids, -labels).digest != split.digest


def test_the_digest_of_files_sees_names_contents_and_listing(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    first = digest_files([one, two])
    assert digest_files([one, two]) == first
    others = {digest_files([two, one]), digest_files([one]), digest_files([one, two], "x")}
    two.write_bytes(b"3")
    others.add(digest_files([one, two]))
    assert len(others | {first}) == 5
    with pytest.raises(InputError, match=r"cannot read .*three: No such file"):
        digest_files([one, tmp_path / "three"])
