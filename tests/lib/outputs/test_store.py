"""Outputs files: whole or not at all, resumed where they stopped, refused where they are wrong."""

import contextlib
import os
import shutil
import subprocess
import time

import h5py
import numpy as np
import pytest

from workflow.lib.data.splits import Split
from workflow.lib.outputs.store import BLOCK, Outputs, write
from workflow.lib.run.errors import InputError

EXAMPLES = 3 * BLOCK + 7
SPLIT = Split(
    np.array([f"test/{i:05d}" for i in range(EXAMPLES)]), np.arange(EXAMPLES, dtype=np.int64) % 4
)
WEIGHTS = {"weights": "abc", "model": "m"}


class Model:
    """Logits and features that tell their row; counts rows; stops or spoils one if told to."""

    def __init__(self, stop=None, spoil=None):
        self.rows, self.stop, self.spoil = [], stop, spoil

    def __call__(self, rows):
        if self.stop is not None and rows[-1] >= self.stop:
            raise KeyboardInterrupt
        self.rows += rows.tolist()
        logits = rows[:, None] + np.arange(4) / 8.0
        if self.spoil is not None:
            logits[rows == self.spoil] = np.nan
        return logits.astype(np.float32), -rows[:, None].astype(np.float32) * np.ones(5)


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "m" / "test.h5"
    assert write(path, SPLIT, Model(), WEIGHTS) == EXAMPLES
    with Outputs(path, SPLIT) as file:
        expected, features = Model()(np.arange(EXAMPLES))
        np.testing.assert_array_equal(file.read("logits"), expected)
        np.testing.assert_array_equal(file.read("features"), features)
        np.testing.assert_array_equal(file.labels, SPLIT.labels)
        assert file.attributes["weights"] == "abc"
        assert file.attributes["images_per_second"] > 0
    assert sorted(p.name for p in path.parent.iterdir()) == ["test.h5", "test.h5.part"]
    with h5py.File(path) as file:
        assert file["ids"].asstr()[[0, 700]].tolist() == ["test/00000", "test/00700"]


def test_an_interrupted_extraction_computes_only_what_is_missing(tmp_path):
    path = tmp_path / "test.h5"
    with pytest.raises(KeyboardInterrupt):
        write(path, SPLIT, Model(stop=2 * BLOCK + 1), WEIGHTS)
    assert not path.exists()
    again = Model()
    assert write(path, SPLIT, again, WEIGHTS) == EXAMPLES - 2 * BLOCK
    assert again.rows == list(range(2 * BLOCK, EXAMPLES))
    write(tmp_path / "whole.h5", SPLIT, Model(), WEIGHTS)
    with Outputs(path, SPLIT) as resumed, Outputs(tmp_path / "whole.h5", SPLIT) as whole:
        np.testing.assert_array_equal(resumed.read("logits"), whole.read("logits"))
        np.testing.assert_array_equal(resumed.read("features"), whole.read("features"))


def test_nothing_is_computed_again_when_snakemake_deletes_what_it_did_not_see_finished(tmp_path):
    path = tmp_path / "test.h5"
    write(path, SPLIT, Model(), WEIGHTS)
    assert path.samefile(tmp_path / "test.h5.part")  # a second name, no second copy
    with Outputs(path, SPLIT) as file:
        before = file.read("logits"), file.attributes
    os.utime(path, (0, 0))
    path.unlink()
    again = Model()
    assert write(path, SPLIT, again, WEIGHTS) == 0
    assert again.rows == []
    assert path.stat().st_mtime > 0  # inputs are not newer
    with Outputs(path, SPLIT) as file:
        np.testing.assert_array_equal(file.read("logits"), before[0])
        assert file.attributes == before[1]


@pytest.mark.parametrize("finished", [True, False])
def test_images_made_anew_since_a_run_was_interrupted_are_computed_anew(tmp_path, finished):
    path, images = tmp_path / "test.h5", tmp_path / "images.npy"
    images.touch()

    def compute(rows, stop=2 * BLOCK):
        if not finished and rows[0] >= stop:
            # The images change while the job, left behind by a killed Snakemake, still goes on.
            os.utime(images, (0, 0))
            raise KeyboardInterrupt
        return Model()(rows)

    with contextlib.nullcontext() if finished else pytest.raises(KeyboardInterrupt):
        write(path, SPLIT, compute, WEIGHTS, [images])
    if finished:
        assert write(path, SPLIT, Model(), WEIGHTS, [images]) == 0
        os.utime(images, (0, 0))
    again = Model()
    assert write(path, SPLIT, again, WEIGHTS, [images]) == EXAMPLES
    assert again.rows == list(range(EXAMPLES))


def test_outputs_of_other_weights_leave_the_published_file_whole_until_they_are(tmp_path):
    path = tmp_path / "test.h5"
    write(path, SPLIT, Model(), WEIGHTS)
    with pytest.raises(KeyboardInterrupt):
        write(path, SPLIT, Model(stop=2 * BLOCK), WEIGHTS | {"weights": "abd"})
    with Outputs(path, SPLIT) as file:
        assert file.attributes["weights"] == "abc"
        assert np.isfinite(file.read("logits")).all()


