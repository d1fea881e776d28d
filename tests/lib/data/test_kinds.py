"""Layouts of datasets: splits, what is watched for changes, and what is said of wrong files."""

import io
import json
import logging
import os
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io
from PIL import Image

from workflow.lib.data import fashion_mnist, files, imagenet
from workflow.lib.data.kinds import (
    FORMATS,
    Decoder,
    build_manifest,
    source_files,
    source_listing,
    source_warnings,
)
from workflow.lib.outputs.digests import digest
from workflow.lib.run.errors import InputError

FASHION = {"kind": "fashion-mnist", "path": "resources/fashion-mnist", "seed": 0}


def draw(path, number=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (number, 100, 200)).save(path)


@pytest.fixture
def folder(tmp_path):
    """Twelve cats and eight dogs to train on, two of each to test on."""
    for split, name, count in (
        ("train", "cat", 12), ("train", "dog", 8), ("test", "cat", 2), ("test", "dog", 2)
    ):  # fmt: skip
        for i in range(count):
            draw(tmp_path / split / name / f"{i:02d}.png", i)
    return tmp_path


def dataset(path, splits, kind="folder", seed=0, **more):
    return {"kind": kind, "path": str(path), "seed": seed, "splits": splits, **more}


def build(*arguments, **named):
    files.look.cache_clear()
    files.listing.cache_clear()
    return build_manifest(dataset(*arguments, **named), threads=2)


def sizes(manifest):
    return {name: len(split.ids) for name, split in manifest.splits.items()}


def shown(manifest, split):
    """Ids of a split with the class of each."""
    found = manifest.splits[split]
    return {i: manifest.classes[n] for i, n in zip(found.ids.tolist(), found.labels, strict=True)}


