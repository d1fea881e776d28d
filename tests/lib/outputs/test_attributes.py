"""Tables of attributes, as users bring them, and what is wrong with some."""

import gzip

import numpy as np
import pytest

from workflow.lib.data.splits import Split
from workflow.lib.outputs.attributes import MOST, read_attributes
from workflow.lib.run.errors import InputError

IDS = np.array([f"val/{letter}.png" for letter in "abcd"])
SPLITS = {
    "test": Split(IDS[[2, 0, 1]], np.zeros(3, int)),
    "calibration": Split(IDS[3:], np.zeros(1, int)),
}
GOOD = "id,dark,pose\nval/a.png,1,side\nval/b.png,0,front\nval/c.png,0,\nval/d.png,1,back\n"


def read(tmp_path, text, name="attributes.csv", splits=SPLITS):
    (tmp_path / name).write_text(text)
    return read_attributes(str(tmp_path / name), splits, "test")


def test_a_table_is_read_in_the_order_of_the_images(tmp_path):
    found = read(tmp_path, GOOD)
    assert {name: values.tolist() for name, values in found.items()} == {
        "dark": ["0", "1", "0"],
        "pose": ["", "side", "front"],
    }
    tabs = read(tmp_path, GOOD.replace(",", "\t"), "attributes.tsv")
    with gzip.open(tmp_path / "packed.csv.gz", "wt") as file:
        file.write(GOOD)
    packed = read_attributes(str(tmp_path / "packed.csv.gz"), SPLITS, "test")
    for other in (tabs, packed):
        assert {n: v.tolist() for n, v in other.items()} == {
            n: v.tolist() for n, v in found.items()
        }


@pytest.mark.parametrize("words", [("True", "False"), ("1.0", "0.0"), ("yes", "no")])
def test_truth_values_are_written_in_any_way(tmp_path, words):
    text = GOOD.replace(",1,", f",{words[0]},").replace(",0,", f",{words[1]},")
    assert read(tmp_path, text)["dark"].tolist() == ["0", "1", "0"]


def test_images_may_be_named_by_their_files_alone_in_any_column_of_ids(tmp_path):
    text = GOOD.replace("val/", "").replace("id,", "file_name,")
    assert read(tmp_path, text)["dark"].tolist() == ["0", "1", "0"]
    swapped = "dark,file_name\n1,a.png\n0,b.png\n0,c.png\n"
    assert read(tmp_path, swapped)["dark"].tolist() == ["0", "1", "0"]


MANY = "id,n\n" + "".join(f"x{i},{i}\n" for i in range(MOST + 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows; write an id and its attributes"),
        ("id\nval/a.png\n", "has the column `id` alone"),
        (GOOD + "val/z.png,1,side\n", "has attributes of 'val/z.png', which is no image of the"),
        (GOOD.replace("val/b.png,0,front\n", ""), "lacks 1 of the 3 images .* 'val/b.png'; write"),
        (GOOD + "val/a.png,1,side\n", "has attributes of 'val/a.png' more than once"),
        (GOOD.replace(",1,", ",0,"), "`dark` is '0' for all images, which divides nothing"),
        ("id,dark\nval/a.png,\nval/b.png,\nval/c.png,\n", "`dark` is empty, which divides"),
        (GOOD + "val/e.png,1\n", "line 6: 2 cells, but 3 headings"),
        (GOOD.replace("dark", ""), "column 2 has no heading"),
    ],
)
def test_tables_that_are_no_attributes_are_refused_by_name(tmp_path, text, message):
    with pytest.raises(InputError, match=f"attributes.csv.*{message}"):
        read(tmp_path, text)


def test_a_column_of_too_many_values_is_no_attribute(tmp_path):
    with pytest.raises(InputError, match=f"`n` has {MOST + 1} different values; bring up to"):
        read(tmp_path, MANY, splits=None)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    with pytest.raises(InputError, match=r"cannot read .*a\.csv"):
        read_attributes(str(tmp_path / "a.csv"), None, "test")
