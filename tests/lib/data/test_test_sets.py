"""Further test sets: whose images and labels they are, and what is refused."""

import csv
import json
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workflow.lib.data import files as found_files
from workflow.lib.data import imagenet, test_sets
from workflow.lib.data.corruptions import Corrupted
from workflow.lib.data.kinds import Decoder, build_manifest
from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.data.test_sets import build_test_set, decoder
from workflow.lib.run.errors import InputError

SYNSETS, NAMES = imagenet.classes()
FASHION = {"kind": "fashion-mnist", "path": "resources/fashion-mnist", "seed": 0}

test_sets.__test__ = False  # a module of the library, and no test


def draw(path, number=0, size=(40, 30)):
    """Draw an image that no other number gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (number % 256, number // 256, 200)).save(path)


@pytest.fixture(autouse=True)
def forget():
    forget_files()


def forget_files():
    """Have folders looked at again, as the next process does."""
    found_files.look.cache_clear()
    found_files.listing.cache_clear()


@pytest.fixture
def study(tmp_path):
    """Three classes, two images of each in calibration and four of each to test on."""
    path, number = tmp_path / "study", 0
    for split, count in (("train", 1), ("calibration", 2), ("test", 4)):
        for name in ("cat", "cow", "dog"):
            for i in range(count):
                number += 1
                draw(path / split / name / f"{i}.png", number)
    return dataset(path)


def dataset(path, kind="folder", **more):
    return {"kind": kind, "path": str(path), "seed": 0, "splits": {}, **more}


def build(settings, study):
    return build_test_set(settings, build_manifest(study), study, threads=2)


def own(path, kind="folder", **more):
    return {"kind": kind, "path": str(path), **more}


def imagenet_study(path, ids=()):
    """Give a study on ImageNet: two images to fit on, and those of some ids to test on."""
    for label in (0, 1):
        draw(path / "calibration" / SYNSETS[label] / "a.png", 60_000 + label)
    fitted = Split(np.array([f"calibration/{SYNSETS[i]}/a.png" for i in (0, 1)]), np.arange(2))
    test = Split(np.array(ids or ["x"]), np.arange(len(ids) or 1))
    return Manifest(NAMES, {"calibration": fitted, "test": test}), dataset(path, "imagenet")


def test_another_folder_is_a_test_set_with_the_classes_that_it_shows(study, tmp_path):
    for number, file in enumerate(["dog/1.png", "dog/2.png", "cat/9.png"]):
        draw(tmp_path / "other" / file, 1000 + number)
    found = build(own(tmp_path / "other"), study)
    split = found.splits["test"]
    assert list(found.splits) == ["test"]
    assert found.classes == ("cat", "cow", "dog")
    assert split.ids.tolist() == ["cat/9.png", "dog/1.png", "dog/2.png"]
    assert split.labels.tolist() == [0, 2, 2]
    assert split.kept.tolist() == [0, 2]
    assert split.kept.dtype == split.labels.dtype == np.int64
    assert split.also is None
    assert found.source == ""
    draw(tmp_path / "other/cow/1.png", 1010)
    forget_files()
    assert build(own(tmp_path / "other"), study).splits["test"].kept is None


def test_of_a_folder_with_splits_the_test_images_are_taken(study, tmp_path):
    for number, file in enumerate(["train/cat/1.png", "test/cat/2.png", "test/dog/3.png"]):
        draw(tmp_path / "other" / file, 1000 + number)
    draw(tmp_path / "other/train/dog/4.png", 1004)
    found = build(own(tmp_path / "other"), study).splits["test"]
    assert found.ids.tolist() == ["test/cat/2.png", "test/dog/3.png"]


def test_corrupt_images_are_left_out_if_asked(study, tmp_path):
    for number, file in enumerate(["dog/1.png", "cat/1.png"]):
        draw(tmp_path / "other" / file, 1000 + number)
    (tmp_path / "other/cat/2.png").write_bytes(b"none")
    assert len(build(own(tmp_path / "other"), study).splits["test"].ids) == 3
    found = build(own(tmp_path / "other", skip_corrupt=True), study)
    assert found.splits["test"].ids.tolist() == ["cat/1.png", "dog/1.png"]


def test_files_and_listing_are_those_of_the_test_set(study, tmp_path, monkeypatch):
    draw(tmp_path / "other/dog/1.png", 1)
    settings = own(tmp_path / "other")
    assert test_sets.files(settings, study) == [str(tmp_path / "other/dog/1.png")]
    assert test_sets.listing(settings, study) == ""
    monkeypatch.setattr(found_files, "EXACT", (0, 0))
    forget_files()
    assert test_sets.files(settings, study) == []
    assert len(test_sets.listing(settings, study)) == 64
    labels = table(tmp_path / "new.csv", [])
    assert test_sets.files(labels, study) == [labels["labels"]]
    assert test_sets.files({"corruption": "blur", "severity": 1}, study) == []
    (tmp_path / "other/notes.txt").write_text("")
    forget_files()
    assert "left out what is no image" in test_sets.warnings(settings, study)[0]


def test_a_test_set_that_is_not_there_is_named(study, tmp_path):
    for function in (test_sets.files, test_sets.listing, build):
        with pytest.raises(InputError, match=r"^test_sets: there is no folder .*nowhere; put it"):
            function(own(tmp_path / "nowhere"), study)
    with pytest.raises(InputError, match=r"^test_sets: there is no file .*a.csv of labels; put it"):
        test_sets.files({"labels": str(tmp_path / "a.csv")}, study)
    (tmp_path / "a.csv").write_text("id,label\n")
    os.utime(tmp_path / "a.csv", (2**33, 2**33))
    with pytest.raises(InputError, match=r"^test_sets: .*a.csv is dated in the future"):
        test_sets.files({"labels": str(tmp_path / "a.csv")}, study)


# --- images of a fitting split, and classes


@pytest.mark.parametrize("split", ["calibration", "train"])
def test_images_that_something_is_learnt_from_are_refused(study, tmp_path, split):
    for number, file in enumerate(["cat/1.png", "dog/1.png"]):
        draw(tmp_path / "other" / file, 1000 + number)
    build(own(tmp_path / "other"), study)
    twin = f"{study['path']}/{split}/cow/0.png"
    shutil.copy(twin, tmp_path / "other/cat/renamed.png")
    forget_files()
    expected = (
        rf"other shares 1 of its images with the study's split '{split}', which is learnt from: "
        rf"cat/renamed.png is {split}/cow/0.png; remove them"
    )
    with pytest.raises(InputError, match=expected):
        build(own(tmp_path / "other"), study)


def test_images_of_one_size_and_end_are_no_shared_ones(study, tmp_path):
    twin = Path(study["path"], "calibration/cow/0.png")
    content = bytearray(np.random.default_rng(0).bytes(5000))
    twin.write_bytes(content)
    for file in ("cat/1.png", "dog/1.png"):
        (tmp_path / "other" / file).parent.mkdir(parents=True)
        content[45] = (content[45] + 1) % 256  # another file of that size, with that end
        (tmp_path / "other" / file).write_bytes(content)
    assert len(build(own(tmp_path / "other"), study).splits["test"].ids) == 2
    shutil.copy(twin, tmp_path / "other/dog/2.png")
    forget_files()
    with pytest.raises(InputError, match=r"shares 1 of its images .* dog/2.png is calibration/cow"):
        build(own(tmp_path / "other"), study)


def test_the_studys_own_test_images_may_be_in_another_test_set(study, tmp_path):
    shutil.copytree(f"{study['path']}/test", tmp_path / "other")
    assert len(build(own(tmp_path / "other"), study).splits["test"].ids) == 12


@pytest.mark.slow
def test_fashion_mnist_is_compared_by_its_pixels(tmp_path):
    study = {**FASHION, "splits": {"train": 100, "calibration": "rest"}}
    manifest = build_manifest(study)
    found = build_test_set({k: FASHION[k] for k in ("kind", "path")}, manifest, study)
    assert found.splits["test"].digest == manifest.splits["test"].digest
    decode = Decoder("fashion-mnist", FASHION["path"], "L")
    for place, name in ((0, "dress"), (1, "coat")):
        (tmp_path / name).mkdir()
        decode(manifest.splits["test"].ids[place]).save(tmp_path / name / "1.png")
    assert build_test_set(own(tmp_path), manifest, study).splits["test"].kept.tolist() == [3, 4]
    example = manifest.splits["calibration"].ids[7]
    decode(example).convert("RGB").save(tmp_path / "coat/2.bmp")
    forget_files()
    with pytest.raises(InputError, match=rf"'calibration', which .* coat/2.bmp is {example}"):
        build_test_set(own(tmp_path), manifest, study)


def test_classes_that_the_study_lacks_are_refused(study, tmp_path):
    for number, file in enumerate(["cat/1.png", "wolf/1.png", "yak/1.png"]):
        draw(tmp_path / "other" / file, 1000 + number)
    with pytest.raises(InputError, match=r"that the study lacks: wolf, yak; .* \(cat, cow, dog"):
        build(own(tmp_path / "other"), study)


def test_one_class_alone_is_refused(study, tmp_path):
    draw(tmp_path / "other/cow/1.png", 1000)
    with pytest.raises(InputError, match=r"other shows one class alone, cow, so that every"):
        build(own(tmp_path / "other"), study)


# --- other labels


def table(path, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([("id", "label"), *rows])
    return {"labels": str(path)}


def test_a_table_gives_other_labels_several_an_image(study, tmp_path, caplog):
    rows = [("test/dog/1.png", "cow"), ("test/cat/0.png", "1"), ("test/cat/0.png", "cat"),
            ("test/cat/0.png", 1), ("test/cow/3.png", "dog")]  # fmt: skip
    with caplog.at_level(logging.WARNING):
        found = build(table(tmp_path / "new.csv", rows), study)
    split = found.splits["test"]
    assert split.ids.tolist() == ["test/cat/0.png", "test/cow/3.png", "test/dog/1.png"]
    assert split.labels.tolist() == [1, 2, 1]
    assert split.also.tolist() == [[0], [-1], [-1]]
    assert split.kept is None
    assert "9 of 12 test images have no label" in caplog.text


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("test/cat/9.png", "cat")], r"line 2: 'test/cat/9.png' is no id of the study's test"),
        ([("calibration/cat/0.png", "cat")], r"line 2: 'calibration/cat/0.png' is no id of"),
        ([("test/cat/0.png", "wolf")], r"line 2: the label 'wolf' is out of range: no class by"),
        ([("test/cat/0.png", "3")], r"line 2: the label '3' is out of range: .* from 0 to 2"),
        ([("test/cat/0.png", "-1")], r"the label '-1' is out of range"),
        ([], r"new.csv has no label for any of the study's test images"),
        ([("test/cat/0.png", "cow"), ("test/cat/1.png", "cow")], r"shows one class alone, cow"),
    ],
)
def test_labels_of_other_images_or_classes_are_refused(study, tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        build(table(tmp_path / "new.csv", rows), study)


def real(path, labels):
    """Write ReaL's file, with the labels of some images by number."""
    path.write_text(json.dumps([labels.get(number, []) for number in range(1, 50_001)]))
    return {"labels": str(path)}


