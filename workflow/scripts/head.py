"""Give a network that is trained already the head that makes it a classifier of the study.

A recipe's `head` says how: `lbfgs` fits a linear head on the frozen features of a parent network
(of an image tower of open_clip, on its normalised embeddings), `zero-shot` turns class names into a
head by a CLIP's text tower, `class-mapping` takes a parent's head over other labels (shades as they
are, of a larger ImageNet those that are the classes'), and `checkpoint` checks weights from
elsewhere.
"""

import workflow.lib.compat  # noqa: F401  (before timm)

# isort: split
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from workflow.lib import heads, networks, probes
from workflow.lib.datasets import Manifest
from workflow.lib.images import Images
from workflow.lib.jobs import InputError, Progress

log = logging.getLogger("uncorrelated")

BATCH = 512  # images at a time, at first


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
            network, parts["head"] = heads.zero_shot_head(
                parent[0], recipe.get("templates"), table.classes, recipe.get("class_names")
            )
        case "class-mapping" if "labels" in own:
            network = networks.create(own, len(networks.class_of_label(own["labels"], classes)))
            networks.load_into(network, networks.part(tensors), parent[0])
        case "class-mapping":
            network = _mapped_head(parent[0], own, tensors, table.classes)
        case "lbfgs":
            pixels = Images(images, *map(recipe["input"].get, ("mean", "std")), networks.device())
            labels = np.concatenate([table.splits[name].labels for name in recipe["data"]])
            if len(pixels) != len(labels):
                raise InputError(
                    f"{images} hold {len(pixels)} images, but {manifest} lists {len(labels)}"
                )
            if "clip" in own:
                network = networks.create(own, 0)
                networks.load_into(network, networks.part(tensors), parent[0])
                weight, bias = _fit(
                    network, networks.embeddings_of, pixels, labels, classes, recipe, checkpoint
                )
                parts["head"] = nn.Linear(*reversed(weight.shape))
                parts["head"].load_state_dict({"weight": weight, "bias": bias})
            else:
                network = networks.pretrained(parent[0], classes)
                weight, bias = _fit(
                    network, networks.features_of, pixels, labels, classes, recipe, checkpoint
                )
                networks.set_linear_head(network, weight, bias)
    networks.save(checkpoint, own | recipe, network, **parts)


def _mapped_head(parent: str, own: dict, tensors: dict, classes: list[str]) -> nn.Module:
    """Take those outputs of a parent's head that are of the study's classes."""
    outputs = own.get("outputs", 0)
    labels = heads.label_of_class(classes, outputs)
    source = networks.create(own, outputs)
    networks.load_into(source, networks.part(tensors), parent)
    network = networks.pretrained(parent, len(classes))
    heads.map_labels(network, source, labels)
    return network


def _fit(
    network: nn.Module,
    run: Callable[[nn.Module, Tensor], Tensor | tuple[Tensor, Tensor]],
    pixels: Images,
    labels: np.ndarray,
    classes: int,
    recipe: dict,
    checkpoint: str,
) -> tuple[Tensor, Tensor]:
    """Fit an L-BFGS head on a network's features: weight (classes, dimensions) and bias.

    `run` gives the features of a batch of images, alone or before the network's outputs.
    """
    device = networks.device()
    network.to(device).eval()
    # Features of a million images may not fit the memory: they are written beside the checkpoint.
    path = Path(checkpoint).with_name("features.f32")
    try:
        with open(path, "wb") as file:
            for features in _features(network, run, pixels):
                features.cpu().numpy().tofile(file)
        network.cpu()
        stored = np.memmap(path, np.float32, "r").reshape(len(pixels), -1)
        probe = probes.fit(
            probes.Streamed([stored], device=device),
            torch.from_numpy(labels).to(device),
            classes,
            recipe["regularisation"],
            seed=recipe["seed"],
            name="the head",
        )
    finally:
        path.unlink(missing_ok=True)
    return probe.weight.float().cpu(), probe.bias.float().cpu()


def _features(network, run, pixels) -> Iterator[Tensor]:
    """Features of batches of images, which are halved when memory runs out."""
    progress, done, size = Progress(len(pixels), "images"), 0, BATCH
    while done < len(pixels):
        if size < BATCH:
            torch.cuda.empty_cache()
        try:
            for batch in pixels.stream(done, size):
                with torch.inference_mode():
                    features = run(network, pixels.normalise(batch))
                yield features[0] if isinstance(features, tuple) else features
                done += len(batch)
                progress.advance(len(batch))
        except torch.OutOfMemoryError as error:
            if size == 1:
                raise InputError(
                    "the GPU's memory is too small for one image of this network; free it of other "
                    "programs, or take a larger one"
                ) from error
            size //= 2
            log.warning("out of memory; going on with batches of %d", size)


if "snakemake" in globals():
    from workflow.lib.jobs import run_script

    run_script(head, snakemake)  # noqa: F821
