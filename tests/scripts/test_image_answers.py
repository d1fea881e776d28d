"""From answers to the table of images, their attributes, and the sheets of what all get wrong."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.outputs.arrays import write_arrays
from workflow.lib.outputs.tables import read_numbers, read_table
from workflow.lib.run.errors import InputError
from workflow.scripts.attributes import attributes
from workflow.scripts.figures.image_sheets import describe, image_sheets
from workflow.scripts.image_answers import image_answers

CLASSES = ("coat", "NA", "7")
LABELS = np.array([0, 0, 1, 2, 2, 1])
TOP = np.array([[0, 2, 1, 0, 2, -1], [0, 2, 2, 1, 2, -1], [0, 2, 2, 0, 0, -1]])
SURE = np.array([[0.9] * 6, [0.5] * 6, [0.7] * 6])
CATEGORIES = {"a": "base", "b": "arch", "c": "arch"}


@pytest.fixture
def folder(tmp_path):
    split = Split(np.array([f"test/{i}" for i in range(6)]), LABELS)
    Manifest(CLASSES, {"test": split}).write(tmp_path / "manifest.tsv")
    keys = ["again", *CATEGORIES]  # the first has the weights of another
    write_arrays(
        tmp_path / "answers.npz",
        models=keys,
        top=np.concatenate([TOP[:1], TOP]),
        log_confidence=np.log(np.concatenate([SURE[:1], SURE])),
    )
    image_answers(
        manifest=str(tmp_path / "manifest.tsv"),
        answers=str(tmp_path / "answers.npz"),
        table=str(tmp_path / "images.tsv"),
        categories=CATEGORIES,
        split="test",
    )
    return tmp_path


def test_each_image_says_who_gets_it_right_and_what_most_answer(folder):
    table = read_table(folder / "images.tsv")
    assert table["id"].tolist() == [f"test/{i}" for i in range(6)]
    assert table["class"].tolist() == ["coat", "coat", "NA", "7", "7", "NA"]
    assert table["models"].unique().tolist() == [3]
    assert table["right"].tolist() == [3, 0, 1, 0, 2, 0]
    assert table["right_base"].tolist() == [1, 0, 1, 0, 1, 0]
    assert table["right_arch"].tolist() == [2, 0, 0, 0, 1, 0]
    assert table["answer"].tolist()[:5] == ["coat", "7", "7", "coat", "7"]
    assert pd.isna(table["answer"].iloc[5])  # no model answers
    assert table["agree"].tolist() == [3, 3, 2, 2, 2, 0]
    np.testing.assert_allclose(table["confidence"][:5], [0.7, 0.7, 0.6, 0.8, 0.7])
    ranked = table.dropna(subset="rank").sort_values("rank")
    assert ranked["id"].tolist() == ["test/1", "test/3", "test/2"]


def draw(folder, examples=6, number=40):
    pixels = np.zeros((examples, 3, 4, 4), np.uint8)
    pixels += (10 + 30 * np.arange(examples)).astype(np.uint8)[:, None, None, None]
    np.save(folder / "test.npy", pixels)
    image_sheets(
        table=str(folder / "images.tsv"),
        images=str(folder / "test.npy"),
        none_right=str(folder / "none.png"),
        suspected=str(folder / "suspected.png"),
        tsv=str(folder / "shown.tsv"),
        number=number,
    )
    return [areas(folder / f"{name}.png") for name in ("none", "suspected")]


def areas(path):
    ink = np.asarray(Image.open(path).convert("RGB"))
    greys = ink[..., 0][(ink[..., 0] == ink[..., 1]) & (ink[..., 1] == ink[..., 2])]
    return np.bincount(greys.ravel(), minlength=256)[10:190:30] > 0.9 * (0.8 * 300) ** 2


def test_sheets_show_the_images_of_their_table(folder):
    none, suspected = draw(folder)
    assert none.tolist() == [False, True, False, True, False, True]
    assert suspected.tolist() == [False, True, True, True, False, False]
    shown = read_table(folder / "shown.tsv")
    assert shown["row"].tolist() == [5, 3, 1, 1, 3, 2]
    none, suspected = draw(folder, number=1)
    assert (none.tolist().index(True), none.sum()) == (5, 1)
    assert (suspected.tolist().index(True), suspected.sum()) == (1, 1)


def test_labels_and_answers_are_told():
    row = {"class": "coat", "agree": 3, "models": 36, "answer": "T-shirt"}
    assert describe(row) == "label: coat\n3 of 36: T-shirt"
    assert describe(row | {"agree": 0, "answer": float("nan")}).endswith("0 of 36: no\nanswer")


def test_no_such_image_is_said_so(folder):
    rows = read_table(folder / "images.tsv").assign(right=3, rank=np.nan)
    rows.to_csv(folder / "images.tsv", sep="\t", index=False)
    (folder / ".images.tsv.sha256").unlink()
    none, suspected = draw(folder)
    assert not none.any() and not suspected.any()
    assert len(read_table(folder / "shown.tsv")) == 0


def test_images_of_another_dataset_are_an_error(folder):
    with pytest.raises(InputError, match=r"test.npy holds 5 images, but .*images.tsv has 6"):
        draw(folder, examples=5)


def write(folder, source, pixels):
    attributes(
        manifest=str(folder / "manifest.tsv"),
        source=str(source),
        table=str(folder / "attributes.tsv"),
        pixels=pixels,
        split="test",
    )
    return read_numbers(folder / "attributes.tsv")


def test_attributes_by_pixels_and_by_a_table(folder):
    draw(folder)
    table = write(folder, folder / "test.npy", True)
    assert list(table) == ["id", "brightness"]
    assert table["brightness"].tolist() == ["low"] * 2 + ["middle"] * 2 + ["high"] * 2
    text = "id,main,size\n" + "".join(f"test/{i},{i % 2},{i // 4}\n" for i in range(6))
    (folder / "a.csv").write_text(text)
    table = write(folder, folder / "a.csv", False)
    assert list(table) == ["id", "main", "size"]
    assert table["main"].tolist() == ["0", "1"] * 3


def test_images_that_are_all_alike_have_no_attributes(folder):
    np.save(folder / "test.npy", np.zeros((6, 1, 4, 4), np.uint8))
    with pytest.raises(InputError, match="the pixels of all images are alike"):
        write(folder, folder / "test.npy", True)
    np.save(folder / "test.npy", np.zeros((5, 1, 4, 4), np.uint8))
    with pytest.raises(InputError, match="holds 5 images, but the split test has 6"):
        write(folder, folder / "test.npy", True)