IDS = [f"val/{SYNSETS[0]}/ILSVRC2012_val_{number:08d}.JPEG" for number in (7, 3, 50_000)]


def test_real_is_in_the_order_of_the_numbers_in_the_names(tmp_path):
    study, settings = imagenet_study(tmp_path, IDS)
    labels = {1: [5], 3: [9], 7: [4, 2, 4], 50_000: []}
    found = build_test_set(real(tmp_path / "real.json", labels), study, settings)
    split = found.splits["test"]
    assert split.ids.tolist() == IDS[:2]  # the last one has no label
    assert list(split.right()) == [[4, 2], [9]]
    assert split.kept is None


@pytest.mark.parametrize(
    ("ids", "content", "message"),
    [
        (IDS, [[1]] * 49_999, r"must be a list of 50000 lists .* and holds 49999 lists"),
        (IDS, {"a": 1}, r"must be a list of 50000 lists .* and holds something else"),
        (IDS, [1] * 50_000, r"holds something else"),
        (["test/a.png"], [[1]] * 50_000, r"image test/a.png is none of these by its name"),
        ([f"{IDS[0][:-6]}9.JPEG".replace("0000000", "5000000")], [[1]] * 50_000, "is none of"),
        (IDS, [[1000]] * 50_000, r"the label 1000 of .* is out of range; the study has 1000"),
        (IDS, [[-1]] * 50_000, r"the label -1 of .* is out of range"),
        (IDS, [[]] * 50_000, r"has no label for any"),
    ],
)
def test_a_file_that_is_not_reals_is_refused(tmp_path, ids, content, message):
    study, settings = imagenet_study(tmp_path, ids)
    path = tmp_path / "real.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        build_test_set({"labels": str(path)}, study, settings)