def test_fashion_mnist_is_the_published_dataset():
    manifest = build_manifest({**FASHION, "splits": {"train": 30000, "calibration": "rest"}})
    assert sizes(manifest) == {"train": 30000, "calibration": 30000, "test": 10000}
    # The first test images are an ankle boot, a pullover and two trousers (the dataset's page).
    assert [manifest.classes[i] for i in manifest.splits["test"].labels[:4]] == [
        "ankle boot", "pullover", "trouser", "trouser"
    ]  # fmt: skip
    for split in manifest.splits.values():
        assert set(np.bincount(split.labels)) == {len(split.labels) // 10}


def test_splits_share_no_image_and_give_each_class_its_share(folder):
    manifest = build(folder, {"train": 10, "other": 5, "calibration": "rest"})
    splits = [manifest.splits[name] for name in ("train", "other", "calibration")]
    assert [np.bincount(split.labels).tolist() for split in splits] == [[6, 4], [3, 2], [3, 2]]
    ids = np.concatenate([split.ids for split in splits])
    assert len(set(ids)) == 20


def test_the_seed_decides_the_draw(folder):
    draws = [build(folder, {"train": 10, "calibration": 10}, seed=seed) for seed in (0, 0, 1)]
    digests = [manifest.splits["train"].digest for manifest in draws]
    assert digests[0] == digests[1] != digests[2]


def test_a_folder_of_its_own_is_a_split(folder):
    (folder / "test").rename(folder / "calibration")
    for name in ("cat", "dog"):
        draw(folder / "test" / name / "a.png")
    assert sizes(build(folder, {})) == {"train": 20, "calibration": 4, "test": 2}


def test_test_images_are_divided_where_the_splits_name_test(folder):
    manifest = build(folder, {"calibration": 2, "test": "rest"})
    assert sizes(manifest) == {"calibration": 2, "test": 2}
    ids = np.concatenate([split.ids for split in manifest.splits.values()])
    assert set(ids) == {f"test/{name}/0{i}.png" for name in ("cat", "dog") for i in (0, 1)}
    with_training = build(folder, {"train": 10, "other": "rest", "calibration": 2, "test": "rest"})
    assert sizes(with_training) == {"train": 10, "other": 10, "calibration": 2, "test": 2}
    assert with_training.splits["test"].digest == manifest.splits["test"].digest
    shutil.rmtree(folder / "train")
    without = build(folder, {"calibration": 2, "test": "rest"})
    assert without.splits["test"].digest == manifest.splits["test"].digest


def test_a_folder_of_classes_alone_is_divided_as_a_whole(folder):
    manifest = build(folder / "train", {"calibration": 5, "test": "rest"})
    assert sizes(manifest) == {"calibration": 5, "test": 15}
    assert shown(manifest, "test")["cat/00.png"] == "cat"


def test_classes_named_by_numbers_are_in_the_order_of_the_numbers(tmp_path):
    for split in ("train", "calibration", "test"):
        for number in (0, 1, 2, 10, 11):
            draw(tmp_path / split / str(number) / "a.png")
    assert build(tmp_path, {}).classes == ("0", "1", "2", "10", "11")


@pytest.mark.parametrize(
    ("spoil", "splits", "message"),
    [
        (lambda f: [p.unlink() for p in (f / "test/dog").iterdir()], {"calibration": 9},
         "'test' has no image of dog"),
        (lambda f: (f / "test/dog").rename(f / "test/wolf"), {"calibration": 9},
         "test/wolf is a class that .*train has not"),
        (lambda f: (f / "train/cat/00.png").rename(f / "train/00.png"), {}, "00.png is not in a"),
        (lambda f: (f / "train").rename(f / "learn"), {"calibration": 9},
         "splits.train takes training images, but .* has none"),
        (lambda f: None, {"train": 15, "calibration": 6}, "asks for 21 images, but .*train has 20"),
        (lambda f: None, {"test": 3, "calibration": 2}, "asks for 5 images, but .*test set has 4"),
        (lambda f: None, {"train": 20}, "no split 'calibration'"),
        (lambda f: None, {"train": 1, "calibration": 10}, "'train' has no image of"),
        (lambda f: draw(f / "other/cat/a.png"),
         {"train": 9, "other": 2, "calibration": 9}, "splits.other takes .* remove one of them"),
        (lambda f: draw(f / "calibration/cat/a.png"), {"calibration": 1, "test": "rest"},
         "splits.calibration takes .* remove one of them"),
        (lambda f: draw(f / "cover.png"), {"calibration": 9},
         "cover.png is in no folder of a class; move it"),
        (lambda f: None, {"train": 20, "calibration": "rest"},
         "no image is left for the split 'calibration'; lower"),
        (lambda f: draw(f / "train/cat/a\rb.png"), {"calibration": 9},
         r"train/cat/a\\rb.png': names of images .* rename"),
        (lambda f: draw(f / "train/cat/a{b}.png"), {"calibration": 9},
         r"train/cat/a{b}.png': names of images .* braces"),
        (lambda f: draw(f / "train/cat/caf\udce9.png"), {"calibration": 9},
         r"caf\\udce9.png': names of images .* UTF-8"),
        (lambda f: (f / "train/cat/again").symlink_to(f), {"calibration": 9},
         "cat/again is a link to .*, which it lies in; remove it"),
        (lambda f: (f / "train/self").symlink_to("self"), {"calibration": 9},
         "cannot read .*train/self: Too many levels of symbolic links"),
    ],
)  # fmt: skip
def test_a_wrong_folder_is_named(folder, spoil, splits, message):
    spoil(folder)
    with pytest.raises(InputError, match=message):
        build(folder, {"train": 10, **splits} if splits else splits)


def test_images_in_folders_of_splits_but_of_no_class_are_named(tmp_path):
    draw(tmp_path / "train/a.png")
    draw(tmp_path / "test/b.png")
    with pytest.raises(InputError, match=r"test/b.png is not in a folder <split>/<class>/"):
        build(tmp_path, {"calibration": 1, "test": 1})


def test_a_stray_image_beside_folders_of_classes_is_named(folder):
    draw(folder / "train/zz.png")
    with pytest.raises(InputError, match=r"train/zz.png is in no folder of a class"):
        build(folder / "train", {"calibration": 5, "test": "rest"})


def test_a_class_with_the_name_of_a_split_is_told(folder):
    (folder / "train/dog").rename(folder / "train/test")
    with pytest.raises(InputError, match=r"train/test is taken for a split by its name"):
        build(folder / "train", {"calibration": 5, "test": "rest"})


def test_a_missing_or_altered_file_of_fashion_mnist_is_named(tmp_path):
    here = dataset(tmp_path, {}, "fashion-mnist")
    with pytest.raises(InputError, match=r"train-labels-idx1-ubyte.gz is missing; restore"):
        build_manifest(here)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(b"other")
    with pytest.raises(InputError, match=r"SHA-256"):
        build_manifest(here)


def test_a_label_out_of_range_is_refused(monkeypatch):
    monkeypatch.setattr(fashion_mnist, "CLASSES", ("bag",) * 9)
    with pytest.raises(InputError, match=r"a label in 'train' is 9, out of range"):
        build_manifest({**FASHION, "splits": {"train": 9000, "calibration": 100}})


def test_corrupt_images_are_left_out_of_every_split_if_so_chosen(folder, caplog):
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    cut = folder / "train/cat/cut.jpg"
    Image.fromarray(noise).save(cut)
    cut.write_bytes(cut.read_bytes()[:-800])
    (folder / "test/dog/00.png").write_bytes(b"no image")
    splits = {"train": 10, "calibration": "rest"}
    assert sizes(build(folder, splits)) == {"train": 10, "calibration": 11, "test": 4}
    with caplog.at_level(logging.WARNING):
        manifest = build(folder, splits, skip_corrupt=True)
    assert sizes(manifest) == {"train": 10, "calibration": 10, "test": 3}
    every = [example for split in manifest.splits.values() for example in split.ids]
    assert not {"train/cat/cut.jpg", "test/dog/00.png"} & set(every)
    assert "left out train/cat/cut.jpg: image file is truncated" in caplog.text
    assert "left out test/dog/00.png: cannot identify image file" in caplog.text


# What is watched for changes


@pytest.fixture
def watched(monkeypatch):
    """Give what a plan would see of a dataset now, as if it were large if `few` is 0."""

    def look(path, few=10_000, **more):
        monkeypatch.setattr(files, "EXACT", (few, 2**32))
        files.look.cache_clear()
        files.listing.cache_clear()
        here = dataset(path, {"calibration": 1, "test": "rest"}, **more)
        return source_files(here), source_listing(here)

    return look


def test_every_file_of_a_small_dataset_is_watched(folder, watched):
    found, listing = watched(folder)
    assert listing == ""
    assert len(found) == 24
    assert str(folder / "train/cat/00.png") in found


def test_of_a_large_dataset_names_and_sizes_are_watched_and_not_dates(folder, watched):
    first = watched(folder, 0)
    assert first[0] == []
    image = folder / "train/cat/00.png"
    os.utime(image, (1, 1))
    assert watched(folder, 0) == first
    listings = {first[1]}
    content = image.read_bytes()
    image.write_bytes(content + b" ")
    listings.add(watched(folder, 0)[1])  # changed
    image.rename(folder / "train/dog/again.png")
    listings.add(watched(folder, 0)[1])  # moved to another class
    (folder / "train/dog/again.png").unlink()
    listings.add(watched(folder, 0)[1])  # gone
    image.write_bytes(content)
    assert watched(folder, 0) == first
    assert len(listings) == 4


def test_hidden_files_and_other_suffixes_are_no_images(folder, watched):
    before = watched(folder)
    (folder / "train/cat/._00.png").write_bytes(b"")
    (folder / "train/cat/notes.txt").write_text("")
    draw(folder / ".cache/cat/a.png")
    assert watched(folder) == before


def test_links_to_folders_are_followed(folder, tmp_path_factory):
    away = tmp_path_factory.mktemp("away")
    (folder / "test").rename(away / "test")
    (folder / "test").symlink_to(away / "test")
    assert sizes(build(folder, {"calibration": "rest"})) == {"calibration": 20, "test": 4}


def test_a_folder_that_is_not_there_is_named(tmp_path, watched):
    for kind in ("folder", "imagenet", "parquet"):
        with pytest.raises(InputError, match=r"there is no folder .*nowhere"):
            watched(tmp_path / "nowhere", kind=kind)


# ImageNet: tench 0, goldfish 1, sea snake 65, toilet tissue 999

TENCH, GOLDFISH, SNAKE, TISSUE = "n01440764", "n01443537", "n01751748", "n15075141"


@pytest.fixture
def by_synset(tmp_path):
    for synset, count in ((TENCH, 6), (GOLDFISH, 6), (SNAKE, 6)):
        for i in range(count):
            draw(tmp_path / "train" / synset / f"{synset}_{i}.JPEG", i)
    for number, synset in enumerate((SNAKE, TENCH, SNAKE, TENCH, TISSUE, TISSUE), 1):
        draw(tmp_path / "val" / synset / f"ILSVRC2012_val_{number:08d}.JPEG")
    return tmp_path


def flatten(path):
    """Move validation images into one folder."""
    for image in sorted((path / "val").rglob("*.JPEG")):
        image.rename(path / "val" / image.name)
    for place in (path / "val").iterdir():
        if place.is_dir():
            place.rmdir()


def test_imagenet_by_synset_has_its_thousand_classes_in_order(by_synset, caplog):
    splits = {"train": "rest", "probe": 6, "calibration": 3, "test": "rest"}
    manifest = build(by_synset, splits, kind="imagenet")
    assert sizes(manifest) == {"train": 12, "probe": 6, "calibration": 3, "test": 3}
    assert manifest.classes == imagenet.classes()[1]
    assert set(manifest.splits["probe"].labels.tolist()) == {0, 1, 65}
    for split in ("calibration", "test"):
        assert set(manifest.splits[split].labels.tolist()) == {0, 65, 999}
    assert "the split 'test' has no image of goldfish, great white shark" in caplog.text
    assert "and 987 more" in caplog.text


def test_imagenet_calibrates_on_training_images_where_the_splits_leave_test_alone(by_synset):
    manifest = build(by_synset, {"train": "rest", "calibration": 3}, kind="imagenet")
    assert sizes(manifest) == {"train": 15, "calibration": 3, "test": 6}
    assert all(i.startswith("train/") for i in manifest.splits["calibration"].ids)


def test_imagenet_needs_no_training_images(by_synset, watched):
    splits = {"calibration": 3, "test": "rest"}
    with_training = build(by_synset, splits, kind="imagenet")
    files, _ = watched(by_synset, kind="imagenet")
    assert files[0] == "resources/imagenet/classes.tsv"
    assert not any("/train/" in file for file in files)  # not looked at
    shutil.rmtree(by_synset / "train")
    manifest = build(by_synset, splits, kind="imagenet")
    assert sizes(manifest) == {"calibration": 3, "test": 3}
    assert manifest.splits["test"].digest == with_training.splits["test"].digest
    with pytest.raises(InputError, match=r"splits.train takes training images"):
        build(by_synset, {"train": 3, **splits}, kind="imagenet")


def write_devkit(place):
    """Ground truth in the devkit's numbers, which are not the classes' indices."""
    place.mkdir(parents=True, exist_ok=True)
    rows = [(1, TISSUE, "", "", 0), (2, SNAKE, "", "", 0), (3, TENCH, "", "", 0),
            (4, GOLDFISH, "", "", 0), (5, "n00001740", "", "", 2)]  # fmt: skip
    names = ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children")
    table = np.zeros(len(rows), dtype=[(name, object) for name in names])
    for number, row in enumerate(rows):
        table[number] = row
    scipy.io.savemat(place / "meta.mat", {"synsets": table[:, None]})
    (place / imagenet.DEVKIT[0]).write_text("2\n3\n2\n3\n1\n1\n")


def write_kaggle(path):
    lines = [(4, TENCH), (1, SNAKE), (2, TENCH), (3, SNAKE), (6, TISSUE), (5, TISSUE)]
    rows = [f"ILSVRC2012_val_{n:08d},{synset} 1 2 30 40 {synset} 5 6 7 8" for n, synset in lines]
    (path / imagenet.KAGGLE).write_text("\n".join(["ImageId,PredictionString", *rows]))


def write_synsets(path):
    lines = [SNAKE, TENCH, SNAKE, TENCH, TISSUE, TISSUE]
    (path / imagenet.SYNSETS).write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    "write",
    [write_devkit, lambda path: write_devkit(path / "ILSVRC2012_devkit_t12/data"),
     write_kaggle, write_synsets],
    ids=["devkit", "devkit-folder", "kaggle", "synsets"],
)  # fmt: skip
def test_flat_validation_images_have_the_classes_of_their_folders(by_synset, write, watched):
    splits = {"calibration": 3, "test": "rest"}
    expected = build(by_synset, splits, kind="imagenet")
    names = {
        os.path.basename(example): label
        for split in expected.splits
        for example, label in shown(expected, split).items()
    }
    flatten(by_synset)
    with pytest.raises(InputError, match=r"put .*ground_truth.txt and meta.mat of the devkit"):
        watched(by_synset, kind="imagenet")
    write(by_synset)
    manifest = build(by_synset, splits, kind="imagenet")
    found = {**shown(manifest, "calibration"), **shown(manifest, "test")}
    assert found == {f"val/{name}": label for name, label in names.items()}
    files, _ = watched(by_synset, kind="imagenet")
    truth = [file for file in files if not file.endswith(".JPEG")][1:]
    assert truth == imagenet.ground_truth_files(str(by_synset))
    draw(by_synset / "val/ILSVRC2012_val_00000007.JPEG")
    with pytest.raises(InputError, match=r"val_00000007.JPEG is not among the images whose"):
        build(by_synset, splits, kind="imagenet")


