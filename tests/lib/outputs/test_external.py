"""What of a study must be brought, and how a file is opened."""

import contextlib
import io
import os
import zipfile
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from workflow.lib.data.splits import Split
from workflow.lib.outputs.external import missing_files, opened, without_features
from workflow.lib.outputs.formats import holds_features
from workflow.lib.run.errors import InputError

SPLITS = {
    name: Split(np.array([f"{name}/{row}" for row in range(3)]), np.zeros(3, np.int64))
    for name in ("calibration", "test")
}


def study(path):
    networks = {
        "resnet": SimpleNamespace(rule="train", recipe={}),
        "vit": SimpleNamespace(rule="external", recipe={"logits": str(path)}),
    }
    return SimpleNamespace(name="mine", networks=networks, attributes=None)


def test_a_file_that_is_not_there_is_told_with_the_way_to_make_it(tmp_path):
    (message,) = missing_files(study("none.h5"))
    assert message.startswith("models.vit.logits: there is no file none.h5; ")
    assert "-- results/mine/template/images.csv" in message
    (tmp_path / "vit.h5").touch()
    assert missing_files(study(tmp_path / "vit.h5")) == []


def test_a_table_of_attributes_that_is_not_there_is_named(tmp_path):
    (tmp_path / "vit.h5").touch()
    here = study(tmp_path / "vit.h5")
    here.attributes = "pixels"
    assert missing_files(here) == []
    here.attributes = str(tmp_path / "none.csv")
    (message,) = missing_files(here)
    assert message.startswith(f"attributes: there is no file {here.attributes}; the command")
    assert message.endswith("lists the images whose attributes it must hold")


def test_hdf5_in_order_is_streamed_and_otherwise_held_in_memory(tmp_path):
    ids = np.concatenate([split.ids for split in SPLITS.values()])
    for order, kind in ((np.arange(6), h5py.Dataset), (np.array([2, 1, 0, 3, 4, 5]), np.ndarray)):
        path = tmp_path / "vit.h5"
        with h5py.File(path, "w") as file:
            file["logits"] = np.arange(12.0).reshape(6, 2)[order]
            file.create_dataset("ids", data=ids[order].astype(object), dtype=h5py.string_dtype())
        with opened(path, ["a", "b"]) as file:
            rows = file.rows(SPLITS, list(SPLITS), list(SPLITS))
            assert isinstance(file.logits, kind)
            logits = np.concatenate([file.take(rows[name])[0] for name in SPLITS])
            np.testing.assert_array_equal(logits, np.arange(12).reshape(6, 2))
            assert logits.dtype == np.float32


def test_class_names_with_commas_and_quotes_head_columns(tmp_path):
    path = tmp_path / "vit.csv"
    path.write_text('\ufeff"crane, bird","the ""crane""",ids\n1,2,test/0\n3,4,"test/1"\n')
    with opened(path, ['the "crane"', "crane, bird"]) as file:
        np.testing.assert_array_equal(file.logits, [[2, 1], [4, 3]])
        assert file.ids.tolist() == ["test/0", "test/1"]


def test_classes_of_one_name_need_numbers(tmp_path):
    path = tmp_path / "vit.csv"
    path.write_text("crane,crane\n1,2\n")
    with pytest.raises(
        InputError, match=r"two columns headed 'crane'; .* or with the numbers 0 to 1"
    ):
        opened(path, ["crane", "crane"]).__enter__()
    path.write_text("1,0\n1,2\n")
    with opened(path, ["crane", "crane"]) as file:
        np.testing.assert_array_equal(file.logits, [[2, 1]])


def test_endings_that_lie_are_told(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 2)))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(InputError, match=r"is an .npy file by its content"):
        opened(tmp_path / "a.npz", ["a", "b"]).__enter__()
    np.savez(tmp_path / "b.npz", logits=np.zeros((2, 2)))
    (tmp_path / "b.npz").rename(tmp_path / "b.npy")
    with pytest.raises(InputError, match=r"is an .npz file by its content"):
        opened(tmp_path / "b.npy", ["a", "b"]).__enter__()