def test_a_file_system_without_second_names_will_do(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    assert write(tmp_path / "test.h5", SPLIT, Model(), WEIGHTS) == EXAMPLES
    assert [p.name for p in tmp_path.iterdir()] == ["test.h5"]


def test_a_part_of_other_weights_is_begun_anew(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "test.h5", SPLIT, Model(stop=2 * BLOCK), WEIGHTS)
    assert write(tmp_path / "test.h5", SPLIT, Model(), WEIGHTS | {"weights": "abd"}) == EXAMPLES


def test_a_torn_part_is_begun_anew(tmp_path):
    (tmp_path / "test.h5.part").write_bytes(b"\x89HDF\r\n\x1a\n torn")
    assert write(tmp_path / "test.h5", SPLIT, Model(), WEIGHTS) == EXAMPLES


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("place", [0.02, 0.2, 0.4, 0.6, 0.8, 0.98])
def test_a_damaged_part_is_begun_anew_unless_nothing_of_it_is_lost(tmp_path, place, finished):
    path, part = tmp_path / "test.h5", tmp_path / "test.h5.part"
    write(tmp_path / "whole.h5", SPLIT, Model(), WEIGHTS)
    with contextlib.nullcontext() if finished else pytest.raises(KeyboardInterrupt):
        write(path, SPLIT, Model(None if finished else 2 * BLOCK + 1), WEIGHTS)
    path.unlink(missing_ok=True)
    content = bytearray(part.read_bytes())
    start = int(place * len(content))
    content[start : start + 64] = bytes(64)
    part.write_bytes(content)
    write(path, SPLIT, Model(), WEIGHTS)
    with Outputs(path, SPLIT) as mended, Outputs(tmp_path / "whole.h5", SPLIT) as whole:
        for name in ("logits", "features"):
            np.testing.assert_array_equal(mended.read(name), whole.read(name))


def test_nan_is_refused_with_the_image_before_anything_is_published(tmp_path):
    with pytest.raises(InputError, match="logits of image test/00600 are not finite"):
        write(tmp_path / "test.h5", SPLIT, Model(spoil=600), WEIGHTS)
    assert not (tmp_path / "test.h5").exists()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f["logits"].__setitem__((600, 1), np.nan), "is damaged"),
        (lambda f: f["logits"].__setitem__((0, 0), 0.125), "is damaged"),
        (lambda f: f["logits"].__setitem__(slice(4, 6), f["logits"][4:6][::-1]), "is damaged"),
        (lambda f: f["labels"].__setitem__(7, 0), "is damaged"),
        (lambda f: f.attrs.__setitem__("images_per_second", 1e9), "is damaged"),
        (lambda f: f.attrs.__setitem__("weights", "abd"), "is damaged"),
        (lambda f: f.__delitem__("proofs"), "damaged or no outputs file"),
        (lambda f: f.attrs.__setitem__("rows", 9), "holds 9 of"),
        (lambda f: f.attrs.__setitem__("schema", 0), "has layout 0, not 2"),
        (lambda f: f.__delitem__("labels"), "damaged or no outputs file"),
    ],
)
def test_a_wrong_file_is_refused_with_model_and_remedy(tmp_path, spoil, message):
    path = tmp_path / "vit" / "test.h5"
    write(path, SPLIT, Model(), WEIGHTS)
    with h5py.File(path, "r+") as file:
        spoil(file)
    with pytest.raises(InputError, match=message) as error, Outputs(path, SPLIT) as file:
        file.read("logits")
    assert "'vit'" in str(error.value)
    assert "delete it" in str(error.value)


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "vit" / "test.h5"
    write(path, SPLIT, Model(), WEIGHTS)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"cannot read .*test.h5.*'vit' is extracted again"):
        Outputs(path, SPLIT)


def test_a_file_without_features_serves_all_that_needs_none(tmp_path):
    path = tmp_path / "vit" / "test.h5"
    write(path, SPLIT, lambda rows: (Model()(rows)[0], None), WEIGHTS)
    with Outputs(path, SPLIT) as file:
        assert len(file.read("logits")) == len(SPLIT.labels)
        with pytest.raises(InputError, match=r"test.h5 holds no features of the model 'vit'"):
            file.read("features")


def test_outputs_of_another_dataset_are_refused(tmp_path):
    write(tmp_path / "test.h5", SPLIT, Model(), WEIGHTS)
    other = Split(SPLIT.ids, np.roll(SPLIT.labels, 1))
    with pytest.raises(InputError, match="other images or labels than this study's dataset"):
        Outputs(tmp_path / "test.h5", other)


def test_a_full_disk_is_said_and_nothing_is_published(tmp_path):
    mount = shutil.which("mount")
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    if not mount or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        with pytest.raises(InputError, match=r"cannot write .*free some disk space"):
            write(tmp_path / "test.h5", SPLIT, Model(), WEIGHTS)
        assert not (tmp_path / "test.h5").exists()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_the_rate_is_without_what_the_first_block_starts(tmp_path):
    class Slow(Model):
        def __call__(self, rows):
            time.sleep(0.02 if self.rows else 2)
            return super().__call__(rows)

    write(tmp_path / "test.h5", SPLIT, Slow(), WEIGHTS)
    with Outputs(tmp_path / "test.h5", SPLIT) as file:
        # 1,031 rows after the first block in 0.06 s or more; 700 a second with it.
        assert 1000 < file.attributes["images_per_second"] < 1031 / 0.06


def test_a_kill_before_the_file_got_its_name_keeps_the_rate(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("workflow.lib.outputs.store.os.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "test.h5", SPLIT, Model(), WEIGHTS)
    assert write(tmp_path / "test.h5", SPLIT, Model(), WEIGHTS) == 0
    with Outputs(tmp_path / "test.h5", SPLIT) as file:
        assert file.attributes["images_per_second"] > 0
