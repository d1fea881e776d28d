"""ImageNet's classes are in the official order, and ground truth is read as it is published."""

import workflow.lib.backends  # noqa: F401  (before timm and open_clip)

# isort: split
import open_clip
import pytest
from timm.data import ImageNetInfo

from workflow.lib.data import imagenet
from workflow.lib.run.errors import InputError


def test_the_order_is_that_of_timm_and_of_the_sorted_synsets():
    synsets, _ = imagenet.classes()
    assert list(synsets) == ImageNetInfo().label_names() == sorted(synsets)
    assert len(set(synsets)) == 1000


def test_names_are_those_of_open_clip_with_twins_told_apart():
    synsets, names = imagenet.classes()
    assert len(set(names)) == 1000
    given = [name.removesuffix(f" ({synset})") for synset, name in zip(synsets, names, strict=True)]
    assert given == list(open_clip.IMAGENET_CLASSNAMES)
    assert sum(name != own for name, own in zip(names, given, strict=True)) == 4
    assert names[657] == "missile (n03773504)"


@pytest.mark.parametrize(
    ("name", "label"),
    [("n01440764", 0), ("n15075141", 999), ("0", 0), ("999", 999), ("1000", None), ("-1", None),
     ("tench", None), ("", None)],
)  # fmt: skip
def test_a_folders_name_means_a_class(name, label):
    index = {synset: i for i, synset in enumerate(imagenet.classes()[0])}
    assert imagenet.label_of(name, index) == label


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (imagenet.SYNSETS, "n01440764\nn00000000\n", "entry 2 is of no class"),
        (imagenet.KAGGLE, "ImageId,PredictionString\nILSVRC2012_val_00000001,\n", "entry 1 is of"),
        (imagenet.SYNSETS, None, "cannot read .*labels.txt"),
    ],
)
def test_a_wrong_file_of_ground_truth_is_named(tmp_path, name, text, message):
    if text:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        imagenet.ground_truth([str(tmp_path / name)])


def test_a_meta_mat_that_is_none_is_named(tmp_path):
    (tmp_path / imagenet.DEVKIT[0]).write_text("1\n2\n")
    files = [str(tmp_path / name) for name in imagenet.DEVKIT]
    with pytest.raises(InputError, match=r"meta.mat is missing"):
        imagenet.ground_truth(files)
    for content in (b"", b"no such thing" * 40):
        (tmp_path / "meta.mat").write_bytes(content)
        with pytest.raises(InputError, match=r"cannot read .*meta.mat as the devkit's"):
            imagenet.ground_truth(files)
