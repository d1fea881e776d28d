"""What of a study must be brought, and how a file is opened."""

import h5py
import numpy as np
import pytest

from workflow.lib.brought import brought_file, needed_splits, opened, template_splits
from workflow.lib.datasets import Split
from workflow.lib.jobs import InputError

SPLITS = {
    name: Split(np.array([f"{name}/{row}" for row in range(3)]), np.zeros(3, np.int64))
    for name in ("calibration", "test")
}


def study(path="none.h5", **features):
    features = {"models": [], "base": "resnet", "data": "probe"} | features
    networks = {"resnet": {"recipe": {"head": "trained"}},
                "vit": {"recipe": {"head": "logits", "logits": str(path)}}}  # fmt: skip
    return {"study": "mine", "features": features, "networks": networks}


def test_images_that_probes_learn_from_are_needed_of_models_that_are_probed():
    assert needed_splits(study(), "vit") == ["calibration", "test"]
    assert needed_splits(study(models=["vit"]), "vit") == ["calibration", "test", "probe"]
    assert needed_splits(study(models=["other"], base="vit"), "vit")[2:] == ["probe"]
    assert template_splits(study()) == ["calibration", "test"]
    assert template_splits(study(models=["vit"])) == ["calibration", "test", "probe"]
    assert template_splits(study(models=["other"])) == ["calibration", "test"]


def test_a_file_that_is_not_there_is_told_with_the_way_to_make_it(tmp_path):
    with pytest.raises(InputError, match=r"models.vit.logits: there is no file none.h5; .*"
                                         r"results/mine/template/images.csv"):  # fmt: skip
        brought_file(study(), "vit")
    (tmp_path / "vit.h5").touch()
    assert brought_file(study(tmp_path / "vit.h5"), "vit") == str(tmp_path / "vit.h5")


def test_hdf5_in_order_is_streamed_and_otherwise_held_in_memory(tmp_path):
    ids = np.concatenate([split.ids for split in SPLITS.values()])
    for order, kind in ((np.arange(6), h5py.Dataset), (np.array([2, 1, 0, 3, 4, 5]), np.ndarray)):
        path = tmp_path / "vit.h5"
        with h5py.File(path, "w") as file:
            file["logits"] = np.arange(12.0).reshape(6, 2)[order]
            file.create_dataset("ids", data=ids[order].astype(object), dtype=h5py.string_dtype())
        with opened(path, ["a", "b"]) as file:
            rows = file.rows(SPLITS, list(SPLITS))
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
        file.check(SPLITS["test"], file.rows(SPLITS, list(SPLITS))["test"])
