"""Images decoded once: one array a geometry and split, which every model of that geometry reads."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import numpy as np
import torch
from PIL import Image
from timm.data.transforms_factory import transforms_imagenet_eval

from workflow.lib.data.arrays import Array, Writer
from workflow.lib.run.errors import InputError
from workflow.lib.run.files import in_words
from workflow.lib.run.progress import Progress, ahead
from workflow.lib.run.resume import part_of, publish

log = logging.getLogger("uncorrelated")


def prepare(
    decode: Callable[[str], Image.Image],
    ids: Sequence[str],
    geometry: dict,
    path: str | os.PathLike,
    threads: int = 1,
    identity: str = "",
) -> None:
    """Resize and crop images by timm's evaluation transform into one array on disk.

    open_clip's transforms are among them: `shortest` is the crop mode `center`, and `longest` is
    `border`, both with a crop of 1. Memory does not grow with the number of images.

    Parameters
    ----------
    decode : callable
        Gives the image of an id; called from several threads.
    ids : sequence of str
    geometry : dict
        `size` in pixels, or height and width; `crop` as a share; `interpolation`; `channels`.
        `crop_mode`, if there: `center`, `squash` or `border`; and of the latter `fill`, the
        value of each channel outside the image, 0 to 255.
    path
        The .npy file to write: uint8, shape (examples, channels, height, width), values exactly
        those that timm's transform has before it normalises them.
    threads : int
        Images decoded at the same time.
    identity : str
        What else the array depends on. A run that was killed resumes from its last image, unless
        its identity, ids or geometry were others.

    Raises
    ------
    InputError
        If an image cannot be read, or the disk is too small.
    """
    path = Path(path)
    transform = _transform(geometry)
    size = geometry["size"]
    height, width = (size, size) if isinstance(size, int) else size
    shape = (len(ids), geometry["channels"], height, width)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path, [identity, geometry, list(map(str, ids))])
    writer = Writer(part, shape)
    done = writer.done
    needed, free = (len(ids) - done) * writer.stride, shutil.disk_usage(path.parent).free
    if needed > free:
        raise InputError(
            f"{path} takes {in_words(needed)} more, but its disk has {in_words(free)} left; free "
            f"some space and run again"
        )
    if done:
        log.info("resuming at image %d, from %s", done, part)
    with writer as file:
        progress = Progress(len(ids), "images", done=done)

        def load(example: str) -> np.ndarray:
            pixels = transform(decode(example)).numpy()
            if pixels.shape != shape[1:]:
                raise InputError(f"the image {example} became {pixels.shape}, not {shape[1:]}")
            return pixels

        try:
            for pixels in ahead(load, ids[done:], threads, each=4):
                file.append(pixels)
                progress.advance(1)
        except InputError:
            part.unlink()
            raise
    publish(part, path)


def _transform(geometry: dict) -> Callable[[Image.Image], torch.Tensor]:
    """Make timm's evaluation transform up to the uint8 tensor."""
    size = geometry["size"]
    return transforms_imagenet_eval(
        img_size=size if isinstance(size, int) else tuple(size),
        crop_pct=geometry["crop"],
        crop_mode=geometry.get("crop_mode"),
        interpolation=geometry["interpolation"],
        # Of the mean, only the border's colour is made here, by round(255 * mean).
        mean=tuple(value / 255 for value in geometry.get("fill") or (0, 0, 0)),
        use_prefetcher=True,
    )


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
        self.arrays = [Array(path) for path in paths]
        self.starts = np.cumsum([0, *(len(array) for array in self.arrays)])
        self.device = device
        shape = (1, -1, 1, 1)
        # As timm's loader has them, to the last bit.
        options = {"dtype": torch.float32, "device": device}
        self.mean = torch.tensor([255 * value for value in mean], **options).view(shape)
        self.std = torch.tensor([255 * value for value in std], **options).view(shape)
        self.copies = torch.cuda.Stream(device) if device.type == "cuda" else None

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

    def stream(self, start: int, size: int) -> Iterator[torch.Tensor]:
        """Read images from row `start` on in order, the next ones while the caller works.

        On a GPU they are copied from page-locked memory, beside what it computes.

        Yields
        ------
        Tensor of uint8, shape (size or what is left, channels, height, width)
        """
        firsts = range(start, len(self), size)
        for pixels, copied in ahead(lambda row: self._load(row, size), firsts):
            if copied is not None:
                now = torch.cuda.current_stream(self.device)
                now.wait_event(copied)
                pixels.record_stream(now)
            yield pixels

    def _load(self, first: int, size: int) -> tuple[torch.Tensor, torch.cuda.Event | None]:
        """Rows on the device, and on a GPU when they are there."""
        shape = (min(size, len(self) - first), *self.arrays[0].shape[1:])
        pixels = torch.empty(shape, dtype=torch.uint8, pin_memory=self.copies is not None)
        self._read(first, pixels.numpy())
        if self.copies is None:
            return pixels, None
        with torch.cuda.stream(self.copies):
            return pixels.to(self.device, non_blocking=True), self.copies.record_event()

    def _read(self, first: int, pixels: np.ndarray) -> None:
        for array, start, stop in zip(self.arrays, self.starts, self.starts[1:], strict=False):
            low, high = max(first, start), min(first + len(pixels), stop)
            if low < high:
                array.read(low - start, pixels[low - first : high - first])

    def normalise(
        self, pixels: torch.Tensor, layout: torch.memory_format = torch.preserve_format
    ) -> torch.Tensor:
        """Bring pixels in [0, 255] to what a network takes: float32, in the layout asked for."""
        values = pixels.to(torch.float32, copy=True).sub_(self.mean).div_(self.std)
        return values.to(memory_format=layout)  # last: arithmetic is slow across that layout

    def __getitem__(self, rows: np.ndarray) -> torch.Tensor:
        return self.normalise(self.raw(rows))

    def brightness(self) -> np.ndarray:
        """Mean pixel value of each image in [0, 255]: float64, shape (examples,)."""
        return np.concatenate(
            [
                array[block].mean(axis=(1, 2, 3), dtype=np.float64)
                for array in self.arrays
                for block in array.blocks()
            ]
        )
