"""Images of a split become the rows of an array, in the manifest's order."""

import numpy as np
import pytest
from PIL import Image

from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.run.errors import InputError
from workflow.scripts.images import images

GEOMETRY = {"size": 8, "crop": 1.0, "interpolation": "bilinear", "channels": 3}


@pytest.fixture
def study(tmp_path):
    """Four images of one colour each, two of them in the split `test`, in an order of their own."""
    for i in range(4):
        Image.new("RGB", (12, 10), (i, 50, 60)).save(tmp_path / f"{i}.png")
    splits = {"test": Split(np.array(["3.png", "1.png"]), np.array([0, 0]))}
    Manifest(("one",), splits, "abc").write(tmp_path / "manifest.tsv")
    return {
        "manifest": str(tmp_path / "manifest.tsv"),
        "array": str(tmp_path / "images/test.npy"),
        "dataset": {"kind": "folder", "path": str(tmp_path)},
        "split": "test",
        "code": ["images@1"],
        "threads": 2,
    }


@pytest.mark.parametrize(("channels", "expected"), [(3, [3, 50, 60]), (1, [37])])
def test_rows_are_in_the_manifests_order(study, channels, expected):
    images(**study, geometry=GEOMETRY | {"channels": channels})
    array = np.load(study["array"])
    assert array.shape == (2, channels, 8, 8)
    assert array[0, :, 4, 4].tolist() == expected  # 0.299 * 3 + 0.587 * 50 + 0.114 * 60 = 37.1
    assert array[1, 0, 4, 4] == (1 if channels == 3 else 36)  # 36.5 in Pillow's fixed point


def test_a_split_that_the_dataset_lacks_is_named(study):
    with pytest.raises(InputError, match=r"the dataset has no split 'tset', but test"):
        images(**{**study, "split": "tset"}, geometry=GEOMETRY)


def test_a_corrupt_image_is_named_and_nothing_written(study, tmp_path):
    (tmp_path / "1.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"cannot read the image .*1.png: cannot identify"):
        images(**study, geometry=GEOMETRY)
    assert list((tmp_path / "images").iterdir()) == []