# --- corruptions


def test_corrupted_images_are_drawn_in_equal_shares_and_in_order(study):
    settings = {"corruption": "gaussian-noise", "severity": 3, "images": 6, "seed": 1}
    manifest = build_manifest(study)
    whole = manifest.splits["test"]
    drawn = [
        build_test_set({**settings, "seed": seed}, manifest, study).splits["test"]
        for seed in (1, 1, 2, 3, 4)
    ]
    for split in drawn:
        assert np.bincount(split.labels).tolist() == [2, 2, 2]
        places = [whole.ids.tolist().index(example) for example in split.ids]
        assert places == sorted(places)
    assert drawn[0].digest == drawn[1].digest
    assert len({split.digest for split in drawn}) > 1
    settings = {"corruption": "blur", "severity": 3, "images": None}
    assert build_test_set(settings, manifest, study).splits["test"].digest == whole.digest
    with pytest.raises(InputError, match=r"`images` asks for 13 images .* test split has 12"):
        build_test_set({**settings, "images": 13}, manifest, study)


def test_the_images_of_each_sort_of_test_set_are_decoded(study, tmp_path):
    draw(tmp_path / "other/cow/1.png", 1000)
    example = "test/cat/0.png"
    clean = Decoder("folder", study["path"], "RGB")(example)
    noise = {"corruption": "gaussian-noise", "severity": 5, "seed": 3}
    found = {
        "own": decoder(own(tmp_path / "other"), study, "RGB")("cow/1.png"),
        "labels": decoder({"labels": "a.csv"}, study, "RGB")(example),
        "noise": decoder(noise, study, "RGB")(example),
    }
    assert np.array_equal(found["labels"], clean)
    assert found["own"].getpixel((0, 0)) == (1000 % 256, 3, 200)
    expected = Corrupted(lambda _: clean, "gaussian-noise", 5, 3)(example)
    assert np.array_equal(found["noise"], expected)
    assert not np.array_equal(found["noise"], clean)


