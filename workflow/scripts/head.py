"""Give a network that is trained already the head that makes it a classifier of the study.

A recipe's `head` says how: `lbfgs` fits a linear head on the frozen features of a parent network,
`zero-shot` turns class names into a head by a CLIP's text tower, `class-mapping` takes a parent's
head over other labels as it is, and `checkpoint` checks weights from elsewhere.
"""

import workflow.lib.compat  # noqa: F401  (before timm)

# isort: split
import logging

import numpy as np
import torch
from torch import nn

from workflow.lib import networks, probes, training
from workflow.lib.datasets import Manifest
from workflow.lib.images import Images
from workflow.lib.jobs import InputError

log = logging.getLogger("uncorrelated")


def head(
    *,
    manifest: str,
    images: list[str],
    parent: list[str],
    weights: list[str] | str,
    checkpoint: str,
    recipe: dict,
    threads: int,
) -> None:
    """Write a classifier's checkpoint.

    Parameters
    ----------
    manifest : str
    images : list of str
        Arrays of the splits in `recipe["data"]`, in that order, for the head `lbfgs`.
    parent : list of str
        Checkpoint of the network that this one comes from, if there is one.
    weights : str or empty list
        Checkpoint from elsewhere, for the head `checkpoint`.
    checkpoint : str
        The .safetensors file to write.
    recipe : dict
        Everything that the weights depend on, as the configuration completes it.
    threads : int
    """
    torch.set_num_threads(threads)
    table = Manifest.read(manifest)
    classes = len(table.classes)
    if recipe["head"] == "checkpoint":
        _, tensors = networks.load_tensors(weights)
        network = networks.create(recipe, classes)
        networks.load_into(network, tensors, weights)
        networks.save(checkpoint, recipe, network)
        return
    own, tensors = networks.load_tensors(parent[0])
    parts = {}
    match recipe["head"]:
        case "zero-shot":
            network, parts["head"] = training.zero_shot_head(
                parent[0], recipe["templates"], table.classes
            )
        case "class-mapping":
            network = networks.create(own, len(networks.class_of_label(own["labels"], classes)))
            networks.load_into(network, networks.part(tensors), parent[0])
        case "lbfgs":
            network = _linear_head(parent[0], images, manifest, table, recipe)
    networks.save(checkpoint, own | recipe, network, **parts)


def _linear_head(parent, images, manifest, table, recipe) -> nn.Module:
    """Fit an L-BFGS head on a parent's frozen features, and put it in the network's last place."""
    device, classes = networks.device(), len(table.classes)
    pixels = Images(images, recipe["input"]["mean"], recipe["input"]["std"], device)
    labels = np.concatenate([table.splits[name].labels for name in recipe["data"]])
    if len(pixels) != len(labels):
        raise InputError(f"{images} hold {len(pixels)} images, but {manifest} lists {len(labels)}")
    network = networks.pretrained(parent, classes).to(device).eval()
    features = []
    with torch.inference_mode():
        for start in range(0, len(pixels), 512):
            rows = np.arange(start, min(start + 512, len(pixels)))
            maps = network.forward_features(pixels[rows])
            features.append(network.forward_head(maps, pre_logits=True))
    probe = probes.fit(
        torch.cat(features).clone(),
        torch.from_numpy(labels).to(device),
        classes,
        recipe["regularisation"],
        seed=recipe["seed"],
        name="the head",
    )
    last = network.get_classifier()
    with torch.no_grad():
        last.weight.copy_(probe.weight)
        last.bias.copy_(probe.bias)
    return network.cpu()


if "snakemake" in globals():
    from workflow.lib.jobs import run_script

    run_script(head, snakemake)  # noqa: F821
