"""Images and files of logits that are not what a study says are told before any job starts."""

import h5py
import numpy as np
import pytest
import yaml
from PIL import Image

from workflow.lib.outputs.formats import shape_of
from workflow.lib.run.errors import InputError
from workflow.lib.study.inputs import check_inputs
from workflow.lib.study.load import ConfigurationError, load, read

COUNT, NAMES = 20, ("blue", "green", "red")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of 60 images, and files of logits of 30 of them."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(COUNT):
            Image.new("RGB", (4, 4)).save(tmp_path / f"photos/{name}/{number:02d}.png")
    logits = np.zeros((30, 3), np.float32)
    np.savez("good.npz", logits=logits)
    np.save("good.npy", logits)
    return tmp_path


def mistakes(path="photos", files=("good.npz", "good.npy"), attributes=None, sets=None, **splits):
    splits = splits or {"train": 30, "calibration": 10, "test": "rest"}
    models = {
        f"m{place}": {"category": "arch" if place else "base", "logits": file}
        for place, file in enumerate(files)
    }
    study = {"study": "mine", "band": [0, 1], "models": models,
             "dataset": {"kind": "folder", "path": path, "seed": 0, "splits": splits}}  # fmt: skip
    study |= {"attributes": attributes} if attributes else {}
    study |= {"test_sets": sets} if sets else {}
    with open("mine.yaml", "w") as file:
        yaml.safe_dump(study, file)
    try:
        check_inputs(load(read("mine.yaml"), ["mine.yaml"]), ["mine.yaml"])
    except ConfigurationError as error:
        return error.mistakes
    return []


def test_what_fits_is_let_through(place):
    assert mistakes() == []


def test_attributes_of_other_images_are_told_before_any_job_starts(place):
    ids = [f"{name}/{number:02d}.png" for name in NAMES for number in range(COUNT)]
    lines = ["id,odd", *(f"{example},{row % 2}" for row, example in enumerate(ids))]
    (place / "good.csv").write_text("\n".join(lines))
    assert mistakes(attributes="good.csv") == []
    (place / "bad.csv").write_text("\n".join([*lines, "red/99.png,1"]))
    (text,) = mistakes(attributes="bad.csv")
    assert text.startswith("mine.yaml: attributes: bad.csv has attributes of 'red/99.png'")
    (place / "same.csv").write_text("\n".join(line.replace(",0", ",1") for line in lines))
    (text,) = mistakes(attributes="same.csv")
    assert "attributes: same.csv: the attribute `odd` is '1' for all images" in text
    (place / "few.csv").write_text("\n".join(lines[:10]))
    (text,) = mistakes(attributes="few.csv")
    assert "attributes: few.csv lacks" in text and "write a row for each" in text


def test_labels_of_other_images_are_told_before_any_job_starts(place):
    rows = [f"{name}/{number:02d}.png,{name}" for name in NAMES for number in range(COUNT)]
    (place / "all.csv").write_text("\n".join(["id,label", *rows]))
    (text,) = mistakes(sets={"again": {"labels": "all.csv"}})
    assert text.startswith("mine.yaml: test_sets.again: all.csv")  # of images to be learnt from
    (text,) = mistakes(sets={"again": {"labels": "none.csv"}})
    assert text.startswith("mine.yaml: test_sets.again: there is no file none.csv of labels")


def test_answers_on_other_images_must_be_of_the_models(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.csv").write_text("id,label\n0,ant\n1,bee\n")
    np.savez("mine.npz", answers=np.zeros((2, 2), int), models=["first", "second"])
    models = {key: {"category": category, "answers": "mine.npz", "column": key}
              for key, category in (("first", "base"), ("second", "arch"))}  # fmt: skip
    study = {"study": "mine", "band": [0, 1], "models": models,
             "dataset": {"kind": "labels", "path": "labels.csv"},
             "test_sets": {"v2": {"answers": "v2.npz"}}}  # fmt: skip

    def told(**arrays) -> list[str]:
        np.savez("v2.npz", **arrays)
        try:
            check_inputs(load(study, []), [])
        except ConfigurationError as error:
            return error.mistakes
        return []

    there = {"answers": np.zeros((3, 2), int), "models": ["first", "second"]}
    assert told(**there, labels=[0, 1, 1]) == []
    assert "bring a label for each" in told(**there)[0]
    assert (
        "labels go from 0 to 2, but the study has 2 classes" in told(**there, labels=[0, 1, 2])[0]
    )
    there["models"] = ["third", "fourth"]
    assert "has answers of none of the models" in told(**there, labels=[0, 1, 1])[0]


def test_all_mistakes_are_told_at_once(place):
    np.savez("wide.npz", logits=np.zeros((30, 5), np.float32))
    np.savez("other.npz", predictions=np.zeros((30, 3), np.float32))
    found = mistakes(files=("wide.npz", "other.npz"))
    assert [text.partition(": ")[2].partition(":")[0] for text in found] == [
        "models.m0.logits", "models.m1.logits",
    ]  # fmt: skip
    assert "wide.npz has logits of 5 classes, but the study has 3" in found[0]
    assert "other.npz holds predictions, but no array `logits`" in found[1]


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": 30, "calibration": 10, "tset": "rest"},
         r'no split \'test\'.*"test" is not there; did you mean "tset"\?'),
        ({"train": 7200, "calibration": 10, "test": "rest"}, "asks for 7210 images, but .* has 60"),
        ({"train": 50, "calibration": 10, "test": "rest"}, "no image is left for the split 'test'"),
    ],
)  # fmt: skip
def test_splits_that_the_images_do_not_give(place, splits, message):
    (text,) = mistakes(**splits)
    assert text.startswith("mine.yaml: dataset")
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(text)


def test_a_folder_that_is_not_there(place):
    (text,) = mistakes(path="pictures")
    assert text == "mine.yaml: dataset.path: there is no folder pictures"


@pytest.mark.parametrize("rows", [29, 61])
def test_rows_that_are_not_those_of_the_images(place, rows):
    np.save("bad.npy", np.zeros((rows, 3), np.float32))
    (text,) = mistakes(files=("good.npz", "bad.npy"))
    assert f"bad.npy names no images and has {rows} rows, but must hold 30" in text
    # A file that names its images may hold more of them.
    np.savez("named.npz", logits=np.zeros((rows, 3), np.float32), ids=np.arange(rows).astype(str))
    assert bool(mistakes(files=("good.npz", "named.npz"))) == (rows < 30)


def test_shapes_without_reading(place):
    assert shape_of("good.npz", NAMES) == (30, 3, False)
    assert shape_of("good.npy", NAMES) == (30, 3, False)
    with h5py.File("good.h5", "w") as file:
        file["logits"], file["ids"] = np.zeros((30, 3), np.float32), np.arange(30)
    assert shape_of("good.h5", NAMES) == (30, 3, True)
    with open("good.csv", "w") as file:
        file.write("id,red,green,blue\n")
    assert shape_of("good.csv", NAMES) == (None, None, True)
    with open("bad.csv", "w") as file:
        file.write("id,red,green\n")
    with pytest.raises(InputError, match=r"bad\.csv has logits of 2 classes, but the study has 3"):
        shape_of("bad.csv", NAMES)
    np.save("flat.npy", np.zeros(30, np.float32))
    with pytest.raises(InputError, match=r"shape \(30,\); it must have two axes"):
        shape_of("flat.npy", NAMES)
    with open("text.npz", "w") as file:
        file.write("no archive")
    with pytest.raises(InputError, match=r"cannot read text\.npz"):
        shape_of("text.npz", NAMES)
