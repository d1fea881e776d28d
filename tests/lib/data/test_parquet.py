"""Parquet files: which split each is of, which columns count, and rows from many threads."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workflow.lib.data import files, parquet
from workflow.lib.run.errors import InputError

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(path, columns, features=None):
    table = pa.table(columns)
    if features:
        table = table.replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": features}})}
        )
    pq.write_table(table, path, row_group_size=3)
    return path


def images(count):
    return pa.array([{"bytes": b"%d" % i, "path": None} for i in range(count)], IMAGE)


def named(*names):
    return {"_type": "ClassLabel", "names": names}


@pytest.mark.parametrize(
    ("file", "split"),
    [
        ("data/train-00000-of-00294.parquet", "train"),
        ("data/validation-00000-of-00014.parquet", "validation"),
        ("data/test-00000-of-00028-6cd2b176f76b4f01.parquet", "test"),
        ("default/val/0000.parquet", "validation"),
        ("train/part-eval.parquet", "test"),
        ("my_test_set.parquet", "test"),
        ("default/train/0000.parquet", "train"),
        ("default/partial-train/0000.parquet", "train"),
        ("default/extra/0000.parquet", "extra"),
        ("data/extra-00000-of-00001.parquet", "extra"),
        ("data/train_extra-00000-of-00001-0123456789abcdef.parquet", "train-extra"),
        ("data/train.clean.100-00000-of-00014.parquet", "train-clean-100"),
        ("contest/0000.parquet", None),
        ("0000.parquet", None),
    ],
)
def test_a_files_name_says_its_split(file, split):
    assert parquet.split_of(file) == split


def test_columns_are_found_by_their_types_and_names(tmp_path):
    path = write(
        tmp_path / "a.parquet",
        {"id": [1], "img": images(1), "kind": [0], "label": [1], "text": ["a"]},
        {"img": {"_type": "Image"}, "kind": named("x"), "label": named("cat", "dog")},
    )
    assert parquet.read_columns(path) == parquet.Columns("img", "label", ("cat", "dog"))


def test_a_single_label_may_have_any_name_if_the_metadata_say_so(tmp_path):
    path = write(tmp_path / "a.parquet", {"img": images(1), "y": [1]}, {"y": named("a", "b")})
    assert parquet.read_columns(path) == parquet.Columns("img", "y", ("a", "b"))


@pytest.mark.parametrize(
    ("columns", "features", "message"),
    [
        ({"label": [0]}, None, "no column of images .label.; name one of them 'image'"),
        ({"image": ["a.png"], "label": [0]}, None, "no column of images"),
        ({"image": images(1)}, None, "no column of labels"),
        ({"image": images(1), "fine": [0], "coarse": [0]},
         {"fine": named("a"), "coarse": named("b")}, "several columns of labels .fine, coarse."),
    ],
)  # fmt: skip
def test_columns_that_are_missing_or_ambiguous_are_named(tmp_path, columns, features, message):
    with pytest.raises(InputError, match=message):
        parquet.read_columns(write(tmp_path / "a.parquet", columns, features))


def test_what_is_no_parquet_file_is_named(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"no such thing")
    with pytest.raises(InputError, match=r"cannot read .*a.parquet"):
        parquet.read_labels(str(tmp_path), ["a.parquet"])


def test_labels_without_names_are_the_classes(tmp_path):
    write(tmp_path / "a.parquet", {"image": images(3), "label": ["dog", "cat", "dog"]})
    write(tmp_path / "b.parquet", {"image": images(1), "label": ["eel"]})
    classes, labels = parquet.read_labels(str(tmp_path), ["a.parquet", "b.parquet"])
    assert classes == ("cat", "dog", "eel")
    assert {name: values.tolist() for name, values in labels.items()} == {
        "a.parquet": [1, 0, 1], "b.parquet": [2]
    }  # fmt: skip


def test_negative_numbers_and_files_without_rows_are_no_class(tmp_path):
    write(tmp_path / "a.parquet", {"image": images(3), "label": [7, -1, 3]})
    write(tmp_path / "b.parquet", {"image": images(0), "label": pa.array([], pa.string())})
    classes, labels = parquet.read_labels(str(tmp_path), ["a.parquet", "b.parquet"])
    assert classes == ("3", "7")
    assert labels["a.parquet"].tolist() == [1, -1, 0]
    assert labels["b.parquet"].tolist() == []


def test_labels_may_be_categories_of_pandas(tmp_path):
    column = pa.array(["dog", "cat"]).dictionary_encode()
    write(tmp_path / "a.parquet", {"image": images(2), "label": column})
    classes, labels = parquet.read_labels(str(tmp_path), ["a.parquet"])
    assert (classes, labels["a.parquet"].tolist()) == (("cat", "dog"), [1, 0])


@pytest.mark.parametrize(
    ("labels", "features", "message"),
    [
        (["a", None], None, "a.parquet: a label is missing; remove its row"),
        ([None, None], None, "a.parquet: a label is missing"),
        ([[0], [1, 0]], None, "its labels are list<.*>; write them as whole numbers or as text"),
        ([0.0, 1.5], None, "its labels are double; write them"),
        (["a", "b"], {"label": named("a", "b")}, "name classes, but its labels are text, not"),
    ],
)
def test_labels_that_can_be_none_are_named(tmp_path, labels, features, message):
    write(tmp_path / "a.parquet", {"image": images(2), "label": labels}, features)
    with pytest.raises(InputError, match=message):
        parquet.read_labels(str(tmp_path), ["a.parquet"])


def test_labels_of_two_types_are_named(tmp_path):
    write(tmp_path / "a.parquet", {"image": images(1), "label": [0]})
    write(tmp_path / "b.parquet", {"image": images(1), "label": ["0"]})
    with pytest.raises(InputError, match=r"a.parquet and .*b.parquet are of different classes"):
        parquet.read_labels(str(tmp_path), ["a.parquet", "b.parquet"])


def test_files_of_different_classes_and_missing_labels_are_named(tmp_path):
    write(tmp_path / "a.parquet", {"image": images(1), "label": [0]}, {"label": named("a", "b")})
    write(tmp_path / "b.parquet", {"image": images(1), "label": [0]}, {"label": named("b", "a")})
    with pytest.raises(InputError, match=r"a.parquet and .*b.parquet are of different classes"):
        parquet.read_labels(str(tmp_path), ["a.parquet", "b.parquet"])
    write(tmp_path / "b.parquet", {"image": images(2), "label": [0, None]},
          {"label": named("a", "b")})  # fmt: skip
    with pytest.raises(InputError, match=r"b.parquet: a label is missing"):
        parquet.read_labels(str(tmp_path), ["b.parquet"])


def test_rows_are_read_from_any_thread_in_any_order(tmp_path):
    for name in "abcdef":
        rows = pa.array([{"bytes": f"{name}{i}".encode(), "path": None} for i in range(10)], IMAGE)
        write(tmp_path / f"{name}.parquet", {"image": rows, "label": [0] * 10})
    rows = parquet.Rows(str(tmp_path))
    order = np.random.default_rng(0).permutation(60)
    wanted = [("abcdef"[i // 10], i % 10) for i in order.tolist()]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda row: rows(f"{row[0]}.parquet/{row[1]:06d}"), wanted))
    assert found == [f"{name}{i}".encode() for name, i in wanted]


def test_a_row_that_is_not_there_is_named(tmp_path):
    broken = pa.array([{"bytes": None, "path": "a.png"}], IMAGE)
    write(tmp_path / "a.parquet", {"image": broken, "label": [0]})
    rows = parquet.Rows(str(tmp_path))
    with pytest.raises(InputError, match=r"row 000000 of .*a.parquet holds no bytes"):
        rows("a.parquet/000000")
    with pytest.raises(InputError, match=r"cannot read row 000001 of .*a.parquet"):
        rows("a.parquet/000001")
    with pytest.raises(InputError, match=r"cannot read row 000000 of .*b.parquet"):
        rows("b.parquet/000000")


@pytest.mark.slow
def test_a_row_group_above_two_gigabytes_is_read(tmp_path):
    one = pa.array([{"bytes": b"%02d" % i + bytes(2**22), "path": None} for i in range(20)], IMAGE)
    images = pa.chunked_array([one] * 28)  # 2.3 GB, of 80 MB in memory
    table = pa.table({"image": images, "label": [0] * 560})
    path = tmp_path / "train.parquet"
    pq.write_table(table, path, row_group_size=1000, compression="zstd", use_dictionary=False)
    assert pq.read_metadata(path).num_row_groups == 1
    rows = parquet.Rows(str(tmp_path))
    for number in (0, 559, 21, 22):
        assert rows(f"train.parquet/{number:06d}")[:3] == b"%02d\0" % (number % 20)
    kept = [batch for _, batches in rows._batches.values() for _, batch in batches]
    assert sum(batch.nbytes for batch in kept) < 2**29


def test_a_split_that_a_file_names_is_a_split_of_its_own(tmp_path):
    (tmp_path / "data").mkdir()
    for number, name in enumerate(("train", "test", "extra")):
        table = {"image": images(number + 1), "label": [0] * (number + 1)}
        write(tmp_path / f"data/{name}-00000-of-00001.parquet", table)
    files.look.cache_clear()
    _, splits = parquet.read(str(tmp_path), {})
    assert {name: len(split.ids) for name, split in splits.items()} == {
        "train": 1,
        "test": 2,
        "extra": 3,
    }
    write(tmp_path / "data/birds.parquet", {"image": images(1), "label": [0]})
    files.look.cache_clear()
    with pytest.raises(InputError, match=r"data/birds.parquet does not say of which split it is"):
        parquet.read(str(tmp_path), {})