def test_a_group_is_no_dataset(tmp_path):
    with h5py.File(tmp_path / "g.h5", "w") as file:
        file.create_group("logits")
    with pytest.raises(InputError, match="logits is a group; it must be a dataset"):
        opened(tmp_path / "g.h5", ["a", "b"]).__enter__()


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_damaged_rows_are_told(tmp_path, order):
    path = tmp_path / "vit.h5"
    ids = np.concatenate([split.ids for split in SPLITS.values()])[order]
    with h5py.File(path, "w") as file:
        file.create_dataset("logits", data=np.ones((6, 2)), chunks=(6, 2), fletcher32=True)
        file.create_dataset("ids", data=ids.astype(object), dtype=h5py.string_dtype())
        chunk = file["logits"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset] ^= 255
    path.write_bytes(content)
    with (
        opened(path, ["a", "b"]) as file,
        pytest.raises(InputError, match=r"cannot read .*vit\.h5"),
    ):
        file.check(SPLITS, file.rows(SPLITS, list(SPLITS), list(SPLITS)))


def test_rows_without_ids_are_of_the_template_or_of_what_is_needed(tmp_path):
    splits = SPLITS | {"probe": Split(np.array(["probe/0"]), np.zeros(1, np.int64))}
    orders = []
    for count in (6, 7, 8):
        np.save(tmp_path / "vit.npy", np.arange(2.0 * count).reshape(count, 2))
        with opened(tmp_path / "vit.npy", ["a", "b"]) as file:
            if count == 8:
                with pytest.raises(InputError, match=(
                    r"has 8 rows, but must hold 6 images, 3 \(calibration\) \+ 3 \(test\), or "
                    r"7 images, 3 \(calibration\) \+ 3 \(test\) \+ 1 \(probe\); bring a row for"
                )):  # fmt: skip
                    file.rows(splits, list(SPLITS), list(splits))
                continue
            rows = file.rows(splits, list(SPLITS), list(splits))
            assert {name: places.tolist() for name, places in rows.items()} == {
                "calibration": [0, 1, 2], "test": [3, 4, 5],
            }  # fmt: skip
            orders.append(file.order)
            if count == 7:
                file.rows(splits, list(splits), list(splits))
                assert file.order == orders[1]  # as soon as all its rows are needed, too
    assert orders[0] != orders[1]


def unreadable(path, message):
    with pytest.raises(InputError, match=message), opened(path, ["a", "b"]) as file:
        file.check(SPLITS, file.rows(SPLITS, list(SPLITS), list(SPLITS)))


@pytest.mark.parametrize(
    ("ids", "dtype", "message"),
    [
        ("x", None, r"ids has the shape \(\); it must have one axis"),
        (h5py.Empty("S3"), None, "ids has the shape None; it must have one axis"),
        (["é".encode("latin-1")] * 6, "S1", "text is not in UTF-8"),
        (["é".encode("latin-1")] * 6, h5py.string_dtype(), "text is not in UTF-8"),
    ],
)
def test_ids_that_hdf5_cannot_give_are_told(tmp_path, ids, dtype, message):
    with h5py.File(tmp_path / "vit.h5", "w") as file:
        file["logits"] = np.ones((6, 2))
        file.create_dataset("ids", data=ids, dtype=dtype)
    unreadable(tmp_path / "vit.h5", message)


def test_ids_of_a_fixed_length_are_utf_8(tmp_path):
    ids = [f"é{row}" for row in range(2)]
    with h5py.File(tmp_path / "vit.h5", "w") as file:
        file["logits"], file["ids"] = np.ones((2, 2)), np.char.encode(ids, "utf-8")
    with opened(tmp_path / "vit.h5", ["a", "b"]) as file:
        assert file.ids.tolist() == ids


def write_hdf5(path):
    with h5py.File(path, "w") as file:
        file["logits"], file["ids"] = np.ones((6, 2)), [f"test/{row}" for row in range(6)]


