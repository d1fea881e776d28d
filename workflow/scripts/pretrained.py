"""Bring the weights of a public network into a checkpoint like those that are trained here.

So every later job finds them in the study's results, whether it has a network or not.
"""

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from workflow.lib.data.manifest import Manifest
from workflow.lib.models import hub, labels, networks
from workflow.lib.models.weights import load
from workflow.lib.outputs import digests
from workflow.lib.run.errors import InputError

log = logging.getLogger("uncorrelated")


def pretrained(
    *,
    manifest: Any,
    weights: str | list[str],
    checkpoint: str,
    recipe: dict,
    entry: str,
    threads: int,
) -> None:
    """Write a public network's checkpoint.

    Parameters
    ----------
    manifest : str or empty list
        Of the study, whose classes a model's own head must have; not needed for pretraining.
    weights : str or list of str
        File of weights; of a folder (`local-dir:`), its settings and its file of weights; none for
        those of the hub.
    checkpoint : str
        The .safetensors file to write. Beside it, in source.sha256, lies the digest of what the hub
        gave first.
    recipe : dict
        `timm` or `open_clip`, `head` and `input`; if given `checkpoint`, `options`, `sha256`, and
        `label_names`, the classes in the order of the head's outputs.
    entry : str
        Where the study names the network, such as `models.vit`.
    threads : int
    """
    torch.set_num_threads(threads)
    files = [weights] if isinstance(weights, str) else weights
    source = files[-1] if files else hub.fetch(recipe, entry)
    name = "timm:" + recipe["timm"] if "timm" in recipe else "open_clip:" + recipe["open_clip"]
    found = digests.verify(source, recipe.get("sha256"), entry)
    log.info("%s from %s, SHA-256 %s", name, source, found)
    made, network, parts = load(recipe, source, entry)
    if recipe["head"] == "pretrained":
        classes = Manifest.read(manifest).classes
        _check_head(made, classes, name, entry)
        settings = made["options"].get("pretrained_cfg", {}).get("label_names")
        named = recipe.get("label_names")
        order = labels.order_of_outputs(classes, named, settings, name, entry)
        labels.reorder(network, order)
    if not files and "sha256" not in recipe:
        digests.remember(found, Path(checkpoint).with_name("source.sha256"), name, entry)
    origin = {"name": name, "file": Path(source).name, "sha256": found}
    networks.save(checkpoint, recipe | made | {"source": origin}, network, **parts)


def _check_head(made: dict, classes: Sequence[str], name: str, entry: str) -> None:
    """Refuse a model whose own head is of other labels than the study's classes."""
    outputs = made.get("outputs", 0)
    if outputs == len(classes):
        return
    has = f"a head of {outputs} labels" if outputs else "no head of classes"
    more = ""
    if outputs > len(classes):
        more = ", or class-mapping if its labels are those of a larger ImageNet"
    elif "clip" in made:
        more = ", or zero-shot, which makes one of the classes' names"
    raise InputError(
        f"{entry}: {name} has {has}, and the study has {len(classes)} classes; "
        f"{_another_head(entry)}{more}"
    )


def _another_head(entry: str) -> str:
    key = entry.rpartition(".")[2]
    return (
        f"move it to pretraining, say as {key}-features, and let the model have "
        f"`from: {key}-features` and `head`: lbfgs, which learns one from training images"
    )


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(pretrained, snakemake)
