"""Labelled datasets: where their images are, how they are split, and the manifest that says so.

Two kinds are known. `fashion-mnist` is the four gzip files of Xiao, Rasul and Vollgraf (2017).
`folder` is a folder of images by class: `<path>/train/<class>/*.jpg`, `<path>/test/<class>/*.jpg`,
and any further split in a folder of its own.
"""

import csv
import functools
import gzip
import hashlib
import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from workflow.lib import voc
from workflow.lib.jobs import InputError, replacing

FASHION_MNIST_CLASSES = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
FASHION_MNIST_SHA256 = {
    "train-images-idx3-ubyte.gz":
        "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "train-labels-idx1-ubyte.gz":
        "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "t10k-images-idx3-ubyte.gz":
        "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1-ubyte.gz":
        "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}  # fmt: skip
SINGLE = ["label", "class"]  # columns of a manifest of one label an image
IMAGE_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True)
class Split:
    """The examples of one split, in dataset order.

    Attributes
    ----------
    ids : ndarray of str, shape (examples,)
    labels : ndarray of int64, shape (examples,) or (examples, tasks)
        Indices into the class names; or of a multi-label dataset, for each class as a task of its
        own, 1 (shown), -1 (not shown) or 0 (ignored).
    """

    ids: np.ndarray
    labels: np.ndarray

    @property
    def digest(self) -> str:
        """SHA-256 of ids and labels, which outputs of a model carry to say what they belong to."""
        rows = (f"{i}\t{label}\n" for i, label in zip(self.ids, self.labels.tolist(), strict=True))
        return hashlib.sha256("".join(rows).encode()).hexdigest()


@dataclass(frozen=True)
class Manifest:
    """A dataset's class names and splits."""

    classes: tuple[str, ...]
    splits: Mapping[str, Split]

    def write(self, path: str | os.PathLike) -> None:
        """Write a table of id, split, label and class, headed by the SHA-256 of the table.

        Of a multi-label dataset, instead of the last two a column for each class.
        """
        text = io.StringIO()
        table = csv.writer(text, delimiter="\t", lineterminator="\n")
        tasks = any(split.labels.ndim == 2 for split in self.splits.values())
        table.writerow(["id", "split", *(self.classes if tasks else SINGLE)])
        for name, split in self.splits.items():
            for example, label in zip(split.ids, split.labels.tolist(), strict=True):
                own = label if tasks else [label, self.classes[label]]
                table.writerow([example, name, *own])
        body = text.getvalue()
        with replacing(path) as temporary:
            digest = hashlib.sha256(body.encode()).hexdigest()
            temporary.write_text(f"# sha256 {digest}\n{body}", encoding="utf-8")

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Manifest":
        """Read what `write` wrote.

        Raises
        ------
        InputError
            If the table is not the one that its digest was made of.
        """
        head, _, body = Path(path).read_text(encoding="utf-8").partition("\n")
        if head != f"# sha256 {hashlib.sha256(body.encode()).hexdigest()}":
            raise InputError(f"{path} was altered or cut short; delete it and run again")
        rows = csv.reader(io.StringIO(body), delimiter="\t")
        _, _, *columns = next(rows)
        tasks = columns != SINGLE
        classes: dict[int, str] = dict(enumerate(columns)) if tasks else {}
        splits: dict[str, tuple[list[str], list]] = {}
        for example, split, *own in rows:
            ids, labels = splits.setdefault(split, ([], []))
            ids.append(example)
            labels.append([int(label) for label in own] if tasks else int(own[0]))
            if not tasks:
                classes[int(own[0])] = own[1]
        return cls(
            tuple(classes[label] for label in range(len(classes))),
            {
                name: Split(np.array(ids), np.array(labels, dtype=np.int64))
                for name, (ids, labels) in splits.items()
            },
        )


def source_files(dataset: Mapping) -> list[str]:
    """List every file that a dataset is made of, given its `kind` and `path`.

    Of `scenes`, which a rule makes, it is the listing of their folder.
    """
    kind, path = dataset["kind"], dataset["path"]
    if kind == "scenes":
        return [f"{path}.sha256"]
    if kind == "voc":
        return voc.source_files(path)
    if kind == "fashion-mnist":
        return [os.path.join(path, name) for name in FASHION_MNIST_SHA256]
    if not os.path.isdir(path):
        raise InputError(f"dataset.path: there is no folder {path}")
    return sorted(
        os.path.join(folder, name)
        for folder, _, names in os.walk(path, followlinks=True)
        for name in names
        if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not name.startswith(".")
    )


