"""Train one network by gradient descent, and store its weights with its recipe."""

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import logging
from pathlib import Path

import numpy as np
import torch

from workflow.lib.data.images import Images
from workflow.lib.data.kinds import Decoder
from workflow.lib.data.manifest import Manifest
from workflow.lib.models import networks
from workflow.lib.models.train import augment, objectives
from workflow.lib.models.train import loop as training
from workflow.lib.run.errors import InputError
from workflow.lib.run.resume import dates

log = logging.getLogger("uncorrelated")


def train(
    *,
    manifest: str,
    images: list[str],
    parents: list[str],
    checkpoint: str,
    recipe: dict,
    code: list[str],
    threads: int,
    dataset: dict = {},  # noqa: B006  (only read)
) -> None:
    """Train a network.

    Parameters
    ----------
    manifest : str
    images : list of str
        Arrays of the splits in `recipe["data"]`, in that order; none where the recipe has the
        augmentation `random-resized-crop`, which needs the files themselves.
    parents : list of str
        Checkpoint of the network that this one starts from or learns from, if there is one.
    checkpoint : str
        The .safetensors file to write. The state of an interrupted training lies beside it, and
        stays until a run of the workflow succeeds (see `lib.outputs`).
    recipe : dict
        Everything that the weights depend on, as the configuration completes it.
    code : list of str
        The rule's fingerprint: a training interrupted under other code starts over.
    threads : int
        For the network; and as many processes that decode image files.
    dataset : dict
        `kind` and `path` of the dataset, where its files are read.
    """
    torch.set_num_threads(threads)
    table = Manifest.read(manifest)
    device = networks.device()
    log.info("on %s with %d threads", device, threads)
    labels = np.concatenate([table.split(name).labels for name in recipe["data"]])
    if augment.from_files(recipe):
        ids = np.concatenate([table.splits[name].ids for name in recipe["data"]])
        mode = "L" if len(recipe["input"]["mean"]) == 1 else "RGB"
        decode = Decoder(dataset["kind"], dataset["path"], mode)
        pixels: Images = augment.Crops(decode, ids, recipe, device, threads)
    else:
        pixels = Images(images, recipe["input"]["mean"], recipe["input"]["std"], device)
    if len(pixels) != len(labels):
        raise InputError(f"{images} hold {len(pixels)} images, but {manifest} lists {len(labels)}")
    objective = _objective(recipe, pixels, labels, table.classes, parents)
    resume = Path(checkpoint).with_name("resume.pt")
    digests = [table.splits[name].digest for name in recipe["data"]]
    tag = [digests, table.source, code, dates([*images, *parents])]
    training.train(objective, recipe, resume, tag)
    network = objective.clip.visual if recipe["objective"] == "clip" else objective.network
    networks.save(checkpoint, recipe, network, **objective.parts())


def _objective(recipe, images, labels, names, parents) -> objectives.Objective:
    classes = len(names)
    space = recipe.get("labels", "classes")
    if space == "shades":
        labels = shades(images.brightness(), labels, classes)
    outputs = {
        "simclr": 0,
        "clip": recipe.get("projection"),
        "supervised": len(networks.class_of_label(space, classes)),
        "distillation": classes,
    }[recipe["objective"]]
    torch.manual_seed(recipe["seed"])
    if recipe["head"] == "fine-tuned":
        network = networks.pretrained(parents[0], outputs, recipe)
    else:
        network = networks.create(recipe, outputs)
    arguments = (recipe, images, torch.from_numpy(labels).to(images.device), network)
    match recipe["objective"]:
        case "simclr":
            return objectives.SimCLR(*arguments)
        case "clip":
            return objectives.Clip(*arguments, names)
        case "distillation":
            teacher = networks.load_classifier(parents[0], {}, classes).to(images.device)
            return objectives.Distillation(*arguments, teacher)
        case _:
            return objectives.Supervised(*arguments)


def shades(brightness: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Divide each class into a dark, a middle and a light third: another label space.

    Parameters
    ----------
    brightness : ndarray of float64, shape (examples,)
    labels : ndarray of int64, shape (examples,)
    classes : int

    Returns
    -------
    ndarray of int64, shape (examples,)
        3 × class + 0, 1 or 2, from dark to light.
    """
    fine = 3 * labels
    for label in range(classes):
        rows = np.flatnonzero(labels == label)
        rank = np.argsort(np.argsort(brightness[rows], kind="stable"))
        fine[rows] += 3 * rank // max(len(rows), 1)
    return fine


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(train, snakemake)
