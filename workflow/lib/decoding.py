"""Images of a dataset by their ids, whatever its kind."""

import functools
import gzip
import hashlib
import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

from workflow.lib import parquet
from workflow.lib.jobs import InputError

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


class Decoder:
    """Gives the images of a dataset by their ids; from any thread.

    Images are as they are stored: a camera's note that one should be turned (EXIF) is not followed,
    as timm, open_clip and torchvision do not follow it either.

    Parameters
    ----------
    kind : {'fashion-mnist', 'folder', 'imagenet', 'parquet'}
    path : str
        The dataset's folder.
    mode : {'L', 'RGB'}
        Pillow's name of the colour mode to convert to.
    """

    def __init__(self, kind: str, path: str, mode: str):
        self.kind, self.path, self.mode = kind, path, mode
        self._rows = parquet.Rows(path) if kind == "parquet" else None

    def __call__(self, example: str) -> Image.Image:
        """Decode one image.

        Raises
        ------
        InputError
            If the file is missing or is no readable image, or has more than 8 bits a channel.
        """
        if self.kind == "fashion-mnist":
            split, _, index = example.partition("/")
            images = _fashion_mnist_images(self.path, "t10k" if split == "test" else split)
            return Image.fromarray(images[int(index)]).convert(self.mode)
        file = os.path.join(self.path, example)
        content = io.BytesIO(self._rows(example)) if self._rows else file
        try:
            with Image.open(content) as image:
                if image.mode.startswith(("I", "F")):  # which Pillow would cut off above 255
                    raise InputError(
                        f"the image {file} has more than 8 bits a channel; convert it to 8, or set "
                        f"dataset.skip_corrupt to leave such images out"
                    )
                return image.convert(self.mode)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(
                f"cannot read the image {file}: {error}; replace or remove it, or set "
                f"dataset.skip_corrupt to leave such images out"
            ) from error


def read_idx(path: str, name: str, header: int) -> bytes:
    """Read one of Fashion-MNIST's files after its header of some bytes.

    Raises
    ------
    InputError
        If it is missing, or is not the published file.
    """
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
    content = read_idx(path, f"{part}-images-idx3-ubyte.gz", 16)
    return np.frombuffer(content, np.uint8).reshape(-1, 28, 28)
