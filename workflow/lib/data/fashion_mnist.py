"""Fashion-MNIST: the four gzip files of Xiao, Rasul and Vollgraf (2017)."""

import functools
import gzip
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from workflow.lib.data.splits import Split
from workflow.lib.run.errors import InputError
from workflow.lib.run.files import refuse_special

CLASSES = (
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


SHA256 = {
    "train-images-idx3-ubyte.gz":
        "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "train-labels-idx1-ubyte.gz":
        "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "t10k-images-idx3-ubyte.gz":
        "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1-ubyte.gz":
        "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}  # fmt: skip


def files(path: str, splits: Mapping) -> list[str]:
    """List the files that Snakemake is to watch."""
    return [os.path.join(path, name) for name in SHA256]


def listing(path: str, splits: Mapping) -> str:
    """Nothing: all files are watched."""
    return ""


def warnings(path: str, splits: Mapping) -> tuple[()]:
    """Nothing: the files are known."""
    return ()


def read(path: str, splits: Mapping) -> tuple[Sequence[str], dict[str, Split]]:
    """Find classes and labels of the published training and test images."""
    whole = {}
    for name, part in (("train", "train"), ("test", "t10k")):
        content = read_idx(path, f"{part}-labels-idx1-ubyte.gz", 8)
        labels = np.frombuffer(content, np.uint8).astype(np.int64)
        whole[name] = Split(np.array([f"{name}/{i:05d}" for i in range(len(labels))]), labels)
    return CLASSES, whole


def opener(path: str) -> Callable[[str], Image.Image]:
    """Make a function that gives the image of an id."""
    return functools.partial(_open, path)


def _open(path: str, example: str) -> Image.Image:
    split, _, index = example.partition("/")
    return Image.fromarray(_images(path, "t10k" if split == "test" else split)[int(index)])


def read_idx(path: str, name: str, header: int) -> bytes:
    """Read one of Fashion-MNIST's files after its header of some bytes.

    Raises
    ------
    InputError
        If it is missing, or is not the published file.
    """
    file = Path(path, name)
    refuse_special(file)
    try:
        packed = file.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{file} is missing; restore it with `git checkout -- {path}`") from error
    if hashlib.sha256(packed).hexdigest() != SHA256[name]:
        raise InputError(
            f"{file} is not the file that this study is about (its SHA-256 differs); "
            f"restore it with `git checkout -- {path}`"
        )
    return gzip.decompress(packed)[header:]


@functools.cache
def _images(path: str, part: str) -> np.ndarray:
    content = read_idx(path, f"{part}-images-idx3-ubyte.gz", 16)
    return np.frombuffer(content, np.uint8).reshape(-1, 28, 28)