# --- layouts as they are downloaded


def test_imagenet_v2s_folders_are_numbers_that_no_text_sorts(tmp_path):
    # As text, 10 is before 2: sorting folders gives class 2 the images of class 10.
    study, settings = imagenet_study(tmp_path / "imagenet")
    path = tmp_path / "imagenetv2-matched-frequency-format-val"
    for label in (0, 1, 2, 10, 999):
        draw(path / str(label) / "aa.jpeg", label)
    split = build_test_set(own(path, "imagenet"), study, settings).splits["test"]
    assert dict(zip(split.ids.tolist(), split.labels.tolist(), strict=True)) == {
        f"{label}/aa.jpeg": label for label in (0, 1, 2, 10, 999)
    }
    assert split.kept.tolist() == [0, 1, 2, 10, 999]


def test_imagenet_a_and_r_keep_the_classes_of_their_200_folders(tmp_path):
    study, settings = imagenet_study(tmp_path / "imagenet")
    path, labels = tmp_path / "imagenet-a", range(6, 1000, 5)
    for label in labels:
        draw(path / SYNSETS[label] / "0.000116_digital clock _ digital clock_0.865.jpg", label)
    (path / "README.txt").write_text("n01498041 stingray\n")
    split = build_test_set(own(path, "imagenet"), study, settings).splits["test"]
    assert split.labels.tolist() == split.kept.tolist() == list(labels)


@pytest.mark.parametrize("place", ["", "sketch"])
def test_imagenet_sketch_may_be_unpacked_with_its_folder(tmp_path, place):
    study, settings = imagenet_study(tmp_path / "imagenet")
    for label, synset in enumerate(SYNSETS[:3]):
        draw(tmp_path / "ImageNet-Sketch/sketch" / synset / "sketch_0.JPEG", label)
    path = tmp_path / "ImageNet-Sketch" / place
    split = build_test_set(own(path, "imagenet"), study, settings).splits["test"]
    assert split.labels.tolist() == [0, 1, 2]


