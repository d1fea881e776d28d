"""ImageNet's thousand classes in their official order, and the layouts that its images come in.

The official order is that of the sorted synsets: class 0 is n01440764, the tench. The devkit counts
otherwise, by `ILSVRC2012_ID`, and its `meta.mat` says which synset each of its numbers means.
"""

import csv
import functools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from workflow.lib.data import folder
from workflow.lib.data.files import exact, look, scan
from workflow.lib.data.files import listing as names_and_sizes
from workflow.lib.data.files import warnings as told_of_files
from workflow.lib.data.splits import Split, draws_from_training, split_of
from workflow.lib.run.errors import InputError

opener = folder.opener

CLASSES = Path(__file__).resolve().parents[3] / "resources/imagenet/classes.tsv"
"""Synset and short name of each class, in order (see resources/README.md)."""

FOLDERS = {
    "train": ("train", "ILSVRC2012_img_train", "ILSVRC/Data/CLS-LOC/train", "Data/CLS-LOC/train"),
    "test": ("val", "validation", "ILSVRC2012_img_val", "sketch", "ILSVRC/Data/CLS-LOC/val",
             "Data/CLS-LOC/val"),
}  # fmt: skip
"""Where the images for training and for validation may be, below the dataset's folder."""

DEVKIT = ("ILSVRC2012_validation_ground_truth.txt", "meta.mat")
KAGGLE = "LOC_val_solution.csv"
SYNSETS = "imagenet_2012_validation_synset_labels.txt"
DEVKIT_FOLDERS = (".", "data", "ILSVRC2012_devkit_t12/data", "devkit/data")


@functools.cache
def classes() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Synsets and names of the classes, in the official order: 1000 of each, none twice."""
    with open(CLASSES, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))[1:]
    return tuple(synset for synset, _ in rows), tuple(name for _, name in rows)


def folder_of(path: str, split: str) -> str | None:
    """Find the folder of a split's images, relative to `path`; None if there is none.

    Parameters
    ----------
    path : str
        The dataset's folder.
    split : {'train', 'test'}
        `test` is the validation set. Where nothing below `path` has its name, it is `path` itself,
        if that holds folders of classes or images (as that of ImageNet-V2 does).
    """
    for name in FOLDERS[split]:
        if os.path.isdir(os.path.join(path, name)):
            return name
    if split == "test" and os.path.isdir(path) and folder_of(path, "train") is None:
        return "."
    return None


def ground_truth_files(path: str) -> list[str]:
    """Find the files that say what a flat folder of validation images shows.

    Of the devkit's two, Kaggle's table, and TensorFlow's list of synsets, the first that is there.

    Raises
    ------
    InputError
        If none is there.
    """
    for base in DEVKIT_FOLDERS:
        files = [os.path.normpath(os.path.join(path, base, name)) for name in DEVKIT]
        if all(os.path.isfile(file) for file in files):
            return files
    for name in (KAGGLE, SYNSETS):
        file = os.path.join(path, name)
        if os.path.isfile(file):
            return [file]
    raise InputError(
        f"{path}: the validation images are in no folders of their classes, so a file must say "
        f"what they show: put {' and '.join(DEVKIT)} of the devkit (ILSVRC2012_devkit_t12/data), "
        f"or {KAGGLE}, or {SYNSETS}, into {path}"
    )


def ground_truth(files: Sequence[str]) -> dict[str, int]:
    """Read the class index of each validation image.

    Parameters
    ----------
    files : sequence of str
        What `ground_truth_files` found.

    Returns
    -------
    dict of str to int
        From the image's name without suffix, such as `ILSVRC2012_val_00000001`.

    Raises
    ------
    InputError
        If a file cannot be read, or names what is no class of ImageNet.
    """
    index = {synset: label for label, synset in enumerate(classes()[0])}
    first = files[0]
    try:
        text = Path(first).read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {first}: {error}; replace it") from error
    lines = [line.strip() for line in text if line.strip()]
    if os.path.basename(first) == KAGGLE:
        rows = [re.match(r"(\w+),(n\d{8})\b", line) for line in lines[1:]]
        named = [row.groups() if row else (None, None) for row in rows]
    else:
        if os.path.basename(first) == SYNSETS:
            synsets = lines
        else:
            meaning = _devkit_synsets(files[1])
            synsets = [meaning.get(line, "") for line in lines]
        named = [(f"ILSVRC2012_val_{i:08d}", synset) for i, synset in enumerate(synsets, 1)]
    label_of = {}
    for number, (name, synset) in enumerate(named, 1):
        if name is None or synset not in index:
            raise InputError(
                f"{first}: entry {number} is of no class of ImageNet's 1000; is this the file of "
                f"the validation images of ILSVRC2012?"
            )
        label_of[name] = index[synset]
    return label_of


def _devkit_synsets(path: str) -> dict[str, str]:
    """Synset of each of the devkit's numbers for classes; those of groups of classes left out."""
    # Only here: every job reads this module, in which SciPy would be a tenth of a second.
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        table = np.atleast_1d(loadmat(path, squeeze_me=True)["synsets"])
        return {
            str(int(row["ILSVRC2012_ID"])): str(row["WNID"])
            for row in table
            if int(row["num_children"]) == 0
        }
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing; restore it") from error
    except (
        OSError,
        LookupError,
        TypeError,
        ValueError,
        NotImplementedError,
        MatReadError,
    ) as error:
        raise InputError(
            f"cannot read {path} as the devkit's meta.mat ({error}); replace it"
        ) from error


