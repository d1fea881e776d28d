"""Training: objectives, and one loop for all of them that resumes where it was killed."""

import workflow.lib.compat  # noqa: F401  (before open_clip)

# isort: split
import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from timm.optim import create_optimizer_v2
from torch import Tensor, nn
from torch.nn import functional as F

from workflow.lib import networks
from workflow.lib.images import Images
from workflow.lib.jobs import InputError, Progress, replacing

log = logging.getLogger("uncorrelated")


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


class Objective(nn.Module):
    """What is minimised: called with rows of the training images, gives loss and accuracy."""

    def __init__(self, recipe: Mapping, images: Images, labels: Tensor):
        super().__init__()
        self.recipe, self.images, self.labels = recipe, images, labels

    def augmented(self, rows: np.ndarray) -> Tensor:
        """Normalised images of some rows, shifted and flipped."""
        pixels = shift_and_flip(self.images.raw(rows), self.recipe["shift"], self.recipe["flip"])
        return self.images.normalise(pixels)

    def parts(self) -> dict[str, nn.Module]:
        """Modules to store beside the network."""
        return {}


class Supervised(Objective):
    """Cross-entropy with the labels."""

    def __init__(self, recipe, images, labels, network):
        super().__init__(recipe, images, labels)
        self.network = network

    def forward(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Compute loss and accuracy on some rows of the training images."""
        logits, labels = self.network(self.augmented(rows)), self.labels[rows]
        loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe["label_smoothing"])
        return loss, (logits.argmax(1) == labels).float().mean()


class Distillation(Supervised):
    """Cross-entropy with a teacher's softened outputs (Hinton, Vinyals and Dean 2015)."""

    def __init__(self, recipe, images, labels, network, teacher):
        super().__init__(recipe, images, labels, network)
        self.teacher = [teacher.requires_grad_(False)]  # in a list: not part of what is trained

    def forward(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Compute loss and accuracy on some rows of the training images."""
        batch, temperature = self.augmented(rows), self.recipe["temperature"]
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

    def forward(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Compute loss and accuracy on some rows of the training images."""
        pixels = self.images.raw(rows)
        recipe = self.recipe
        views = torch.cat([distort(pixels, recipe["crop_scale"], recipe["jitter"]) for _ in "12"])
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

    def forward(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Compute loss and accuracy on some rows of the training images."""
        labels, templates = self.labels[rows], len(self.recipe["templates"])
        drawn = torch.randint(templates, labels.shape, device=labels.device)
        batch = self.augmented(rows)
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


def text_image_model(recipe: Mapping, network: nn.Module) -> CLIP:
    """Build open_clip's model around a timm network that gives `projection` outputs."""
    clip = CLIP(
        recipe["projection"],
        # open_clip builds a vision tower of its own; a tiny one, which ours takes the place of.
        CLIPVisionCfg(layers=1, width=64, patch_size=8, image_size=8),
        CLIPTextCfg(
            context_length=recipe["context"],
            width=recipe["text_width"],
            heads=max(1, recipe["text_width"] // 64),
            layers=recipe["text_layers"],
        ),
    )
    clip.visual = network
    return clip


class TextTower(nn.Module):
    """A CLIP without its image tower, whose tensors are stored under timm's names."""

    def __init__(self, clip: CLIP):
        super().__init__()
        self.clip = [clip]

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors by the names that CLIP gives them."""
        state = self.clip[0].state_dict()
        return {key: tensor for key, tensor in state.items() if not key.startswith("visual.")}


def zero_shot_head(path: str | os.PathLike, templates: Sequence[str], classes: Sequence[str]):
    """Turn class names into a linear head on a CLIP's normalised image embeddings.

    Parameters
    ----------
    path
        Checkpoint of a CLIP trained here.
    templates : sequence of str
        Each holds one `{}`, for the class name; their embeddings are averaged.
    classes : sequence of str

    Returns
    -------
    network : nn.Module
        The image tower.
    head : nn.Linear
        Without bias; its weights include CLIP's learned scale.
    """
    recipe, tensors = networks.load_tensors(path)
    network = networks.create(recipe, recipe["projection"])
    networks.load_into(network, networks.part(tensors), path)
    clip = text_image_model(recipe, network)
    text = networks.part(tensors, "clip")
    images = {f"visual.{key}": tensor for key, tensor in networks.part(tensors).items()}
    networks.load_into(clip, text | images, path)
    weights = open_clip.build_zero_shot_classifier(
        clip.eval(),
        open_clip.SimpleTokenizer(context_length=recipe["context"]),
        list(classes),
        list(templates),
    )
    head = nn.Linear(recipe["projection"], len(classes), bias=False)
    with torch.no_grad():
        head.weight.copy_(weights.T * clip.logit_scale.exp())
    return network, head


def train(objective: Objective, recipe: Mapping, resume: str | os.PathLike, tag: object) -> None:
    """Minimise an objective by its recipe; leaves its weights in place.

    The state after every epoch is kept in the file `resume`, which a later call goes on from if it
    was killed; since every epoch seeds its own random numbers, the result is the same as without
    the interruption.

    Parameters
    ----------
    objective : Objective
    recipe : mapping
        `seed`, `epochs`, `batch_size`, `optimizer`, `learning_rate` and `weight_decay`.
    resume
        File of the state; it may be removed once the result is safe.
    tag
        Anything that a state must have been made with to be gone on from.

    Raises
    ------
    InputError
        If the loss stops being finite.
    """
    device = networks.device()
    objective.to(device).train()
    count = len(objective.images)
    batch = min(recipe["batch_size"], count)
    steps = count // batch
    optimiser = create_optimizer_v2(
        objective,
        opt=recipe["optimizer"],
        lr=recipe["learning_rate"],
        weight_decay=recipe["weight_decay"],
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe["learning_rate"], total_steps=steps * recipe["epochs"], pct_start=0.2
    )
    # Mixed precision where there is a GPU; float16 needs its gradients scaled, bfloat16 does not.
    mixed = device.type == "cuda"
    half = torch.bfloat16 if mixed and torch.cuda.is_bf16_supported() else torch.float16
    scaler = torch.amp.GradScaler(device.type, enabled=mixed and half is torch.float16)
    stateful = {
        "objective": objective, "optimiser": optimiser, "schedule": schedule, "scaler": scaler
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps([recipe, tag], sort_keys=True).encode()).hexdigest()
    first = _resume(resume, digest, stateful)
    progress = Progress(recipe["epochs"] * steps * batch, "images", done=first * steps * batch)
    for epoch in range(first, recipe["epochs"]):
        rng = np.random.default_rng([recipe["seed"], epoch])
        torch.manual_seed(int(rng.integers(2**63)))
        order = rng.permutation(count)
        losses, hits, start = [], [], time.monotonic()
        for step in range(steps):
            rows = order[step * batch : (step + 1) * batch]
            with torch.autocast(device.type, half, enabled=mixed):
                loss, accuracy = objective(rows)
            optimiser.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimiser)
            scaler.update()
            schedule.step()
            losses.append(loss.detach())
            hits.append(accuracy)
            progress.advance(batch, f"epoch {epoch + 1}", now=step + 1 == steps)
        loss, accuracy = float(torch.stack(losses).mean()), float(torch.stack(hits).mean())
        log.info(
            "epoch %d of %d: loss %.4f, accuracy %.4f, %.0f images a second",
            epoch + 1, recipe["epochs"], loss, accuracy,
            steps * batch / (time.monotonic() - start),
        )  # fmt: skip
        if not np.isfinite(loss):
            raise InputError(f"the loss is {loss} in epoch {epoch + 1}; lower the learning_rate")
        state = {name: part.state_dict() for name, part in stateful.items()}
        with replacing(resume) as temporary:
            torch.save({"digest": digest, "epoch": epoch + 1, **state}, temporary)
    objective.eval()


def _resume(path: str | os.PathLike, digest: str, stateful: Mapping) -> int:
    """Restore the state of an interrupted run; gives the number of epochs that it had done."""
    if not Path(path).exists():
        return 0
    try:
        state = torch.load(path, map_location=networks.device(), weights_only=True)
    except Exception as error:
        log.warning("starting over, since %s cannot be read: %s", path, error)
        return 0
    if state["digest"] != digest:
        log.info("starting over, since %s is of another recipe, data or code", path)
        return 0
    for name, part in stateful.items():
        part.load_state_dict(state[name])
    log.info("resuming after epoch %d, from %s", state["epoch"], path)
    return state["epoch"]
