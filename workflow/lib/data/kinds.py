"""The kinds of datasets: where their images and labels are, and how they are split.

Splits are drawn from the training images. But if `splits` names `test`, and there are test images
(of ImageNet, the validation images), then `calibration` and `test` are drawn from those, and
training images need not exist.
"""

import logging
import os
from collections.abc import Mapping

import numpy as np
from PIL import Image, features

from workflow.lib.data import (
    fashion_mnist,
    folder,
    imagenet,
    labels,
    objectnet,
    parquet,
    scenes,
    voc,
)
from workflow.lib.data.files import UnreadableImage, check_classes, check_path, is_future
from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import HELD, Split, divide_all, draws_from_training
from workflow.lib.run.errors import InputError
from workflow.lib.run.files import refuse_special
from workflow.lib.run.progress import Progress, ahead

log = logging.getLogger("uncorrelated")

FORMATS = [
    name
    for name in ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP", "AVIF")
    if name != "AVIF" or features.check("avif")
]
"""What an image may be, whatever its name says: Pillow would start Ghostscript for an EPS."""

KINDS = {
    "fashion-mnist": fashion_mnist,
    "folder": folder,
    "imagenet": imagenet,
    "parquet": parquet,
    "labels": labels,
    "objectnet": objectnet,
}
"""The module of each kind.

It has `files(path, splits)`, the files that Snakemake is to watch; `listing(path, splits)`, what
stands for them where they are many; `warnings(path, splits)`, what to say of them;
`read(path, splits)`, which gives class names and whole splits; and `opener(path)`, which makes a
function from an id to an image, or to what Pillow can open. All but the last take the keys that its
kind alone has, too. `BORDER`, if it has one, is how many pixels are cut on every side of an image.
"""

TASKS = {"voc": voc, "scenes": scenes}
"""The module of each kind of multi-label dataset; `voc` has `files`, and both have `opener`."""


def source_files(dataset: Mapping) -> list[str]:
    """List the files of a dataset that Snakemake is to watch, by date and content.

    All of them where they are few. Of large datasets, it would take minutes to look at each for
    every plan, so `source_listing` stands for them.

    Parameters
    ----------
    dataset : mapping
        `kind`, `path` and `splits` as in the configuration.

    Raises
    ------
    InputError
        If the dataset's folder does not exist.
    """
    kind, path = dataset["kind"], dataset["path"]
    if kind in TASKS:
        found = TASKS[kind].files(path, {})
        return [check_path(file, "downstream.path") for file in found if not is_future(file)]
    found = KINDS[kind].files(path, dataset["splits"], **own_keys(dataset))
    return [check_path(file, "dataset.path") for file in found]


def source_listing(dataset: Mapping) -> str:
    """SHA-256 of the names and sizes of a large dataset's files; of a small one, empty.

    Dates are not in it, so that a dataset which was copied, or touched, reruns nothing. What goes
    unnoticed is a file that was replaced by another of just its size in bytes.
    """
    return KINDS[dataset["kind"]].listing(dataset["path"], dataset["splits"], **own_keys(dataset))


def source_warnings(dataset: Mapping) -> list[str]:
    """Say which files of a dataset are left out, or dated in the future; errors are its rule's."""
    try:
        path, splits = dataset["path"], dataset["splits"]
        return list(KINDS[dataset["kind"]].warnings(path, splits, **own_keys(dataset)))
    except InputError:
        return []


def own_keys(dataset: Mapping) -> dict:
    """Give the keys of a dataset that its kind alone has."""
    return {key: dataset[key] for key in ("classes",) if key in dataset}


