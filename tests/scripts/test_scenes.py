"""The dataset of scenes: an array and a manifest of tasks, the same for the same seed."""

import numpy as np
import pytest

from workflow.lib.data import voc
from workflow.lib.data.kinds import Decoder
from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.run.errors import InputError
from workflow.scripts.scenes import scenes

CLASSES = ("T-shirt", "ankle boot", "bag")
SHARES = {"train": 0.25, "val": 0.25, "test": 0.5}


@pytest.fixture
def study(tmp_path):
    """A split of 120 grey images of 12 by 12 pixels: a rectangle, shaped by its class."""
    labels = np.arange(120) % 3
    pixels = np.zeros((120, 1, 12, 12), dtype=np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        image[:, 3 - label : 9 + label, 1 + label : 11 - label] = 90 + 50 * label
    ids = np.array([f"train/{i:05d}" for i in range(120)])
    Manifest(CLASSES, {"rest": Split(ids, labels)}).write(tmp_path / "manifest.tsv")
    np.save(tmp_path / "rest.npy", pixels)
    return tmp_path


def make(study, name="scenes", **changes):
    arguments = {
        "manifest": str(study / "manifest.tsv"),
        "images": str(study / "rest.npy"),
        "scenes": str(study / f"{name}.npy"),
        "tasks": str(study / f"{name}.tsv"),
        "split": "rest",
        "shares": SHARES,
        "seed": 0,
    }
    scenes(**(arguments | changes))
    return np.load(study / f"{name}.npy"), Manifest.read(study / f"{name}.tsv")


def sources(split):
    """Rows of the images that each scene of a split is made of, from the back to the front."""
    return [
        [int(image[-5:]) for image in example.partition(":")[2].split("+")] for example in split.ids
    ]


def test_the_scenes_are_tasks_on_images(study):
    whole, table = make(study)
    assert whole.dtype == np.uint8 and whole.shape[1:] == (1, 18, 18)
    assert table.classes == CLASSES
    sizes = {name: len(split.ids) for name, split in table.splits.items()}
    assert sum(sizes.values()) == len(whole)
    assert abs(sizes["test"] - len(whole) / 2) <= 1 and abs(sizes["train"] - len(whole) / 4) <= 1
    ids = [example for split in table.splits.values() for example in split.ids]
    assert [int(example.partition(":")[0]) for example in ids] == [*range(len(whole))]
    for name, split in table.splits.items():
        voc.check_tasks(split.labels, table.classes, name)
        assert (split.labels > 0).any(axis=1).all()


def test_scenes_are_decoded_by_their_ids(study):
    whole, _ = make(study)
    decode = Decoder("scenes", str(study / "scenes.npy"), "RGB")
    np.testing.assert_array_equal(np.asarray(decode("000003:a+b"))[..., 1], whole[3, 0])


def test_no_garment_is_in_two_scenes(study):
    _, table = make(study)
    used = [row for split in table.splits.values() for rows in sources(split) for row in rows]
    assert sorted(used) == [*range(120)]


def test_labels_are_those_of_the_garments(study):
    _, table = make(study)
    split = table.splits["test"]
    for used, row in zip(sources(split), split.labels, strict=True):
        inside = {image % 3 for image in used}
        shown = set(np.flatnonzero(row > 0))
        assert shown <= inside
        assert set(np.flatnonzero(row == 0)) <= inside - shown
        # Only the frontmost is sure to be seen.
        assert used[-1] % 3 in shown


def test_the_seed_decides_every_byte(study):
    make(study, "first"), make(study, "second"), make(study, "third", seed=1)
    for suffix in ("npy", "tsv"):
        first, second, third = (
            (study / f"{name}.{suffix}").read_bytes() for name in ("first", "second", "third")
        )
        assert first == second != third


def test_the_manifest_differs_where_a_scene_does(study):
    _, first = make(study)
    source = np.load(study / "rest.npy")
    source[0, 0, 5, 5] += 1
    np.save(study / "rest.npy", source)
    _, second = make(study)
    assert first.source != second.source
    assert first.splits["test"].digest == second.splits["test"].digest


def test_colour_images_make_colour_scenes(study):
    np.save(study / "rest.npy", np.repeat(np.load(study / "rest.npy"), 3, axis=1))
    whole, _ = make(study)
    assert whole.shape[1:] == (3, 18, 18)
    assert Decoder("scenes", str(study / "scenes.npy"), "RGB")("000001:a").size == (18, 18)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "other"}, r"no split 'other', but rest"),
        ({"shares": {**SHARES, "test": 0.6}}, r"not together 1"),
    ],
)
def test_wrong_arguments_are_refused(study, changes, message):
    with pytest.raises(InputError, match=message):
        make(study, **changes)
    assert not (study / "scenes.npy").exists()


@pytest.mark.parametrize(
    "shape",
    [(119, 1, 12, 12), (120, 2, 12, 12), (120, 12, 12)],
)
def test_images_of_another_split_are_refused(study, shape):
    np.save(study / "rest.npy", np.zeros(shape, dtype=np.uint8))
    with pytest.raises(InputError, match=r"rest.npy holds .*120 grey or colour images of 'rest'"):
        make(study)
