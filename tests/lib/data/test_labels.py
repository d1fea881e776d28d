"""Labels without images: what a table of them may say, and what is wrong with one."""

import numpy as np
import pytest

from workflow.lib.data import labels
from workflow.lib.data.kinds import Decoder, build_manifest, source_files, source_listing
from workflow.lib.run.errors import InputError

ROWS = "id,label\na,dog\nb,cat\nc,dog\nd,ant\n"


@pytest.fixture
def write(tmp_path):
    """Write a file, and give its path."""

    def write(text, name="labels.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def dataset(path, splits=(), **more):
    return {"kind": "labels", "path": path, "seed": 0, "splits": dict(splits), **more}


def test_all_rows_are_test_images_in_the_order_of_the_file(write):
    manifest = build_manifest(dataset(write(ROWS)))
    assert manifest.classes == ("ant", "cat", "dog")
    assert list(manifest.splits) == ["test"]
    assert manifest.splits["test"].ids.tolist() == ["a", "b", "c", "d"]
    assert manifest.splits["test"].labels.tolist() == [2, 1, 2, 0]


def test_numbers_are_indices_and_a_class_may_be_without_an_image(write):
    manifest = build_manifest(dataset(write("label\tid\n2\ta\n10\tb\n", "labels.tsv")))
    assert manifest.classes == tuple(map(str, range(11)))
    assert manifest.splits["test"].labels.tolist() == [2, 10]


@pytest.mark.parametrize(
    ("text", "name"),
    [("ant\ncat\ndog\n", "n.txt"), ("column,class\n0,ant\n1,cat\n2,dog\n", "n.csv"),
     ("synset\tname\nn1\tant\nn2\tcat\nn3\tdog\n", "n.tsv")],
)  # fmt: skip
@pytest.mark.parametrize("rows", ["id,label\na,2\nb,0\n", "id,label\na,dog\nb,ant\n"])
def test_classes_are_named_by_a_file_and_labels_by_name_or_index(write, text, name, rows):
    names = write(text, name)
    own = dataset(write(rows), classes=names)
    manifest = build_manifest(own)
    assert manifest.classes == ("ant", "cat", "dog")
    assert manifest.splits["test"].labels.tolist() == [2, 0]
    assert source_files(own) == [own["path"], names]
    assert source_listing(own) == ""


def test_a_column_says_which_split_a_row_is_in(write):
    path = write("id,split,label\na,test,0\nb,calibration,1\nc,test,1\n")
    manifest = build_manifest(dataset(path))
    assert {name: split.ids.tolist() for name, split in manifest.splits.items()} == {
        "test": ["a", "c"], "calibration": ["b"],
    }  # fmt: skip
    assert labels.named_splits(path) == {"test", "calibration"}


def test_calibration_images_are_drawn_in_equal_shares(write):
    rows = "".join(f"{i},{i % 4}\n" for i in range(400))
    splits = {"calibration": 100, "test": "rest"}
    manifest = build_manifest(dataset(write("id,label\n" + rows), splits))
    assert np.bincount(manifest.splits["calibration"].labels).tolist() == [25] * 4
    assert np.bincount(manifest.splits["test"].labels).tolist() == [75] * 4


@pytest.mark.parametrize(
    ("text", "classes", "message"),
    [
        ("name,label\na,0\n", None, "no column `id`: its first line .* is name,label"),
        ("", None, "has no column `id`: .* is empty"),
        ("id,label\n", None, "has no rows; write an id and a label"),
        ("id,label\na,0\nb,1\na,1\n", None, "line 4: the id 'a' is in line 2 too"),
        ("id,label\na,0,1\n", None, "line 2: 3 cells, but 2 headings"),
        ("id,label\na,wolf\n", "ant\ncat\n", "line 2: the label .wolf. is no class, .* 0 to 1"),
        ("id,label\na,2\n", "ant\ncat\n", "line 2: the label '2' is no class"),
        ("id,label,split\na,2,train\n", None, "has no row whose split is 'test', but train"),
        ("id,label\na,12345678\n", None, "the label 12345678 is no index of a class"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_table_is_named(write, text, classes, message):
    own = {"classes": write(classes, "names.txt")} if classes else {}
    with pytest.raises(InputError, match=message):
        build_manifest(dataset(write(text), **own))


def test_a_table_without_names_is_refused(write):
    names = write("index\n0\n", "n.csv")
    with pytest.raises(InputError, match=r"n.csv has no column `name` or `class`"):
        build_manifest(dataset(write(ROWS), classes=names))


def test_there_are_no_images(write):
    path = write(ROWS)
    with pytest.raises(InputError, match="holds labels alone, no images"):
        Decoder("labels", path, "RGB")
    assert labels.named_splits(path + "nowhere") == set()
