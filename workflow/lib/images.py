"""Images decoded once: one array a geometry and split, which every model of that geometry reads."""

import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import workflow.lib.compat  # noqa: F401  (before timm)

# isort: split
import numpy as np
import torch
from PIL import Image
from timm.data.transforms_factory import transforms_imagenet_eval

from workflow.lib.jobs import Progress, replacing

log = logging.getLogger("uncorrelated")


def prepare(
    decode: Callable[[str], Image.Image],
    ids: Sequence[str],
    geometry: dict,
    path: str | os.PathLike,
    threads: int = 1,
) -> None:
    """Resize and crop images by timm's evaluation transform into one array on disk.

    Parameters
    ----------
    decode : callable
        Gives the image of an id.
    ids : sequence of str
    geometry : dict
        `size` in pixels, `crop` as a share, `interpolation`, and `channels`.
    path
        The .npy file to write: uint8, shape (examples, channels, size, size), values exactly those
        that timm's transform has before it normalises them.
    threads : int
        Images decoded at the same time.
    """
    transform = transforms_imagenet_eval(
        img_size=geometry["size"],
        crop_pct=geometry["crop"],
        interpolation=geometry["interpolation"],
        use_prefetcher=True,
    )
    shape = (len(ids), geometry["channels"], geometry["size"], geometry["size"])
    progress = Progress(len(ids), "images")
    with (
        replacing(path) as temporary,
        open(temporary, "wb") as file,
        ThreadPoolExecutor(threads) as pool,
    ):
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )
        for start in range(0, len(ids), 256):
            block = ids[start : start + 256]
            for image in pool.map(lambda i: transform(decode(i)), block):
                file.write(np.asarray(image, dtype=np.uint8).tobytes())
            progress.advance(len(block))


class Images:
    """Prepared images of one or several splits, read from disk as they are asked for.

    Parameters
    ----------
    paths : sequence of path
        Arrays that `prepare` wrote; their rows follow one another.
    mean, std : sequence of float
        One value a channel, for pixel values in [0, 1].
    device : torch.device
        Where images are normalised.
    """

    def __init__(self, paths: Sequence[str], mean: Sequence[float], std: Sequence[float], device):
        self.arrays = [np.load(path, mmap_mode="r") for path in paths]
        self.starts = np.cumsum([0, *(len(array) for array in self.arrays)])
        self.device = device
        shape = (1, -1, 1, 1)
        self.mean = 255 * torch.tensor(mean, dtype=torch.float32, device=device).view(shape)
        self.std = 255 * torch.tensor(std, dtype=torch.float32, device=device).view(shape)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def raw(self, rows: np.ndarray) -> torch.Tensor:
        """Pixels of some rows as they are on disk: uint8, shape (rows, channels, size, size)."""
        rows = np.asarray(rows)
        pixels = np.empty((len(rows), *self.arrays[0].shape[1:]), dtype=np.uint8)
        for array, start, stop in zip(self.arrays, self.starts, self.starts[1:], strict=False):
            here = (rows >= start) & (rows < stop)
            pixels[here] = array[rows[here] - start]
        return torch.from_numpy(pixels).to(self.device, non_blocking=True)

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """Bring pixels in [0, 255] to what a network takes: float32."""
        return (pixels.float() - self.mean) / self.std

    def __getitem__(self, rows: np.ndarray) -> torch.Tensor:
        return self.normalise(self.raw(rows))

    def brightness(self) -> np.ndarray:
        """Mean pixel value of each image in [0, 255]: float64, shape (examples,)."""
        return np.concatenate(
            [array.mean(axis=(1, 2, 3), dtype=np.float64) for array in self.arrays]
        )