ARRAYS = {"logits": np.random.default_rng(0).normal(size=(6, 2)),
          "ids": np.concatenate([split.ids for split in SPLITS.values()])}  # fmt: skip
WHOLE = {
    "npy": lambda path: np.save(path, ARRAYS["logits"]),
    "npz": lambda path: np.savez_compressed(path, **ARRAYS),
    "h5": write_hdf5,
}


@pytest.mark.parametrize("suffix", WHOLE)
def test_an_empty_file_is_told(tmp_path, suffix):
    (tmp_path / f"vit.{suffix}").touch()
    unreadable(tmp_path / f"vit.{suffix}", "cannot read .*vit")


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_a_damaged_byte_gives_no_other_error(tmp_path, suffix):
    path = tmp_path / f"vit.{suffix}"
    WHOLE[suffix](path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        content = bytearray(whole)
        content[place] ^= 0x55
        path.write_bytes(content)
        with contextlib.suppress(InputError), opened(path, ["a", "b"]) as file:
            file.check(SPLITS, file.rows(SPLITS, list(SPLITS), list(SPLITS)))


def test_a_damaged_list_of_datasets_is_told(tmp_path):
    write_hdf5(tmp_path / "vit.h5")
    content = (tmp_path / "vit.h5").read_bytes()
    assert b"HEAP" in content
    (tmp_path / "vit.h5").write_bytes(content.replace(b"HEAP", b"HEEP"))
    unreadable(tmp_path / "vit.h5", r"cannot read .*vit\.h5: .*bad local heap signature")


@pytest.mark.parametrize(
    "text", ["17;crane;bird", "x;y\n0,5;1,5", "a;b", "id;a;b", '"id";"a";"b"', "id;a;b;c"]
)
def test_semicolons_are_told(tmp_path, text):
    (tmp_path / "vit.csv").write_text(text)
    unreadable(tmp_path / "vit.csv", "has semicolons between its columns")


def test_semicolons_in_names_of_classes_are_fine(tmp_path):
    (tmp_path / "vit.csv").write_text("a; b,c; d,id\n1,2,x\n")
    with opened(tmp_path / "vit.csv", ["a; b", "c; d"]) as file:
        assert file.ids.tolist() == ["x"]
    (tmp_path / "vit.csv").write_text("a; b,c,id\n1,2,x\n")
    with pytest.raises(InputError, match="no column headed 'c; d', and one headed 'c', which"):
        opened(tmp_path / "vit.csv", ["a; b", "c; d"]).__enter__()


def test_headings_of_other_numbers_are_headings(tmp_path):
    (tmp_path / "vit.csv").write_text("1,2\n0.5,0.5\n")
    with pytest.raises(InputError, match="no column headed 'a', and one headed '1', which"):
        opened(tmp_path / "vit.csv", ["a", "b"]).__enter__()


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("filenames", [f"test/{row}" for row in range(6)], "ids of the images, call it `ids`"),
        ("files", np.array(["a"] * 6, object), "ids of the images, call it `ids`"),
        ("row", np.arange(6), "ids of the images, call it `ids`"),
        ("embeddings", np.ones((6, 4)), "features, call it `features`"),
        ("classes", ["a", "b"], "bring the columns in the order of classes.csv instead"),
    ],
)
@pytest.mark.parametrize("suffix", ["npz", "h5"])
def test_arrays_of_other_names_that_may_order_rows_are_refused(
    tmp_path, suffix, name, values, message
):
    path = tmp_path / f"vit.{suffix}"
    if suffix == "npz":
        np.savez(path, logits=ARRAYS["logits"], **{name: values})
    else:
        with h5py.File(path, "w") as file:
            file["logits"] = ARRAYS["logits"]
            file[name] = list(values)
    unreadable(path, rf"holds an array `{name}` that is not known; .*{message}; leave it out")