def test_kaggles_folders_are_found(by_synset):
    deep = by_synset / "ILSVRC/Data/CLS-LOC"
    deep.mkdir(parents=True)
    for name in ("train", "val"):
        (by_synset / name).rename(deep / name)
    manifest = build(by_synset, {"train": "rest", "calibration": 3}, kind="imagenet")
    assert sizes(manifest) == {"train": 15, "calibration": 3, "test": 6}
    example = manifest.splits["test"].ids[0]
    assert example == f"ILSVRC/Data/CLS-LOC/val/{TENCH}/ILSVRC2012_val_00000002.JPEG"
    assert Decoder("imagenet", str(by_synset), "RGB")(example).size == (40, 30)


def test_folders_named_by_numbers_are_class_indices_as_in_imagenet_v2(tmp_path):
    for number in (0, 1, 10, 65, 999):
        for name in ("a", "b"):
            draw(tmp_path / "v2" / str(number) / f"{name}.jpeg")
    manifest = build(tmp_path / "v2", {"calibration": 5, "test": "rest"}, kind="imagenet")
    names = imagenet.classes()[1]
    for split in ("calibration", "test"):
        for example, name in shown(manifest, split).items():
            assert name == names[int(example.split("/")[0])]
    assert sizes(manifest) == {"calibration": 5, "test": 5}


