"""Training: objectives, and one loop for all of them that resumes where it was killed."""

import workflow.lib.backends  # noqa: F401  (before open_clip)

# isort: split
import hashlib
import inspect
import json
import logging
import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from timm.optim import create_optimizer_v2, get_optimizer_class
from torch import Tensor

from workflow.lib.data.images import Images
from workflow.lib.models import networks
from workflow.lib.models.train.augment import Crops
from workflow.lib.models.train.objectives import Objective
from workflow.lib.run.errors import InputError
from workflow.lib.run.files import replacing
from workflow.lib.run.progress import Progress

log = logging.getLogger("uncorrelated")


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
    total = steps * recipe["epochs"]
    if recipe.get("schedule", "one-cycle") != "one-cycle":
        return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate(recipe, step, steps))
    if total == 1:  # its last step is of rate 0
        return torch.optim.lr_scheduler.ConstantLR(optimiser, 1.0)
    rise = 0.2 if total != 5 else 0.19  # of five steps, torch would divide by a rise of none
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe["learning_rate"], total_steps=total, pct_start=rise
    )


def train(
    objective: Objective,
    recipe: Mapping,
    resume: str | os.PathLike,
    tag: object,
    every: float = 600.0,
) -> None:
    """Minimise an objective by its recipe; leaves its weights in place.

    The state is kept in the file `resume`, after every epoch and from time to time within one. A
    later call resumes from there if this one was killed. The state holds that of the random
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
        Anything that a state must have been made with to be resumed from.
    every : float
        Seconds between states within an epoch.

    Raises
    ------
    InputError
        If the loss stops being finite, or a batch does not fit into the GPU's memory.
    """
    device = networks.device()
    objective.to(device, memory_format=torch.channels_last).train()
    images = objective.images
    count, epochs = len(images), recipe["epochs"]
    batch = min(recipe["batch_size"], count)
    steps = count // batch
    optimiser = _optimiser(objective, recipe, device)
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
        state |= {"digest": digest, **done}
        with replacing(resume) as temporary:
            torch.save(state | {"proof": networks.digest_of(state)}, temporary)

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


def _optimiser(
    objective: Objective, recipe: Mapping, device: torch.device
) -> torch.optim.Optimizer:
    """Build timm's optimiser of that name, the one that goes over each tensor once if there is."""
    parameters = inspect.signature(get_optimizer_class(recipe["optimizer"], False)).parameters
    # On a GPU torch's default for many tensors at once is as fast.
    fused = {"fused": True} if device.type == "cpu" and "fused" in parameters else {}
    return create_optimizer_v2(
        objective,
        opt=recipe["optimizer"],
        lr=recipe["learning_rate"],
        weight_decay=recipe["weight_decay"],
        **fused,
    )


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
        if state.pop("proof") != networks.digest_of(state):
            raise InputError("it is damaged")
    except Exception as error:
        log.warning("starting over, since %s cannot be read: %s", path, networks.reason(error))
        return beginning
    if state["digest"] != digest:
        log.info("starting over, since %s is of another recipe, data or code", path)
        return beginning
    for name, part in stateful.items():
        part.load_state_dict(state[name])
    log.info("resuming after epoch %d, step %d, from %s", state["epoch"], state["step"], path)
    return state