def build_manifest(
    kind: str, path: str, files: Iterable[str], splits: Mapping[str, int | str], seed: int
) -> Manifest:
    """Find a dataset's examples and divide its training images among the splits.

    Parameters
    ----------
    kind : {'fashion-mnist', 'folder'}
    path : str
        The dataset's folder.
    files : iterable of str
        What `source_files` lists.
    splits : mapping of str to int or 'rest'
        How many of the images under `train` each split gets. They are drawn at random, in equal
        shares of each class.
    seed : int

    Raises
    ------
    InputError
        If there are too few images, or a class that a split has no image of.
    """
    if kind == "fashion-mnist":
        classes = FASHION_MNIST_CLASSES
        whole = {
            name: Split(np.array([f"{name}/{i:05d}" for i in range(len(labels))]), labels)
            for name, labels in (("train", _fashion_mnist_labels(path, "train")),
                                 ("test", _fashion_mnist_labels(path, "t10k")))
        }  # fmt: skip
    else:
        classes, whole = _walk_folder(path, files)
    for name in set(splits) & set(whole) - {"train"}:
        raise InputError(
            f"dataset.splits.{name} takes images from {path}/train, but {path}/{name} exists too; "
            f"remove one of them"
        )
    pool = whole.pop("train")
    divided = {**_divide(pool, splits, len(classes), seed, path), **whole}
    for name in ("train", "calibration", "test"):
        if name not in divided:
            raise InputError(
                f"the dataset has no split '{name}': make the folder {path}/{name}"
                + (f", or give dataset.splits.{name} a number of images" if name != "test" else "")
            )
    for name, split in divided.items():
        counts = np.bincount(split.labels, minlength=len(classes))
        if len(counts) > len(classes):
            raise InputError(f"{path}: a label in '{name}' is {len(counts) - 1}, out of range")
        empty = [classes[label] for label in np.flatnonzero(counts == 0)]
        if empty:
            raise InputError(
                f"{path}: the split '{name}' has no image of {', '.join(empty)}; "
                f"add some, or leave the class out of every split"
            )
    return Manifest(tuple(classes), divided)


def _walk_folder(path: str, files: Iterable[str]) -> tuple[list[str], dict[str, Split]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for file in files:
        parts = Path(os.path.relpath(file, path)).parts
        if len(parts) < 3:
            raise InputError(f"{file} is not in a folder <split>/<class>/; move it into one")
        found.setdefault(parts[0], []).append(("/".join(parts), parts[1]))
    if "train" not in found:
        raise InputError(f"{path}/train holds no image in a folder of a class, <class>/*.jpg")
    # Folders of a class that lost all its images count, so that their emptiness is noticed.
    classes = sorted(entry.name for entry in os.scandir(Path(path, "train")) if entry.is_dir())
    index = {name: label for label, name in enumerate(classes)}
    for split, rows in found.items():
        unknown = sorted({name for _, name in rows} - set(classes))
        if unknown:
            raise InputError(
                f"{path}/{split}/{unknown[0]} is a class that {path}/train has not; "
                f"rename or remove it"
            )
    return classes, {
        split: Split(
            np.array([example for example, _ in rows]),
            np.array([index[name] for _, name in rows], dtype=np.int64),
        )
        for split, rows in found.items()
    }


def _divide(
    pool: Split, splits: Mapping[str, int | str], classes: int, seed: int, path: str
) -> dict[str, Split]:
    """Draw the splits from the pool, in equal shares of each class, without replacement."""
    if not splits:
        return {"train": pool}
    asked = sum(number for number in splits.values() if number != "rest")
    if asked > len(pool.ids):
        raise InputError(
            f"dataset.splits asks for {asked} images, but {path} has {len(pool.ids)} to train on"
        )
    rng = np.random.default_rng(seed)
    # Deal every class out evenly along a line; a split is then a stretch of that line.
    place = np.empty(len(pool.ids))
    for label in range(classes):
        rows = np.flatnonzero(pool.labels == label)
        place[rng.permutation(rows)] = (np.arange(len(rows)) + rng.random()) / max(len(rows), 1)
    order = np.argsort(place, kind="stable")
    divided, start = {}, 0
    for name, number in sorted(splits.items(), key=lambda item: item[1] == "rest"):
        stop = len(order) if number == "rest" else start + number
        rows = np.sort(order[start:stop])
        divided[name] = Split(pool.ids[rows], pool.labels[rows])
        start = stop
    return {name: divided[name] for name in splits}


class Decoder:
    """Gives the images of a dataset by their ids.

    Parameters
    ----------
    kind : {'fashion-mnist', 'folder'}
    path : str
        The dataset's folder.
    mode : {'L', 'RGB'}
        Pillow's name of the colour mode to convert to.
    """

    def __init__(self, kind: str, path: str, mode: str):
        self.kind, self.path, self.mode = kind, path, mode

    def __call__(self, example: str) -> Image.Image:
        """Decode one image.

        Raises
        ------
        InputError
            If the file is missing or is no readable image.
        """
        if self.kind == "fashion-mnist":
            split, _, index = example.partition("/")
            images = _fashion_mnist_images(self.path, "t10k" if split == "test" else split)
            return Image.fromarray(images[int(index)]).convert(self.mode)
        file = os.path.join(self.path, example)
        try:
            with Image.open(file) as image:
                return image.convert(self.mode)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(
                f"cannot read the image {file}: {error}; replace or remove it"
            ) from error


def _read_idx(path: str, name: str, header: int) -> bytes:
    """Content of one of Fashion-MNIST's files after its header, once its checksum is right."""
    file = Path(path, name)
    try:
        packed = file.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{file} is missing; restore it with `git checkout -- {path}`") from error
    if hashlib.sha256(packed).hexdigest() != FASHION_MNIST_SHA256[name]:
        raise InputError(
            f"{file} is not the file that this study is about (its SHA-256 differs); "
            f"restore it with `git checkout -- {path}`"
        )
    return gzip.decompress(packed)[header:]


@functools.cache
def _fashion_mnist_images(path: str, part: str) -> np.ndarray:
    content = _read_idx(path, f"{part}-images-idx3-ubyte.gz", 16)
    return np.frombuffer(content, np.uint8).reshape(-1, 28, 28)


def _fashion_mnist_labels(path: str, part: str) -> np.ndarray:
    content = _read_idx(path, f"{part}-labels-idx1-ubyte.gz", 8)
    return np.frombuffer(content, np.uint8).astype(np.int64)