def test_a_split_without_an_image_is_told(by_synset, parquet_folder):
    with pytest.raises(InputError, match=r"no image is left for the split 'test'; lower"):
        build(by_synset, {"calibration": 6, "test": "rest"}, kind="imagenet")
    with pytest.raises(InputError, match=r"no image is left for the split 'calibration'; lower"):
        build(parquet_folder, {"train": 10, "calibration": "rest"}, kind="parquet")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: (p / f"val/{SNAKE}").rename(p / "val/sea snake"), "snake/.* is in no folder"),
        (lambda p: (p / f"val/{SNAKE}").rename(p / "val/1000"), "val/1000/.* is in no folder of a"),
        (lambda p: draw(p / "train/a.JPEG"), "train/a.JPEG is in no folder of a synset"),
        (lambda p: draw(p / "val/a.JPEG"), "val/a.JPEG is in no folder of a synset"),
        (lambda p: draw(p / f"train/{TENCH}/images/a.JPEG"), "images/a.JPEG is in no folder"),
        (lambda p: [shutil.rmtree(each) for each in (p / "train").iterdir()],
         "train holds no image; is it unpacked"),
    ],
)  # fmt: skip
def test_a_wrong_folder_of_imagenet_is_named(by_synset, spoil, message):
    spoil(by_synset)
    with pytest.raises(InputError, match=message):
        build(by_synset, {"train": "rest", "calibration": 3}, kind="imagenet")


