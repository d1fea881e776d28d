"""Training: objectives, and one loop for all of them that resumes where it was killed."""

import workflow.lib.compat  # noqa: F401  (before open_clip)

# isort: split
import hashlib
import json
import logging
import math
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image
from timm.data.transforms_factory import transforms_imagenet_train
from timm.models.resnet import Bottleneck
from timm.optim import create_optimizer_v2
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from workflow.lib import networks
from workflow.lib.clip import TextTower, text_image_model
from workflow.lib.images import Images
from workflow.lib.jobs import InputError, Progress, replacing

log = logging.getLogger("uncorrelated")


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


def drop_block(maps: Tensor, share: float, size: int = 7) -> Tensor:
    """Set square blocks of feature maps to 0, and scale up the rest to make good for them.

    Parameters
    ----------
    maps : Tensor, shape (images, channels, height, width)
    share : float
        Of the values to drop, from 0 to 1; a little less is dropped, since blocks overlap.
    size : int
        Height and width of a block, at most those of a map. Blocks lie inside the map.

    Notes
    -----
    Ghiasi, Lin and Le (2018), algorithm 1, each channel on its own as in their published code
    (`dropblock` in models/official/resnet/resnet_model.py of github.com/tensorflow/tpu).
    """
    images, channels, height, width = maps.shape
    size = min(size, height, width)
    rows, columns = height - size + 1, width - size + 1  # where the corner of a block can lie
    rate = share * height * width / size**2 / (rows * columns)
    corners = maps.new_empty(images, channels, rows, columns).bernoulli_(rate)
    blocks = F.max_pool2d(F.pad(corners, [size - 1] * 4), size, stride=1)
    kept = 1 - blocks
    left = kept.mean(dtype=torch.float32).clamp(min=1 / kept.numel())
    return maps * kept / left.to(maps.dtype)


def add_drop_block(network: nn.Module, recipe: Mapping, progress: Callable[[], float]) -> None:
    """Let a ResNet in training drop blocks where and as Ghiasi, Lin and Le (2018) did.

    That is after each of the three normalisations of a block, and on its shortcut, with a share
    that grows evenly from 0 to its final value, and is divided by 4 for each stage before the
    last (github.com/tensorflow/tpu, models/official/resnet/resnet_main.py). timm's own
    `drop_block_rate` differs: only after the second normalisation, in stages 3 and 4 alone, at a
    constant share. No tensor is added, so the checkpoint is that of the plain network.

    Parameters
    ----------
    network : nn.Module
        A timm ResNet of bottleneck blocks.
    recipe : mapping
        `drop_block_stages`, among 1 to 4, and `drop_block_keep`, 1 less the final share.
    progress : callable
        Gives the share of the training that is done.

    Raises
    ------
    InputError
        If the network is another.
    """
    for stage in recipe["drop_block_stages"]:
        blocks = getattr(network, f"layer{stage}", ())
        if not blocks or not all(isinstance(block, Bottleneck) for block in blocks):
            raise InputError(
                f"drop_block_stages: stage {stage} of the architecture "
                f"'{recipe['architecture']}' is not of a ResNet's bottleneck blocks; "
                f"leave it out, or take a ResNet of 50 layers or more"
            )
        final = (1 - recipe["drop_block_keep"]) / 4 ** (4 - stage)

        def hook(module, _, maps, final=final):
            return drop_block(maps, final * progress()) if module.training else maps

        for block in blocks:
            block.downsample = block.downsample or nn.Identity()
            for module in (block.bn1, block.bn2, block.bn3, block.downsample):
                module.register_forward_hook(hook)


class Objective(nn.Module):
    """What is minimised: called with pixels of some training images and their rows.

    It gives loss and accuracy. `progress` is the share of the training that is done.
    """

    def __init__(self, recipe: Mapping, images: Images, labels: Tensor):
        super().__init__()
        self.recipe, self.images, self.labels = recipe, images, labels
        self.progress = 0.0

    def augmented(self, pixels: Tensor) -> Tensor:
        """Normalised images, shifted and flipped unless they are random crops already."""
        if not from_files(self.recipe):
            pixels = shift_and_flip(pixels, self.recipe["shift"], self.recipe["flip"])
        return self.images.normalise(pixels)

    def parts(self) -> dict[str, nn.Module]:
        """Modules to store beside the network."""
        return {}


