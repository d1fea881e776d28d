"""The manifest says which images are in which split, and differs where an image does."""

import pytest
from PIL import Image

from workflow.lib.data import files, kinds
from workflow.lib.data.manifest import Manifest
from workflow.lib.run.errors import InputError
from workflow.scripts.dataset import dataset


@pytest.fixture
def make(tmp_path):
    """Two cats and two dogs in each split; gives a function that makes their manifest."""
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            for i in (0, 1):
                place = tmp_path / "photos" / split / name
                place.mkdir(parents=True, exist_ok=True)
                Image.new("L", (9, 9), i).save(place / f"{i}.png")
    study = {"kind": "folder", "path": str(tmp_path / "photos"), "seed": 0,
             "splits": {"train": 2, "calibration": 2}}  # fmt: skip

    def run(**more):
        files.look.cache_clear()
        files.listing.cache_clear()
        path = tmp_path / "manifest.tsv"
        source = kinds.source_files(study | more)
        dataset(source=source, manifest=str(path), dataset=study | more, listing="", threads=2)
        return Manifest.read(path)

    return run


def test_the_manifest_differs_where_an_image_does(make, tmp_path):
    first = make()
    assert {name: len(split.ids) for name, split in first.splits.items()} == {
        "train": 2, "calibration": 2, "test": 4
    }  # fmt: skip
    assert make().source == first.source
    Image.new("L", (9, 9), 7).save(tmp_path / "photos/test/cat/0.png")
    second = make()
    assert second.source != first.source
    assert second.splits["test"].digest == first.splits["test"].digest


def test_a_corrupt_image_is_left_out_by_choice_alone(make, tmp_path):
    (tmp_path / "photos/test/cat/0.png").write_bytes(b"no image")
    assert len(make(skip_corrupt=False).splits["test"].ids) == 4
    assert make(skip_corrupt=True).splits["test"].ids.tolist() == [
        "test/cat/1.png", "test/dog/0.png", "test/dog/1.png"
    ]  # fmt: skip


def test_nothing_is_written_of_a_wrong_folder(make, tmp_path):
    for each in (tmp_path / "photos/test/cat").iterdir():
        each.unlink()
    with pytest.raises(InputError, match=r"'test' has no image of cat"):
        make()
    assert not (tmp_path / "manifest.tsv").exists()