def test_a_study_of_folders_of_synsets_takes_imagenets_test_sets(tmp_path):
    for split in ("train", "calibration", "test"):
        for label in (9, 3):
            draw(tmp_path / "study" / split / SYNSETS[label] / f"{split}.png", 100 + label)
    draw(tmp_path / "v2/3/a.png", 1)
    draw(tmp_path / "v2/9/a.png", 2)
    found = build(own(tmp_path / "v2", "imagenet"), dataset(tmp_path / "study"))
    assert found.classes == (SYNSETS[3], SYNSETS[9])
    assert found.splits["test"].labels.tolist() == [0, 1]
    draw(tmp_path / "v2/4/a.png", 3)
    forget_files()
    with pytest.raises(InputError, match=rf"classes that the study lacks: {NAMES[4]};"):
        build(own(tmp_path / "v2", "imagenet"), dataset(tmp_path / "study"))


MAPPINGS = {
    "folder_to_objectnet_label.json": {
        "alarm_clock": "Alarm clock",
        "air_freshener": "Air freshener",
        "banana": "Banana",
        "hand_towel_or_rag": "Dishrag or hand towel",
    },
    "objectnet_to_imagenet_1k.json": {
        "Alarm clock": "analog clock; digital clock",
        "Banana": "banana",
        "Dishrag or hand towel": "dishrag, dishcloth",
    },
    "imagenet_to_label_2012_v2": "banana\nanalog clock\ndigital clock\ndishrag, dishcloth\n",
    "pytorch_to_imagenet_2012_id.json": {"954": 0, "409": 1, "530": 2, "533": 3},
}
"""As they are downloaded, of four objects: synonyms are in another order than ImageNet's classes.

Indices are read off https://github.com/abarbu/objectnet-template-pytorch
(mapping_files/imagenet_pytorch_id_to_objectnet_id.json).
"""


@pytest.fixture
def objectnet(tmp_path):
    path = tmp_path / "objectnet-1.0"
    (path / "mappings").mkdir(parents=True)
    for name, content in MAPPINGS.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (path / "mappings" / name).write_text(text)
    for number, name in enumerate(MAPPINGS["folder_to_objectnet_label.json"]):
        file = path / "images" / name / "0a1b2c3d4e5f607.png"
        file.parent.mkdir(parents=True)
        image = Image.new("RGB", (44, 34), (255, 0, 0))  # its red border
        image.paste((number, 100, 200), (2, 2, 42, 32))
        image.save(file)
    return path


def test_objectnet_keeps_the_classes_it_shares_and_all_that_are_right(objectnet, tmp_path):
    study, settings = imagenet_study(tmp_path / "imagenet")
    split = build_test_set(own(objectnet, "objectnet"), study, settings).splits["test"]
    found = dict(zip((i.split("/")[1] for i in split.ids), split.right(), strict=True))
    assert found == {"alarm_clock": [409, 530], "banana": [954], "hand_towel_or_rag": [533]}
    assert split.kept.tolist() == [409, 530, 533, 954]
    assert [NAMES[label] for label in split.kept] == [
        "analog clock", "digital clock", "dishcloth", "banana"
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_objectnets_border_is_cut_on_every_side(objectnet, mode):
    image = Decoder("objectnet", str(objectnet), mode)("images/banana/0a1b2c3d4e5f607.png")
    assert image.size == (40, 30)
    assert image.mode == mode
    assert len(image.getcolors()) == 1


def test_objectnet_without_its_mappings_is_refused(objectnet, tmp_path):
    study, settings = imagenet_study(tmp_path / "imagenet")
    mappings = objectnet / "mappings"
    (mappings / "objectnet_to_imagenet_1k.json").write_text('{"Banana": "bananas"}')
    with pytest.raises(InputError, match=r"_1k.json: 'bananas' of 'Banana' is no line of"):
        build_test_set(own(objectnet, "objectnet"), study, settings)
    (mappings / "objectnet_to_imagenet_1k.json").write_text('{"Banana')
    with pytest.raises(InputError, match=r"cannot read .*_1k.json: .*; restore it"):
        build_test_set(own(objectnet, "objectnet"), study, settings)
    (mappings / "objectnet_to_imagenet_1k.json").unlink()
    with pytest.raises(InputError, match=r"there is no file .*_1k.json; copy the folder `mapp"):
        test_sets.files(own(objectnet, "objectnet"), settings)
