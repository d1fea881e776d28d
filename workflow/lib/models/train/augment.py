"""Random views of training images."""

import workflow.lib.backends  # noqa: F401  (before open_clip)

# isort: split
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from PIL import Image
from timm.data.transforms_factory import transforms_imagenet_train
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from workflow.lib.data.images import Images
from workflow.lib.run.errors import InputError


def from_files(recipe: Mapping) -> bool:
    """Say whether a training sees random crops of the image files, and no decoded array."""
    return recipe.get("augmentation") == "random-resized-crop"


class Crops(Images):
    """Random crops of image files, which worker processes decode while the network learns.

    A crop has a random share of the image's area and a random aspect ratio, and is resized and
    mirrored at random: timm's training transform (that of Szegedy et al. 2015). Of SimCLR, an
    image gives two, with the distortions of colour and the blur of Chen et al. (2020, appendix A).

    What is drawn depends on the recipe's seed, the epoch and the row alone: not on the number of
    workers, on the order of the images, or on where an interrupted training went on.

    Parameters
    ----------
    decode : callable
        Gives the image of an id; it must go to other processes.
    ids : sequence of str
    recipe : mapping
        `seed`, `input`, `flip`, `objective`, and if wanted `crop_scale` (least and greatest share
        of the area, by default 0.08 and 1), `crop_ratio` (of width to height, by default 3/4 and
        4/3), and for SimCLR `jitter`.
    device : torch.device
        Where images are normalised.
    workers : int
        Processes that decode.
    """

    def __init__(
        self,
        decode: Callable[[str], Image.Image],
        ids: Sequence[str],
        recipe: Mapping,
        device: torch.device,
        workers: int,
    ):
        image, simclr = recipe["input"], recipe["objective"] == "simclr"
        super().__init__([], image["mean"], image["std"], device)
        self.decode, self.ids, self.seed, self.workers = decode, ids, recipe["seed"], workers
        self.views = 2 if simclr else 1
        jitter = recipe["jitter"] if simclr else 0.0
        self.transform = transforms_imagenet_train(
            image["size"],
            scale=recipe.get("crop_scale", (0.08, 1.0)),
            ratio=recipe.get("crop_ratio", (3 / 4, 4 / 3)),
            hflip=0.5 if recipe.get("flip", True) else 0.0,
            color_jitter=(jitter, jitter, jitter, jitter / 4) if jitter else None,
            color_jitter_prob=0.8,
            grayscale_prob=0.2 if simclr else 0.0,
            gaussian_blur_prob=0.5 if simclr else 0.0,
            interpolation=image["interpolation"],
            use_prefetcher=True,  # gives uint8; we normalise on the device
        )

    def __len__(self) -> int:
        return len(self.ids)

    def view(self, epoch: int, row: int) -> Tensor:
        """Draw what an epoch shows of an image: uint8, shape (views, channels, size, size)."""
        seed = int(np.random.SeedSequence([self.seed, epoch, row]).generate_state(1)[0])
        random.seed(seed)
        torch.default_generator.manual_seed(seed)  # a hundred times faster than torch.manual_seed
        image = self.decode(self.ids[row])
        return torch.stack([self.transform(image) for _ in range(self.views)])

    def __getitem__(self, draw: tuple[int, np.ndarray]) -> Tensor | InputError:
        """Draw a batch, (epoch, rows), as a worker does; a bad image's error is handed on."""
        epoch, rows = draw
        try:
            return torch.stack([self.view(epoch, int(row)) for row in rows])
        except InputError as error:
            return error  # raised here, a worker's traceback would bury its message

    def batches(self, epoch: int, batches: Iterable[np.ndarray]) -> Iterator[Tensor]:
        """Yield what an epoch shows of the images of each batch of rows, on the device.

        Yields
        ------
        Tensor of uint8, shape (views × images, channels, size, size)
            First the first view of every image, then the second of every one.

        Raises
        ------
        InputError
            If an image cannot be read.
        """
        loader = DataLoader(
            self,
            batch_size=None,
            sampler=[(epoch, rows) for rows in batches],
            # In other processes always: drawing sets the seed of the process that draws.
            num_workers=max(self.workers, 1),
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator(),  # not the one that seeds the network's own randomness
        )
        for drawn in loader:
            if isinstance(drawn, InputError):
                raise drawn
            yield drawn.to(self.device, non_blocking=True).transpose(0, 1).flatten(0, 1)


def shift_and_flip(pixels: Tensor, shift: int, flip: bool) -> Tensor:
    """Move each image by up to `shift` pixels both ways, black moving in, and mirror every other.

    Parameters
    ----------
    pixels : Tensor, shape (images, channels, height, width)
    """
    count, _, height, width = pixels.shape
    here = pixels.device
    columns = torch.arange(width, device=here).expand(count, width)
    if flip:
        mirrored = torch.rand(count, 1, device=here) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    if shift:
        pixels = F.pad(pixels, [shift] * 4)
    down, right = torch.randint(0, 2 * shift + 1, (2, count, 1), device=here)
    rows = torch.arange(height, device=here) + down
    image = torch.arange(count, device=here)[:, None, None]
    moved = pixels.permute(0, 2, 3, 1)[image, rows[:, :, None], (columns + right)[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def distort(pixels: Tensor, scale: Sequence[float], jitter: float) -> Tensor:
    """Draw a random view of each image, as SimCLR's augmentation does for small grey images.

    Parameters
    ----------
    pixels : Tensor, shape (images, channels, height, width)
        In [0, 255].
    scale : (float, float)
        Least and greatest share of an image's area that a view shows; its sides differ by up to
        4:3. The view is resized to the image's size and mirrored at random.
    jitter : float
        Brightness and contrast are each multiplied by 1 ± up to `jitter`.

    Returns
    -------
    Tensor of float32
        Of the same shape, in [0, 255].
    """
    count, here = len(pixels), pixels.device

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, device=here)

    area, aspect = uniform(*scale), torch.exp(uniform(np.log(3 / 4), np.log(4 / 3)))
    width, height = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    matrix = torch.zeros(count, 2, 3, device=here)
    matrix[:, 0, 0] = width * torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    matrix[:, 1, 1] = height
    matrix[:, 0, 2] = (1 - width) * uniform(-1, 1)
    matrix[:, 1, 2] = (1 - height) * uniform(-1, 1)
    grid = F.affine_grid(matrix, list(pixels.shape), align_corners=False)
    views = F.grid_sample(pixels.float(), grid, align_corners=False)
    means = views.mean(dim=(1, 2, 3), keepdim=True)
    contrast = uniform(1 - jitter, 1 + jitter).view(-1, 1, 1, 1)
    brightness = uniform(1 - jitter, 1 + jitter).view(-1, 1, 1, 1)
    return ((views - means) * contrast + means * brightness).clamp(0, 255)
