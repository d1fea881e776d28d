"""Prepared images are those of timm's own evaluation transform, bit for bit."""

import workflow.lib.compat  # noqa: F401  (before timm)

# isort: split
import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform

from workflow.lib.images import Images, prepare
from workflow.lib.jobs import InputError

GEOMETRY = {"size": 24, "crop": 0.875, "interpolation": "bicubic", "channels": 3}


def picture(name: str) -> Image.Image:
    rng = np.random.default_rng(int(name))
    return Image.fromarray(rng.integers(0, 256, (37 + int(name), 51, 3), dtype=np.uint8))


def test_pixels_are_those_of_timm(tmp_path):
    prepare(picture, ["0", "1", "2"], GEOMETRY, tmp_path / "a.npy", threads=2)
    array = np.load(tmp_path / "a.npy")
    transform = create_transform(
        (3, 24, 24), interpolation="bicubic", crop_pct=0.875, mean=(0, 0, 0), std=(1, 1, 1)
    )
    expected = torch.stack([transform(picture(name)) for name in "012"])
    assert array.dtype == np.uint8
    assert torch.equal(torch.from_numpy(array).float() / 255, expected)


def test_rows_of_several_arrays_follow_one_another(tmp_path):
    for name, ids in (("a", ["0", "1"]), ("b", ["2"])):
        prepare(picture, ids, GEOMETRY, tmp_path / f"{name}.npy")
    device = torch.device("cpu")
    mean, std = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
    both = Images([tmp_path / "a.npy", tmp_path / "b.npy"], mean, std, device)
    assert len(both) == 3
    transform = create_transform(
        (3, 24, 24), interpolation="bicubic", crop_pct=0.875, mean=mean, std=std
    )
    rows = np.array([2, 0, 2])
    expected = torch.stack([transform(picture(str(row))) for row in rows])
    torch.testing.assert_close(both[rows], expected, rtol=1e-5, atol=1e-5)


def test_nothing_is_left_of_images_that_cannot_all_be_read(tmp_path):
    def decode(name):
        if name == "1":
            raise InputError("cannot read the image 1")
        return picture(name)

    with pytest.raises(InputError):
        prepare(decode, ["0", "1"], GEOMETRY, tmp_path / "a.npy")
    assert list(tmp_path.iterdir()) == []