class Supervised(Objective):
    """Cross-entropy with the labels."""

    def __init__(self, recipe, images, labels, network):
        super().__init__(recipe, images, labels)
        self.network = network
        if "drop_block_stages" in recipe:
            add_drop_block(network, recipe, lambda: self.progress)

    def forward(self, pixels: Tensor, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Compute loss and accuracy on some of the training images."""
        logits, labels = self.network(self.augmented(pixels)), self.labels[rows]
        loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe["label_smoothing"])
        return loss, (logits.argmax(1) == labels).float().mean()


class Distillation(Supervised):
    """Cross-entropy with a teacher's softened outputs (Hinton, Vinyals and Dean 2015)."""

    def __init__(self, recipe, images, labels, network, teacher):
        super().__init__(recipe, images, labels, network)
        self.teacher = [teacher.requires_grad_(False)]  # in a list: not part of what is trained

    def forward(self, pixels: Tensor, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Compute loss and accuracy on some of the training images."""
        batch, temperature = self.augmented(pixels), self.recipe["temperature"]
        logits = self.network(batch)
        _, _, targets = self.teacher[0](batch)
        loss = F.cross_entropy(logits / temperature, (targets / temperature).softmax(1))
        return temperature**2 * loss, (logits.argmax(1) == self.labels[rows]).float().mean()


class SimCLR(Objective):
    """Two views of an image attract, views of others repel (Chen et al. 2020, equation 1).

    The accuracy is how often the other view of the same image is the most similar one.
    """

    def __init__(self, recipe, images, labels, network):
        super().__init__(recipe, images, labels)
        self.network = network
        width = network.num_features
        self.projector = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, recipe["projection"])
        )

    def forward(self, pixels: Tensor, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Compute loss and accuracy on some of the training images."""
        recipe = self.recipe
        views = pixels  # of files, both views already
        if not from_files(recipe):
            scale, jitter = recipe["crop_scale"], recipe["jitter"]
            views = torch.cat([distort(pixels, scale, jitter) for _ in "12"])
        embeddings = self.projector(self.network(self.images.normalise(views)))
        embeddings = F.normalize(embeddings.float(), dim=1)
        similarity = embeddings @ embeddings.T / recipe["temperature"]
        similarity.fill_diagonal_(-torch.inf)
        partner = torch.arange(len(views), device=views.device).roll(len(rows))
        hits = (similarity.argmax(1) == partner).float().mean()
        return F.cross_entropy(similarity, partner), hits

    def parts(self) -> dict[str, nn.Module]:
        """Modules to store beside the network."""
        return {"projector": self.projector}


class Clip(Objective):
    """Images attract their captions, of several templates (Radford et al. 2021).

    The accuracy is how often an image is nearest to a caption of its own class.
    """

    def __init__(self, recipe, images, labels, network, classes):
        super().__init__(recipe, images, labels)
        self.clip = text_image_model(recipe, network)
        self.loss = open_clip.ClipLoss()
        self.tokenizer = open_clip.SimpleTokenizer(context_length=recipe["context"])
        self.captions = [t.format(name) for name in classes for t in recipe["templates"]]

    def forward(self, pixels: Tensor, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Compute loss and accuracy on some of the training images."""
        labels, templates = self.labels[rows], len(self.recipe["templates"])
        drawn = torch.randint(templates, labels.shape, device=labels.device)
        batch = self.augmented(pixels)
        # A caption is encoded once, however often it is drawn.
        tokens = self.tokenizer(self.captions).to(batch.device)
        texts = self.clip.encode_text(tokens, normalize=True).float()
        images = self.clip.encode_image(batch, normalize=True).float()
        loss = self.loss(images, texts[labels * templates + drawn], self.clip.logit_scale.exp())
        nearest = (images @ texts.T).argmax(1) // templates
        return loss, (nearest == labels).float().mean()

    def parts(self) -> dict[str, nn.Module]:
        """Modules to store beside the network."""
        return {"clip": TextTower(self.clip)}


def rate(recipe: Mapping, step: int, steps: int) -> float:
    """Share of the peak learning rate that a step takes, by the schedule `cosine` or `step`.

    Parameters
    ----------
    recipe : mapping
        `schedule`, `epochs`; if wanted `warmup`, epochs in which the rate first grows evenly from
        0; with the schedule `step`, `milestones`, epochs at which it is divided by 10.
    step : int
        Steps done before.
    steps : int
        Steps in an epoch.

    Notes
    -----
    `cosine` is Loshchilov and Hutter (2017) without restarts, after the warm-up of Goyal et al.
    (2017); `step` is `learning_rate_schedule` in models/official/resnet/resnet_main.py of
    github.com/tensorflow/tpu.
    """
    epoch, warmup = step / steps, recipe.get("warmup", 0)
    if epoch < warmup:
        return epoch / warmup
    if recipe["schedule"] == "cosine":
        return (1 + math.cos(math.pi * (epoch - warmup) / (recipe["epochs"] - warmup))) / 2
    return 0.1 ** sum(epoch >= milestone for milestone in recipe["milestones"])


def scheduler(
    recipe: Mapping, optimiser: torch.optim.Optimizer, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """Build what sets the learning rate before each step; an epoch has so many `steps`."""
    if recipe.get("schedule", "one-cycle") == "one-cycle":
        return torch.optim.lr_scheduler.OneCycleLR(
            optimiser, recipe["learning_rate"], total_steps=steps * recipe["epochs"], pct_start=0.2
        )
    return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate(recipe, step, steps))


def train(
    objective: Objective,
    recipe: Mapping,
    resume: str | os.PathLike,
    tag: object,
    every: float = 600.0,
) -> None:
    """Minimise an objective by its recipe; leaves its weights in place.

    The state is kept in the file `resume`, after every epoch and from time to time within one. A
    later call goes on from there if this one was killed. The state holds that of the random
    numbers, and order and augmentation of the images follow from seed and epoch, so the result is
    the same as without the interruption: bit by bit on a CPU.

    Parameters
    ----------
    objective : Objective
    recipe : mapping
        `seed`, `epochs`, `batch_size`, `optimizer`, `learning_rate`, `weight_decay`; if wanted
        `schedule` (`one-cycle` by default; see `rate` for others).
    resume
        File of the state; it may be removed once the result is safe.
    tag
        Anything that a state must have been made with to be gone on from.
    every : float
        Seconds between states within an epoch.

    Raises
    ------
    InputError
        If the loss stops being finite, or a batch does not fit into the GPU's memory.
    """
    device = networks.device()
    objective.to(device).train()
    if device.type == "cuda":
        objective.to(memory_format=torch.channels_last)
    images = objective.images
    count, epochs = len(images), recipe["epochs"]
    batch = min(recipe["batch_size"], count)
    steps = count // batch
    optimiser = create_optimizer_v2(
        objective,
        opt=recipe["optimizer"],
        lr=recipe["learning_rate"],
        weight_decay=recipe["weight_decay"],
    )
    schedule = scheduler(recipe, optimiser, steps)
    # Mixed precision where there is a GPU; float16 needs its gradients scaled, bfloat16 does not.
    mixed = device.type == "cuda"
    half = torch.bfloat16 if mixed and torch.cuda.is_bf16_supported() else torch.float16
    scaler = torch.amp.GradScaler(device.type, enabled=mixed and half is torch.float16)
    stateful = {
        "objective": objective, "optimiser": optimiser, "schedule": schedule, "scaler": scaler
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps([recipe, tag], sort_keys=True).encode()).hexdigest()

    def keep(epoch: int, step: int, sums: Tensor) -> None:
        """Write the state after some steps of an epoch, if it is a sound one."""
        if not sums.isfinite().all():
            loss = float(sums[0])
            raise InputError(f"the loss is {loss} in epoch {epoch + 1}; lower the learning_rate")
        state = {name: part.state_dict() for name, part in stateful.items()}
        done = {"epoch": epoch + step // steps, "step": step % steps, "sums": sums}
        done["random"] = _random_state(device)
        with replacing(resume) as temporary:
            torch.save({"digest": digest, **done, **state}, temporary)

    done = _resume(Path(resume), digest, stateful)
    seen = (done["epoch"] * steps + done["step"]) * batch
    progress = Progress(epochs * steps * batch, "images", done=seen)
    kept = time.monotonic()
    for epoch in range(done["epoch"], epochs):
        rng = np.random.default_rng([recipe["seed"], epoch])
        torch.manual_seed(int(rng.integers(2**63)))
        rows = rng.permutation(count)[: steps * batch].reshape(steps, batch)
        first, sums, start = 0, torch.zeros(2, device=device), time.monotonic()
        if epoch == done["epoch"] and done["step"]:
            first, sums = done["step"], done["sums"]
            _set_random_state(done["random"], device)
        for step, pixels in enumerate(_pixels(images, epoch, rows[first:]), first):
            objective.progress = (epoch * steps + step) / (epochs * steps)
            try:
                with torch.autocast(device.type, half, enabled=mixed):
                    loss, accuracy = objective(pixels, rows[step])
                optimiser.zero_grad()
                scaler.scale(loss).backward()
                scaler.step(optimiser)
            except torch.OutOfMemoryError as error:
                raise InputError(
                    f"a batch of {batch} images does not fit into the GPU's memory; lower "
                    f"batch_size, and learning_rate in the same proportion"
                ) from error
            scaler.update()
            schedule.step()
            sums += torch.stack([loss.detach(), accuracy])
            progress.advance(batch, f"epoch {epoch + 1}", now=step + 1 == steps)
            if step + 1 == steps or time.monotonic() - kept >= every:
                keep(epoch, step + 1, sums)
                kept = time.monotonic()
        loss, accuracy = (sums / steps).tolist()
        log.info(
            "epoch %d of %d: loss %.4f, accuracy %.4f, %.0f images a second",
            epoch + 1, epochs, loss, accuracy,
            (steps - first) * batch / (time.monotonic() - start),
        )  # fmt: skip
    objective.eval()


def _pixels(images: Images, epoch: int, batches: Sequence[np.ndarray]) -> Iterable[Tensor]:
    """Give the pixels of each batch of rows: uint8, shape (images, channels, size, size)."""
    return images.batches(epoch, batches) if isinstance(images, Crops) else map(images.raw, batches)


def _random_state(device: torch.device) -> dict[str, Tensor]:
    """State of the random numbers that dropout and augmentation draw from."""
    state = {"cpu": torch.get_rng_state()}
    return state | ({"cuda": torch.cuda.get_rng_state()} if device.type == "cuda" else {})


def _set_random_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu())


def _resume(path: Path, digest: str, stateful: Mapping) -> dict:
    """Restore the state of an interrupted run; gives how far it was, in whole epochs and steps."""
    for left in path.parent.glob(f".{path.name}.*"):  # by a job that was killed as it wrote
        left.unlink()
    beginning = {"epoch": 0, "step": 0}
    if not path.exists():
        return beginning
    try:
        state = torch.load(path, map_location=networks.device(), weights_only=True)
    except Exception as error:
        log.warning("starting over, since %s cannot be read: %s", path, error)
        return beginning
    if state["digest"] != digest:
        log.info("starting over, since %s is of another recipe, data or code", path)
        return beginning
    for name, part in stateful.items():
        part.load_state_dict(state[name])
    log.info("resuming after epoch %d, step %d, from %s", state["epoch"], state["step"], path)
    return state
