"""Answers in every format, matched to the images by name, and what is wrong with a file of them."""

import gzip

import numpy as np
import pytest

from workflow.lib.data.splits import Split
from workflow.lib.outputs.answers import NONE, AnswersFile, columns_of, holds_confidences
from workflow.lib.run.errors import InputError

CLASSES = ("ant", "cat", "dog")
IDS = ["val/a.JPEG", "val/b.JPEG", "val/c.JPEG"]
SPLITS = {
    "test": Split(np.array(IDS), np.array([0, 1, 2])),
    "calibration": Split(np.array(["val/d.JPEG"]), np.array([1])),
}
OWN = "id,answer,confidence\nval/b.JPEG,1,0.5\nval/a.JPEG,dog,1\nval/c.JPEG,,0\n"
TIMM = "filename,index,label,prob\nb.JPEG,1,a cat,0.5\na.JPEG,2,a dog,1.0\nc.JPEG,2,a dog,0.25\n"
TOP2 = (
    "filename,index,prob\nb.JPEG,[1 2],[0.5 0.25]\na.JPEG,[2 0],[1. 0.]\nc.JPEG,[ 2 0],[0.25 0.2]\n"
)
SEPARATE = (
    "filename,index_0,index_1,prob_0,prob_1\nb.JPEG,1,0,.5,.2\na.JPEG,2,0,1,0\nc.JPEG,2,0,.25,0\n"
)
IMAGENET_X = (
    "file_name,predicted_class,predicted_probability\n"
    "b.JPEG,1,0.5\na.JPEG,2,1.0\nc.JPEG,2,0.25\nd.JPEG,0,0.9\n"
)


@pytest.fixture
def write(tmp_path):
    """Write a file of text or arrays, and give its path."""

    def write(content, name="answers.csv"):
        path = tmp_path / name
        if isinstance(content, dict):
            np.savez(path, **content)
        elif name.endswith(".gz"):
            path.write_bytes(gzip.compress(content.encode()))
        else:
            path.write_text(content, encoding="utf-8")
        return str(path)

    return write


def read(path, column=None):
    return AnswersFile(path).of(column, SPLITS, "test", CLASSES)


def test_the_studys_own_format(write):
    found = read(write(OWN))
    assert found.top.tolist() == [2, 1, NONE]
    assert found.confidence.tolist() == [1, 0.5, 0]
    assert read(write("answer,id\n0,a.JPEG\n0,b.JPEG\n0,c.JPEG\n")).confidence is None
    tabs = write(OWN.replace(",", "\t"), "answers.tsv.gz")
    assert read(tabs).top.tolist() == [2, 1, NONE]


@pytest.mark.parametrize(
    "text", [TIMM, TOP2, SEPARATE, IMAGENET_X], ids=["TIMM", "TOP2", "SEP", "X"]
)
def test_formats_of_others(write, text):
    path = write(text)
    found = read(path)
    assert found.top.tolist() == [2, 1, 2]
    assert found.confidence.tolist() == [1, 0.5, 0.25]
    assert holds_confidences(path, None)


def test_labels_of_timm_are_classes_only_if_they_are_called_so(write):
    names = "filename,label\na.JPEG,dog\nb.JPEG,cat\nc.JPEG,ant\n"
    path = write(names)
    assert read(path).top.tolist() == [2, 1, 0]
    assert not holds_confidences(path, None)
    with pytest.raises(InputError, match=r"line 2: the answer 'hound' .* take --include-index"):
        read(write(names.replace("dog", "hound")))


def test_a_class_called_by_a_number_is_meant_by_its_name(write):
    path = write("id,answer\na.JPEG,10\nb.JPEG,0\nc.JPEG,2\n")
    found = AnswersFile(path).of(None, SPLITS, "test", ("0", "10", "2"))
    assert found.top.tolist() == [1, 0, 2]