# Parquet files


def write_parquet(path, images, labels, names=("cat", "dog"), group=2):
    feature = {"names": list(names), "_type": "ClassLabel"}
    information = {"info": {"features": {"image": {"_type": "Image"}, "label": feature}}}
    rows = [{"bytes": content, "path": f"{i}.png"} for i, content in enumerate(images)]
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(rows, struct), "label": labels})
    table = table.replace_schema_metadata({"huggingface": json.dumps(information)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=group)


def pictures(folder, count, first=0):
    draw(folder / "one.png")
    for i in range(first, first + count):
        draw(folder / "one.png", i)
        yield (folder / "one.png").read_bytes()


@pytest.fixture
def parquet_folder(tmp_path):
    """Two files of training images, and one each for validation and of unlabelled test images."""
    own = tmp_path / "hub/data"
    for number, first in enumerate((0, 5)):
        write_parquet(own / f"train-0000{number}-of-00002.parquet",
                      pictures(tmp_path, 5, first), [0, 1, 1, 0, 1])  # fmt: skip
    write_parquet(
        own / "validation-00000-of-00001.parquet", pictures(tmp_path, 4, 10), [1, 0, 1, 0]
    )
    write_parquet(own / "test-00000-of-00001.parquet", pictures(tmp_path, 2, 14), [-1, -1])
    return tmp_path / "hub"


def test_parquet_files_have_the_splits_classes_and_images_written_to_them(parquet_folder):
    manifest = build(parquet_folder, {"train": 6, "calibration": "rest"}, kind="parquet")
    assert manifest.classes == ("cat", "dog")
    assert sizes(manifest) == {"train": 6, "calibration": 4, "test": 4}
    assert shown(manifest, "test") == {
        f"data/validation-00000-of-00001.parquet/00000{row}": name
        for row, name in enumerate(("dog", "cat", "dog", "cat"))
    }
    decode = Decoder("parquet", str(parquet_folder), "RGB")
    for example in manifest.splits["train"].ids:
        _, file, row = example.split("/")
        number = int(row) + 5 * (file == "train-00001-of-00002.parquet")
        assert decode(example).getpixel((7, 7)) == (number, 100, 200)


def test_labelled_test_images_of_parquet_files_are_tested_on(parquet_folder, tmp_path):
    write_parquet(
        parquet_folder / "data/test-00000-of-00001.parquet", pictures(tmp_path, 2), [0, 1]
    )
    manifest = build(parquet_folder, {"train": "rest"}, kind="parquet")
    assert sizes(manifest) == {"train": 10, "calibration": 4, "test": 2}
    drawn = build(parquet_folder, {"train": "rest", "calibration": 2}, kind="parquet")
    assert sizes(drawn) == {"train": 8, "calibration": 2, "test": 2}


def test_corrupt_images_of_parquet_files_are_named_or_left_out(parquet_folder, tmp_path, caplog):
    images = [*pictures(tmp_path, 4)]
    images[1] = images[1][:60]
    file = "data/validation-00000-of-00001.parquet"
    write_parquet(parquet_folder / file, images, [1, 0, 1, 0])
    with pytest.raises(InputError, match=rf"cannot read the image .*{file}/000001"):
        Decoder("parquet", str(parquet_folder), "RGB")(f"{file}/000001")
    splits = {"train": 6, "calibration": "rest"}
    manifest = build(parquet_folder, splits, kind="parquet", skip_corrupt=True)
    assert manifest.splits["test"].ids.tolist() == [f"{file}/00000{i}" for i in (0, 2, 3)]
    assert f"left out {file}/000001" in caplog.text


def test_a_file_without_labels_is_no_dataset(parquet_folder):
    file = parquet_folder / "data/validation-00000-of-00001.parquet"
    write_parquet(file, [b"", b""], [0, -1])
    with pytest.raises(InputError, match=r"the image .*parquet/000001 has no label"):
        build(parquet_folder, {"train": 6, "calibration": "rest"}, kind="parquet")
    file.unlink()
    with pytest.raises(InputError, match=r"no split 'test'"):
        build(parquet_folder, {"train": 6, "calibration": "rest"}, kind="parquet")
    shutil.rmtree(parquet_folder / "data")
    with pytest.raises(InputError, match=r"holds no .parquet file"):
        build(parquet_folder, {"train": 6, "calibration": "rest"}, kind="parquet")


def test_files_without_rows_and_labels_that_are_not_told_are_no_class(tmp_path):
    own = tmp_path / "data"
    for name, labels in (("train-0", [3, 7] * 5), ("train-1", []), ("test", [-1, -1]), ("val", [])):
        write_parquet(own / f"{name}.parquet", pictures(tmp_path, len(labels)),
                      pa.array(labels, pa.int64()), names=())  # fmt: skip
    manifest = build(own, {"train": 4, "calibration": 2, "test": "rest"}, kind="parquet")
    assert manifest.classes == ("3", "7")
    assert sizes(manifest) == {"train": 4, "calibration": 2, "test": 4}
    for name in ("train-0", "test"):
        (own / f"{name}.parquet").unlink()
    with pytest.raises(InputError, match=r"data holds no row in any .parquet file"):
        build(own, {"train": 4, "calibration": "rest"}, kind="parquet")


def test_a_file_dated_in_the_future_is_watched_by_its_size(folder, watched):
    assert source_warnings(dataset(folder, {})) == []
    image = folder / "train/cat/00.png"
    os.utime(image, (2**32, 2**32))
    found, listing = watched(folder)
    assert len(found) == 23 and str(image) not in found
    (told,) = source_warnings(dataset(folder, {}))
    assert "images dated in the future: 1, such as train/cat/00.png" in told
    image.write_bytes(image.read_bytes() + b" ")
    os.utime(image, (2**32, 2**32))
    assert watched(folder)[1] != listing


def test_what_is_left_out_is_counted_and_told_once(folder, watched, caplog):
    for name in ("a.heic", "b.HEIC", "c.avif", "d"):
        (folder / "train/cat" / name).write_bytes(b"")
    draw(folder / "train/cat/@eaDir/00.png")
    (folder / "train/@eaDir").mkdir()
    assert len(watched(folder)[0]) == 24
    counts = "(1 × .avif, 2 × .heic, 2 × folders @eaDir, 1 × no ending)"
    (told,) = source_warnings(dataset(folder, {}))
    assert counts in told
    manifest = build(folder, {"train": 10, "calibration": "rest"})
    assert manifest.classes == ("cat", "dog")
    assert caplog.text.count(counts) == 1  # and in the job's log
    assert source_warnings(dataset(folder / "none", {})) == []  # its rule will say


def test_a_jpeg_may_end_in_jfif(folder):
    Image.new("RGB", (9, 9)).save(folder / "train/cat/a.jfif", "JPEG")
    assert sizes(build(folder, {"train": 10, "calibration": "rest"}))["calibration"] == 11


def test_an_image_below_the_folder_of_a_class_is_the_one_that_is_named(tmp_path):
    draw(tmp_path / "dog/a.png")
    draw(tmp_path / "emu/a.png")
    draw(tmp_path / "emu/more/x.png")
    with pytest.raises(InputError, match=r"emu/more/x.png is in a folder within that of a class"):
        build(tmp_path, {"calibration": 1, "test": 1})


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["cat", "emu\r"], r"the name of class 1, 'emu\\r', holds a control character"),
        (["cat", "emu\t"], "holds a control character"),
        (["cat", "e\u2028mu"], "holds a control character"),
        (["cat", ""], "class 1 has an empty name"),
        ([" ", "cat"], "class 0 has an empty name"),
        (["cat", "cat"], "classes 0 and 1 are both named 'cat'"),
        (["caf\u00e9", "cafe\u0301"], "classes 0 and 1 are both named"),
    ],
)
def test_names_that_are_none_or_one_are_refused_everywhere(tmp_path, monkeypatch, names, message):
    info = {"info": {"features": {"label": {"_type": "ClassLabel", "names": names}}}}
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array([{"bytes": b""}] * 4, image), "label": [0, 1] * 2})
    pq.write_table(
        table.replace_schema_metadata({"huggingface": json.dumps(info)}), tmp_path / "0.parquet"
    )
    with pytest.raises(InputError, match=message):
        build(tmp_path, {"calibration": 2, "test": 2}, kind="parquet")
    monkeypatch.setattr(fashion_mnist, "CLASSES", (*names, *"abcdefgh"))
    with pytest.raises(InputError, match=message):
        build_manifest({**FASHION, "splits": {"train": 9000, "calibration": 100}})