def label_of(folder: str, index: Mapping[str, int]) -> int | None:
    """Class index that a folder's name means: a synset, or as in ImageNet-V2 a number 0 to 999.

    Parameters
    ----------
    folder : str
    index : mapping of str to int
        Class index by synset.
    """
    if folder.isdecimal() and int(folder) < len(index):
        return int(folder)
    return index.get(folder)


def count(path: str) -> tuple[int, int]:
    """Count the images and the classes of a test set in folders of its classes."""
    place = _folders(path, {"test": "rest"}).get("test", "train")
    found = [os.path.dirname(file) for file, _ in look(path, place).files]
    return len(found), len({*found})


def files(path: str, splits: Mapping) -> list[str]:
    """List the files that Snakemake is to watch."""
    truth = ground_truth_files(path) if _is_flat(path, splits) else []
    return [os.path.relpath(CLASSES), *truth, *exact(path, _places(path, splits))]


def listing(path: str, splits: Mapping) -> str:
    """Say what stands for the files of a large dataset."""
    return names_and_sizes(path, _places(path, splits))


def warnings(path: str, splits: Mapping) -> Iterator[str]:
    """Say what of the folder is left out, or cannot be watched."""
    return told_of_files(path, _places(path, splits))


def _places(path: str, splits: Mapping) -> tuple[str, ...]:
    return tuple(_folders(path, splits).values())


def _folders(path: str, splits: Mapping[str, int | str]) -> dict[str, str]:
    """Folders, relative to `path`, of ImageNet's images that the splits are drawn from."""
    test = folder_of(path, "test")
    train = folder_of(path, "train")
    found = {"test": test} if test else {}
    if train and draws_from_training(splits, test is not None):
        found["train"] = train
    if not found:
        where = os.path.join(path, "val") if os.path.isdir(path) else path
        raise InputError(f"dataset.path: there is no folder {where}")
    return found


def _is_flat(path: str, splits: Mapping[str, int | str]) -> bool:
    """Say whether most validation images are in one folder, and not in those of their classes."""
    place = _folders(path, splits).get("test")
    if place is None:
        return False
    depth = 0 if place == "." else place.count("/") + 1
    found = look(path, place).files
    return 2 * sum(file.count("/") == depth for file, _ in found) > len(found)


def read(path: str, splits: Mapping) -> tuple[Sequence[str], dict[str, Split]]:
    """Find the names of the classes, and the labels of training and validation images."""
    synsets, names = classes()
    index = {synset: label for label, synset in enumerate(synsets)}
    truth: dict[str, int] = {}
    flat = _is_flat(path, splits)
    if flat:
        truth = ground_truth(ground_truth_files(path))
    whole = {}
    for split, place in _folders(path, splits).items():
        skip = 0 if place == "." else len(place) + 1
        rows = []
        labels: dict[str, int | None] = {}
        for file, _ in scan(path, place):
            folder, slash, image = file[skip:].partition("/")
            if flat and not slash and split == "test":
                label = truth.get(os.path.splitext(folder)[0])
                problem = "is not among the images whose classes are known"
            else:
                if folder not in labels:
                    labels[folder] = label_of(folder, index) if slash else None
                label = labels[folder] if "/" not in image else None
                problem = "is in no folder of a synset of ImageNet's 1000 classes (n01440764 …)"
            if label is None:
                raise InputError(f"{os.path.join(path, file)} {problem}; move or remove it")
            rows.append((file, label))
        if not rows:
            raise InputError(f"{os.path.join(path, place)} holds no image; is it unpacked?")
        whole[split] = split_of(rows)
    return names, whole
