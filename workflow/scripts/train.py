"""Train one network by its recipe, and store its weights with that recipe.

A recipe's `head` says what is done. `trained`, `fine-tuned`, `distilled` and `pretraining` networks
learn by gradient descent; `lbfgs` fits a linear head on the frozen features of a parent network;
`zero-shot` turns class names into a head by a CLIP's text tower; `class-mapping` takes a parent's
head over other labels as it is; `checkpoint` checks weights from elsewhere.
"""

import workflow.lib.compat  # noqa: F401  (before timm)

# isort: split
import logging
from pathlib import Path

import numpy as np
import torch
from torch import nn

from workflow.lib import networks, probes, training
from workflow.lib.datasets import Manifest
from workflow.lib.images import Images
from workflow.lib.jobs import InputError

log = logging.getLogger("uncorrelated")


def train(
    *,
    manifest: str,
    images: list[str],
    parent: list[str],
    weights: list[str] | str,
    checkpoint: str,
    recipe: dict,
    code: list[str],
    threads: int,
) -> None:
    """Train a network.

    Parameters
    ----------
    manifest : str
    images : list of str
        Arrays of the splits in `recipe["data"]`, in that order.
    parent : list of str
        Checkpoint of the network that this one starts from or learns from, if there is one.
    weights : str or empty list
        Checkpoint from elsewhere, for the head `checkpoint`.
    checkpoint : str
        The .safetensors file to write. The state of an interrupted training lies beside it.
    recipe : dict
        Everything that the weights depend on, as the configuration completes it.
    code : list of str
        The rule's fingerprint: a training interrupted under other code starts over.
    threads : int
    """
    torch.set_num_threads(threads)
    table = Manifest.read(manifest)
    classes = len(table.classes)
    head = recipe["head"]
    if head == "zero-shot":
        network, linear = training.zero_shot_head(parent[0], recipe["templates"], table.classes)
        own, _ = networks.load_tensors(parent[0])
        networks.save(checkpoint, own | recipe, network, head=linear)
        return
    if head == "class-mapping":
        own, tensors = networks.load_tensors(parent[0])
        network = networks.create(own, len(networks.class_of_label(own["labels"], classes)))
        networks.load_into(network, networks.part(tensors), parent[0])
        networks.save(checkpoint, own | recipe, network)
        return
    if head == "checkpoint":
        _, tensors = networks.load_tensors(weights)
        network = networks.create(recipe, classes)
        networks.load_into(network, tensors, weights)
        networks.save(checkpoint, recipe, network)
        return

    device = networks.device()
    log.info("on %s with %d threads", device, threads)
    pixels = Images(images, recipe["input"]["mean"], recipe["input"]["std"], device)
    labels = np.concatenate([table.splits[name].labels for name in recipe["data"]])
    if len(pixels) != len(labels):
        raise InputError(f"{images} hold {len(pixels)} images, but {manifest} lists {len(labels)}")
    if head == "lbfgs":
        network = _linear_head(parent[0], pixels, labels, classes, recipe)
        own, _ = networks.load_tensors(parent[0])
        networks.save(checkpoint, own | recipe, network)
        return

    objective = _objective(recipe, pixels, labels, table.classes, parent)
    resume = Path(checkpoint).with_name("resume.pt")
    digests = [table.splits[name].digest for name in recipe["data"]]
    training.train(objective, recipe, resume, [digests, code])
    network = objective.clip.visual if recipe["objective"] == "clip" else objective.network
    networks.save(checkpoint, recipe, network, **objective.parts())
    resume.unlink(missing_ok=True)


def _objective(recipe, images, labels, names, parent) -> training.Objective:
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
        network = networks.pretrained(parent[0], outputs, recipe)
    else:
        network = networks.create(recipe, outputs)
    arguments = (recipe, images, torch.from_numpy(labels).to(images.device), network)
    match recipe["objective"]:
        case "simclr":
            return training.SimCLR(*arguments)
        case "clip":
            return training.Clip(*arguments, names)
        case "distillation":
            teacher = networks.load_classifier(parent[0], {}, classes).to(images.device)
            return training.Distillation(*arguments, teacher)
        case "supervised":
            return training.Supervised(*arguments)


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


def _linear_head(parent, images, labels, classes, recipe) -> nn.Module:
    """Fit an L-BFGS head on a parent's frozen features, and put it in the network's last place."""
    network = networks.pretrained(parent, classes).to(images.device).eval()
    features = []
    with torch.inference_mode():
        for start in range(0, len(images), 512):
            rows = np.arange(start, min(start + 512, len(images)))
            maps = network.forward_features(images[rows])
            features.append(network.forward_head(maps, pre_logits=True))
    probe = probes.fit(
        torch.cat(features).clone(),
        torch.from_numpy(labels).to(images.device),
        classes,
        recipe["regularisation"],
        seed=recipe["seed"],
    )
    last = network.get_classifier()
    with torch.no_grad():
        last.weight.copy_(probe.weight)
        last.bias.copy_(probe.bias)
    return network.cpu()


if "snakemake" in globals():
    from workflow.lib.jobs import run_script

    run_script(train, snakemake)  # noqa: F821