@pytest.mark.parametrize("name", ["<b>.png", "<results>.png", "<results>/cat.png"])
def test_a_name_that_snakemake_reads_as_a_variable_is_refused(folder, name):
    draw(folder / "train/cat" / name)
    splits = {"train": 10, "calibration": "rest"}
    with pytest.raises(InputError, match=r"a word in angle brackets such as <b>; rename it"):
        build(folder, splits)
    shutil.rmtree(folder / "train/cat")
    draw(folder / "train/cat/1 < 2 > 1.png")
    files.look.cache_clear()
    assert "train/cat/1 < 2 > 1.png" in dict(files.scan(str(folder)))


def test_a_folder_that_snakemake_reads_as_a_variable_is_refused(folder, watched):
    folder.rename(folder.with_name("<photos>"))
    with pytest.raises(InputError, match=r"dataset.path: .*angle brackets"):
        watched(folder.with_name("<photos>"))


def test_a_path_that_snakemake_cannot_take_is_refused(tmp_path):
    for path in ("a{1}.npz", "<results>/a.npz"):
        with pytest.raises(InputError, match=r"models.vit.logits: .* angle brackets"):
            files.check_path(path, "models.vit.logits")
    path = tmp_path / "vit.h5"
    path.touch()
    assert files.check_path(str(path), "models.vit.logits") == str(path)
    os.utime(path, (2**32, 2**32))
    with pytest.raises(InputError, match=r"vit.h5 is dated in the future, .*`touch` it"):
        files.check_path(str(path), "models.vit.logits")