ARRAYS = {
    "answers": np.array([[0, 1], [1, 1], [2, 2]], np.uint16),
    "models": np.array(["one", "two"]),
    "confidences": np.array([[65535], [0], [13107]], np.uint16),
    "confident": np.array(["two"]),
}


def test_arrays_of_several_models_in_the_order_of_the_dataset(write):
    path = write(ARRAYS, "answers.npz")
    assert columns_of(path) == ["one", "two"]
    assert [holds_confidences(path, name) for name in ("one", "two")] == [False, True]
    assert read(path, "one").top.tolist() == [0, 1, 2]
    assert read(path, "one").confidence is None
    two = read(path, "two")
    assert two.top.tolist() == [1, 1, 2]
    assert two.confidence.tolist() == [1, 0, 0.2]


def test_arrays_of_one_model_matched_by_ids(write):
    ids = np.array(["c.JPEG", "b.JPEG", "a.JPEG"])
    path = write({"answers": np.array([2, -1, 0]), "ids": ids}, "answers.npz")
    assert columns_of(path) is None
    assert read(path).top.tolist() == [0, NONE, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,answer\nz.JPEG,0\n", "answers for 'z.JPEG', which is no image of the dataset"),
        ("id,answer\na.JPEG,0\n", r"lacks 2 of the 3 images of the split test.* 'val/b.JPEG'"),
        (OWN + "a.JPEG,0,0\n", "answers for 'val/a.JPEG' more than once; keep one"),
        ("id,answer\na.JPEG,3\n", r"line 2: the answer '3' of 'a.JPEG' is no class, .* 0 to 2"),
        (OWN.replace("0.5", "1.5"), "the confidence 1.5 of 'val/b.JPEG' is not between 0 and 1"),
        (OWN.replace("0.5", "nan"), "the confidence nan of 'val/b.JPEG' is not between 0 and 1"),
        (OWN.replace("0.5", "high"), "line 2: the confidence 'high' of 'val/b.JPEG' is no number"),
        ("id,prediction\na,0\n", "has the columns id, prediction, but answers need `id` and"),
        ("id,answer\n", "has no rows; write an id and an answer"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(write, text, message):
    with pytest.raises(InputError, match=message):
        read(write(text))


@pytest.mark.parametrize(
    ("changes", "column", "message"),
    [
        ({"answers": ARRAYS["answers"][:2]}, "one", r"has 2 rows, but the split test has 3 images"),
        ({"answers": ARRAYS["answers"] + 7}, "one", r"answer 7 of 'val/a.JPEG' is out of range"),
        ({"answers": ARRAYS["answers"] / 1}, "one", r"answers holds float64; bring whole numbers"),
        ({"confidences": np.full((3, 1), 1.5)}, "two", r"1.5 of 'val/a.JPEG' is not between"),
        ({"confidences": np.ones((2, 1))}, "two", r"2 confidences, but 3 answers"),
        ({"models": np.array(["one"])}, "one", r"shape \(3, 2\) and 1 names of models"),
        ({}, "three", r"has no model 'three', but one, two"),
    ],
)
def test_what_is_wrong_with_arrays_is_named(write, changes, column, message):
    with pytest.raises(InputError, match=message):
        read(write(ARRAYS | changes, "answers.npz"), column)


def test_a_file_that_is_no_such_is_named(write):
    with pytest.raises(InputError, match=r"holds logits, but no array `answers`"):
        read(write({"logits": np.zeros((3, 3))}, "answers.npz"))
    with pytest.raises(InputError, match=r"cannot read .*answers.npz"):
        read(write("no archive", "answers.npz"))
    with pytest.raises(InputError, match=r"is of one model; leave `column` out"):
        read(write(OWN), "one")
    with pytest.raises(InputError, match=r"never loaded"):
        read(write({"answers": np.array([0, "a", None], object)}, "answers.npz"))
    assert not holds_confidences("nowhere.npz", None)
    assert columns_of("nowhere.npz") is None