class Decoder:
    """Gives the images of a dataset by their ids; from any thread.

    Images are as they are stored: a camera's note that one should be turned (EXIF) is not followed,
    as timm, open_clip and torchvision do not follow it either.

    Parameters
    ----------
    kind : str
        Of `KINDS` or `TASKS`.
    path : str
        The dataset's folder; of scenes, their array.
    mode : {'L', 'RGB'}
        Pillow's name of the colour mode to convert to.
    """

    def __init__(self, kind: str, path: str, mode: str):
        self.kind, self.path, self.mode = kind, path, mode
        module = (KINDS | TASKS)[kind]
        self._open = module.opener(path)
        self._border = getattr(module, "BORDER", 0)

    def __call__(self, example: str) -> Image.Image:
        """Decode one image.

        Raises
        ------
        UnreadableImage
            If it is no image that can be decoded, or has more than 8 bits a channel.
        InputError
            If its file cannot be read, or the file that holds it.
        """
        source = self._open(example)
        if isinstance(source, Image.Image):
            return source.convert(self.mode)
        file = os.path.join(self.path, example)
        try:
            if isinstance(source, str):
                refuse_special(source)
            with Image.open(source, formats=FORMATS) as image:
                if image.mode.startswith(("I", "F")):  # which Pillow would cut off above 255
                    raise UnreadableImage(
                        f"the image {file} has more than 8 bits a channel; convert it to 8, or set "
                        f"dataset.skip_corrupt to leave such images out"
                    )
                whole, cut = image.convert(self.mode), self._border
                if not cut:
                    return whole
                return whole.crop((cut, cut, whole.width - cut, whole.height - cut))
        except (InputError, MemoryError):
            raise
        except Exception as error:  # decoders raise errors of many kinds
            # What the system says is of the disk or of permissions, and not of what is in the file.
            if isinstance(error, OSError) and error.errno is not None:
                text = f"cannot read the image {file}: {error.strerror}; restore or remove it"
                raise InputError(text) from error
            raise UnreadableImage(
                f"cannot read the image {file}: {error}; replace or remove it, or set "
                f"dataset.skip_corrupt to leave such images out"
            ) from error


def build_manifest(dataset: Mapping, threads: int = 1) -> Manifest:
    """Find a dataset's examples and divide them among the splits.

    Parameters
    ----------
    dataset : mapping
        As in the configuration: `kind`, `path`, `seed`; `splits`, how many images each split gets,
        one of them perhaps `rest`, drawn at random in equal shares of each class; and
        `skip_corrupt`, whether images that cannot be decoded are left out.
    threads : int
        Images decoded at the same time to find the corrupt ones.

    Raises
    ------
    InputError
        If there are too few images, or none of a class where all classes should have some, or
        none for a split; or classes that cannot be told apart.
    """
    kind, path, splits = dataset["kind"], dataset["path"], dataset["splits"]
    classes, whole = KINDS[kind].read(path, splits, **own_keys(dataset))
    if not draws_from_training(splits, "test" in whole):
        whole.pop("train", None)
    for name, split in whole.items():
        highest = int(split.labels.max(initial=-1))
        if highest >= len(classes):
            raise InputError(f"{path}: a label in '{name}' is {highest}, out of range")
    check_classes(classes, path)
    if dataset.get("skip_corrupt", False):
        decode = Decoder(kind, path, "RGB")
        whole = {name: without_corrupt(decode, split, threads) for name, split in whole.items()}
    # Answers need no temperature, and so no images to fit it on.
    needed = ("test",) if kind == "labels" else HELD
    divided = divide_all(whole, splits, len(classes), dataset["seed"], path, needed)
    for name, split in divided.items():
        if not len(split.ids):
            raise InputError(
                f"{path}: no image is left for the split '{name}'; "
                f"lower the numbers of dataset.splits, or add images"
            )
        counts = np.bincount(split.labels, minlength=len(classes))
        empty = [classes[label] for label in np.flatnonzero(counts == 0)]
        listed = ", ".join(empty[:10]) + (f" and {len(empty) - 10} more" if len(empty) > 10 else "")
        if empty and kind == "folder":
            raise InputError(
                f"{path}: the split '{name}' has no image of {listed}; "
                f"add some, or leave the class out of every split"
            )
        if empty:
            log.warning("the split '%s' has no image of %s", name, listed)
        log.info("%s: %d images of %d classes", name, len(split.ids), np.count_nonzero(counts))
    return Manifest(tuple(classes), divided)


def without_corrupt(decode: Decoder, split: Split, threads: int) -> Split:
    """Leave out the images that cannot be decoded, and log their names."""

    def problem(example: str) -> BaseException | None:
        try:
            decode(example)
        except UnreadableImage as error:
            return error.__cause__ or error
        return None

    progress, kept = Progress(len(split.ids), "images checked"), []
    for row, error in enumerate(ahead(problem, split.ids.tolist(), threads, each=4)):
        if error:
            log.warning("left out %s: %s", split.ids[row], error)
        else:
            kept.append(row)
        progress.advance(1)
    if len(kept) < len(split.ids):
        log.warning("left out %d of %d images", len(split.ids) - len(kept), len(split.ids))
    also = None if split.also is None else split.also[kept]
    return Split(split.ids[kept], split.labels[kept], also, split.kept)