def test_a_file_of_many_images_that_cannot_be_read_ends_the_run(tmp_path):
    content = io.BytesIO()
    Image.new("RGB", (9, 9)).save(content, "PNG")
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = pa.array([{"bytes": content.getvalue()}] * 3 + [{"bytes": b"no image"}] * 1, image)
    for name in ("train", "test"):
        pq.write_table(pa.table({"image": rows, "label": [0] * 4}), tmp_path / f"{name}.parquet")
    splits = {"calibration": 1, "test": "rest"}
    manifest = build(tmp_path, splits, kind="parquet", skip_corrupt=True)
    assert sizes(manifest) == {"calibration": 1, "test": 2}
    path = tmp_path / "test.parquet"
    whole = path.read_bytes()
    start = pq.read_metadata(path).row_group(0).column(0).data_page_offset
    path.write_bytes(whole[:start] + bytes(40) + whole[start + 40 :])
    with pytest.raises(InputError, match=r"cannot read row 000000 of .*test.parquet"):
        build(tmp_path, splits, kind="parquet", skip_corrupt=True)


def test_an_image_that_the_system_cannot_give_is_not_left_out(folder, monkeypatch):
    def fails(file, **_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Image, "open", fails)
    with pytest.raises(InputError, match=r"cannot read the image .*: Input/output error; restore"):
        build(folder, {"train": 10, "calibration": "rest"}, skip_corrupt=True)


