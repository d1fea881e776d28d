"""ObjectNet: photographs of household objects (Barbu et al. 2019), of which ImageNet knows 113.

It is a test set alone, as it is downloaded: `images/<folder>/*.png`, and what the folders mean in
`mappings/`. There, a label of ObjectNet stands beside one or more classes of ImageNet, by their
synonyms in WordNet. Images of other labels are left out. Each image has a red border of two pixels,
which marks that it is not to be trained on, and which is cut off.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from workflow.lib.data import folder, imagenet
from workflow.lib.data.files import exact, look, scan
from workflow.lib.data.files import listing as names_and_sizes
from workflow.lib.data.files import warnings as told_of_files
from workflow.lib.data.splits import Split, split_of_sets
from workflow.lib.run.errors import InputError

opener = folder.opener

BORDER = 2  # pixels to cut on every side
IMAGES = "images"
MAPPINGS = (
    "folder_to_objectnet_label.json",
    "objectnet_to_imagenet_1k.json",
    "imagenet_to_label_2012_v2",
    "pytorch_to_imagenet_2012_id.json",
)
"""Label of each folder; synonyms of ImageNet's classes for a label, with `; ` between classes; the
synonyms of all thousand classes, a class a line, in the order of a list of 2012; and the line, from
0, of each class in the official order."""


def files(path: str, splits: Mapping) -> list[str]:
    """List the files that Snakemake is to watch."""
    return [*_mappings(path), *exact(path, (IMAGES,))]


def listing(path: str, splits: Mapping) -> str:
    """Say what stands for the files of a large dataset."""
    return names_and_sizes(path, (IMAGES,))


def warnings(path: str, splits: Mapping) -> Iterator[str]:
    """Say what of the folder is left out, or cannot be watched."""
    return told_of_files(path, (IMAGES,))


def count(path: str) -> int:
    """Count the images of the objects that ImageNet knows."""
    right = classes_of_folders(path)
    return sum(file.split("/")[-2] in right for file, _ in look(path, IMAGES).files)


def read(path: str, splits: Mapping) -> tuple[Sequence[str], dict[str, Split]]:
    """Find ImageNet's classes, and those that are right for each image of the labels they share."""
    right = classes_of_folders(path)
    rows = []
    for file, _ in scan(path, IMAGES):
        place = file.split("/")
        if len(place) != 3:
            raise InputError(
                f"{os.path.join(path, file)} is not in a folder {IMAGES}/<object>/; move or remove "
                f"it"
            )
        if place[1] in right:
            rows.append((file, right[place[1]]))
    if not rows:
        raise InputError(
            f"{os.path.join(path, IMAGES)} holds no image of an object that ImageNet knows; is it "
            f"unpacked?"
        )
    return imagenet.classes()[1], {"test": split_of_sets(rows)}


def classes_of_folders(path: str) -> dict[str, list[int]]:
    """Find the classes of ImageNet, by their indices, that the images of each folder show.

    Raises
    ------
    InputError
        If a file of the mappings is missing or of another form.
    """
    labels, shared, names, places = (_content(file) for file in _mappings(path))
    index = {}
    for label, line in places.items():
        index[names[line]] = int(label)
    right = {}
    for folder_name, label in labels.items():
        if label in shared:
            classes = shared[label].split("; ")
            unknown = [name for name in classes if name not in index]
            if unknown:
                raise InputError(
                    f"{_mappings(path)[1]}: '{unknown[0]}' of '{label}' is no line of "
                    f"{MAPPINGS[2]}; restore the files as they were downloaded"
                )
            right[folder_name] = [index[name] for name in classes]
    return right


def _mappings(path: str) -> list[str]:
    found = [os.path.join(path, "mappings", name) for name in MAPPINGS]
    for file in found:
        if not os.path.isfile(file):
            raise InputError(
                f"there is no file {file}; copy the folder `mappings` of ObjectNet's archive into "
                f"{path}, beside `{IMAGES}`"
            )
    return found


def _content(file: str):
    try:
        text = Path(file).read_text(encoding="utf-8")
        return json.loads(text) if file.endswith(".json") else text.splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {file}: {error}; restore it") from error