def test_arrays_that_say_nothing_of_rows_are_let_be(tmp_path):
    np.savez(tmp_path / "a.npz", **ARRAYS, scale=2.0, model="vit", table=np.ones((3, 3)))
    with opened(tmp_path / "a.npz", ["a", "b"]) as file:
        assert file.ids.tolist() == ARRAYS["ids"].tolist()
    np.savez(tmp_path / "b.npz", **ARRAYS, id=ARRAYS["ids"][::-1])
    unreadable(tmp_path / "b.npz", "holds both ids and id; keep one")


NUMBERS = [str(number) for number in range(12)]


@pytest.mark.parametrize("classes", [sorted(NUMBERS), NUMBERS[::-1]])
def test_headings_that_are_numbers_and_names_are_refused_where_these_differ(tmp_path, classes):
    path = tmp_path / "vit.csv"
    values = np.arange(12.0)
    for heading in (NUMBERS, classes):
        path.write_text(",".join([*heading, "id"]) + "\n" + ",".join(map(str, values)) + ",x\n")
        with pytest.raises(InputError, match=r"both the names .* and their numbers .*npz"):
            opened(path, classes).__enter__()
        with opened(path, NUMBERS) as file:  # both are the same
            np.testing.assert_array_equal(file.logits[0], [heading.index(n) for n in NUMBERS])


def test_a_class_may_be_called_id(tmp_path):
    path = tmp_path / "vit.csv"
    for heading, classes, ids in (
        ("ids,id,x", ["x", "id"], ["7"]),
        ("id,ids,x", ["x", "ids"], ["7"]),
        ("x,id", ["x", "id"], None),
    ):
        path.write_text(f"{heading}\n7,8,9\n" if ids else f"{heading}\n9,8\n")
        with opened(path, classes) as file:
            np.testing.assert_array_equal(file.logits, [[9, 8]])
            assert (None if file.ids is None else file.ids.tolist()) == ids
    path.write_text("id,id,x\n7,8,9\n")
    with pytest.raises(InputError, match="a class, too; head the column of ids with `ids`"):
        opened(path, ["x", "id"]).__enter__()


def test_texts_that_differ_by_their_form_of_unicode_are_told_apart(tmp_path):
    composed, split = "caf\u00e9", "cafe\u0301"
    splits = {
        name: Split(np.array([f"{name}/{composed}"]), np.zeros(1, np.int64))
        for name in ("calibration", "test")
    }
    ids = [f"{name}/{split}" for name in splits]
    np.savez(tmp_path / "vit.npz", logits=ARRAYS["logits"][:2], ids=ids)
    message = r"differs only in its form of Unicode: .*unicodedata.normalize\('NFC', text\)"
    with (
        opened(tmp_path / "vit.npz", ["a", "b"]) as file,
        pytest.raises(InputError, match=message),
    ):
        file.rows(splits, list(splits), list(splits))
    (tmp_path / "vit.csv").write_text(f"{split},b\n1,2\n")
    with pytest.raises(InputError, match=message):
        opened(tmp_path / "vit.csv", [composed, "b"]).__enter__()


def test_a_model_without_features_is_named_where_they_are_missed(tmp_path):
    path = tmp_path / "vit.npz"
    here = study(path)
    here.paired, here.features = ["vit", "resnet"], SimpleNamespace(base="resnet")
    assert without_features(here) == []  # of what is not there, nothing is known
    np.savez(path, logits=ARRAYS["logits"])
    assert without_features(here) == [
        f"models.vit.logits: {path} holds no features, so figure 6 is without it"
    ]
    here.features.base = "vit"
    assert without_features(here)[0].endswith("so there is no figure 6")
    here.paired, here.features.base = [], "resnet"
    assert without_features(here) == []