@pytest.mark.parametrize("kind", ["EPS", "TGA", "ICO", "PCX"])
def test_only_what_is_meant_by_an_image_is_opened(tmp_path, kind, monkeypatch):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.jpg", kind)
    monkeypatch.setattr("subprocess.check_call", lambda *_, **__: pytest.fail("Ghostscript"))
    with pytest.raises(InputError, match=r"cannot read the image .*a.jpg"):
        Decoder("folder", str(tmp_path), "RGB")("a.jpg")


@pytest.mark.parametrize("kind", [*FORMATS, "MPO"])
def test_images_are_told_by_their_content_and_not_by_their_names(tmp_path, kind):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.jpg", kind)
    assert Decoder("folder", str(tmp_path), "RGB")("a.jpg").size == (8, 8)


def test_what_might_never_end_is_refused(tmp_path):
    (tmp_path / "dog").mkdir()
    for make in (os.mkfifo, lambda path: os.symlink("/dev/zero", path)):
        make(tmp_path / "dog/a.jpg")
        for read in (digest, lambda path: Decoder("folder", str(tmp_path), "RGB")("dog/a.jpg")):
            with pytest.raises(InputError, match=r"dog/a.jpg is no regular file"):
                read(tmp_path / "dog/a.jpg")
        files.look.cache_clear()
        with pytest.raises(InputError, match=r"dog/a.jpg is no regular file"):
            files.scan(str(tmp_path))
        (tmp_path / "dog/a.jpg").unlink()