def test_files_say_whether_they_hold_features(tmp_path):
    np.savez(tmp_path / "a.npz", logits=ARRAYS["logits"])
    np.savez(tmp_path / "b.npz", logits=ARRAYS["logits"], features=ARRAYS["logits"])
    write_hdf5(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["features"] = np.ones((6, 2))
    (tmp_path / "c.h5").write_bytes(b"damaged")
    found = {
        name: holds_features(tmp_path / name)
        for name in ("a.npz", "b.npz", "a.h5", "b.h5", "c.h5", "none.npz", "a.npy", "a.csv")
    }
    assert found == {
        "a.npz": False,
        "b.npz": True,
        "a.h5": False,
        "b.h5": True,
        "c.h5": True,
        "none.npz": True,
        "a.npy": False,
        "a.csv": False,
    }


def refused(path, message):
    def read():
        with opened(path, ["a", "b"]) as file:
            file.rows(SPLITS, list(SPLITS), list(SPLITS))
            file.take(np.arange(6))

    with pytest.raises(InputError, match=message):
        read()


@pytest.mark.parametrize("kind", ["virtual", "external", "soft", "link"])
@pytest.mark.parametrize("name", ["logits", "features", "ids"])
def test_nothing_outside_of_an_hdf5_file_is_read(tmp_path, kind, name):
    secret, path = tmp_path / "secret", tmp_path / "vit.h5"
    secret.write_bytes(bytes(96))
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["logits"] = np.ones((6, 2))
    with h5py.File(path, "w") as file:
        file["logits"] = np.zeros((6, 2))
        if name == "logits":
            del file["logits"]
        if kind == "virtual":
            layout = h5py.VirtualLayout((6, 2), np.float64)
            layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "logits", (6, 2))
            file.create_virtual_dataset(name, layout)
        elif kind == "external":
            file.create_dataset(name, (6, 2), np.float64, external=[(str(secret), 0, 96)])
        elif kind == "soft":
            file["hidden"] = np.zeros((6, 2))
            file[name] = h5py.SoftLink("/hidden")
        else:
            file[name] = h5py.ExternalLink(str(tmp_path / "other.h5"), "logits")
    refused(path, rf"cannot read .*vit.h5: {name} is a link, or lies in another file")


def test_a_name_that_nobody_asked_for_is_not_followed_elsewhere(tmp_path):
    with h5py.File(tmp_path / "vit.h5", "w") as file:
        file["logits"] = np.zeros((6, 2))
        file["more"] = h5py.ExternalLink(str(tmp_path / "none.h5"), "x")
    with opened(tmp_path / "vit.h5", ["a", "b"]) as file:
        assert len(file.logits) == 6
    assert not holds_features(tmp_path / "vit.h5")


def npz(path, shape, content=b"", **options):
    """An .npz file whose array says that it has a shape."""
    head = io.BytesIO()
    layout = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(head, layout)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("logits.npy", head.getvalue() + content)


def test_an_array_that_says_it_is_huge_takes_no_memory(tmp_path):
    npz(tmp_path / "vit.npz", (10**12, 2), bytes(100))
    refused(tmp_path / "vit.npz", r"vit.npz: logits.npy says that it holds 16.0 TB, in a file of")
    for chunks in (None, (1000, 2)):
        with h5py.File(tmp_path / "vit.h5", "w") as file:
            file.create_dataset("logits", (10**12, 2), np.float64, chunks=chunks or (1000, 2))
            file.create_dataset("ids", (10**12,), "S8", chunks=(1000,))
        refused(tmp_path / "vit.h5", r"vit.h5: logits says that it holds 16.0 TB, in a file of")


def test_an_archive_is_unpacked_to_the_disk_and_not_into_memory(tmp_path):
    np.savez_compressed(tmp_path / "vit.npz", logits=np.zeros((6, 2)), features=np.ones((6, 3)))
    with opened(tmp_path / "vit.npz", ["a", "b"]) as file:
        assert isinstance(file.logits, np.memmap) and isinstance(file.features, np.memmap)
        assert not os.path.exists(file.logits.filename)
        rows = file.rows(SPLITS, list(SPLITS), list(SPLITS))
        assert file.take(rows["test"])[1].tolist() == [[1, 1, 1]] * 3


@pytest.mark.parametrize("suffix", ["npy", "npz", "h5", "csv"])
def test_a_pipe_is_refused(tmp_path, suffix):
    os.mkfifo(tmp_path / f"vit.{suffix}")
    refused(tmp_path / f"vit.{suffix}", r"vit.* is no regular file")
