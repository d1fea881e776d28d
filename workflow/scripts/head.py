"""Give a network that is trained already the head that makes it a classifier of the study.

A recipe's `head` says how: `lbfgs` fits a linear head on the frozen features of a parent network
(of an image tower of open_clip, on its normalised embeddings), `zero-shot` turns class names into a
head by a CLIP's text tower, `class-mapping` takes a parent's head over other labels (shades as they
are, of a larger ImageNet those that are the classes'), and `checkpoint` checks weights from
elsewhere.
"""

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from workflow.lib.data.images import Images
from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.models import heads, labels, networks
from workflow.lib.models.inference import Inference
from workflow.lib.outputs import digests
from workflow.lib.outputs import store as outputs
from workflow.lib.probes import fit as probes
from workflow.lib.probes import logistic, streamed
from workflow.lib.run.errors import InputError
from workflow.lib.run.resume import dates, part_of, publish

log = logging.getLogger("uncorrelated")


def head(
    *,
    manifest: str,
    images: list[str],
    parents: list[str],
    weights: Any,
    checkpoint: str,
    recipe: dict,
    code: list[str],
    threads: int,
) -> None:
    """Write a classifier's checkpoint.

    Parameters
    ----------
    manifest : str
    images : list of str
        Arrays of the splits in `recipe["data"]`, in that order, for the head `lbfgs`.
    parents : list of str
        Checkpoint of the network that this one comes from, if there is one.
    weights : str or empty list
        Checkpoint from elsewhere, for the head `checkpoint`.
    checkpoint : str
        The .safetensors file to write. Until a run of the workflow succeeds it stays under a second
        name, see `jobs.publish`; so do the features of an interrupted fit.
    recipe : dict
        Everything that the weights depend on, as the configuration completes it.
    code : list of str
        The rule's fingerprint: what was interrupted under other code starts over.
    threads : int
    """
    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32 = False  # features as they are extracted
    table = Manifest.read(manifest)
    inputs = dates([*images, *parents, *([weights] if weights else [])])
    path = Path(checkpoint)
    part = part_of(path, [recipe, code, table.source, inputs])
    if not _whole(part):
        if recipe["head"] == "checkpoint":
            network = networks.create(recipe, len(table.classes))
            networks.load_into(network, networks.load_tensors(weights)[1], weights)
            entry = f"models.{path.parent.name}"
            named = recipe.get("label_names")
            order = labels.order_of_outputs(table.classes, named, None, weights, entry)
            labels.reorder(network, order)
            networks.save(part, recipe, network)
        else:
            made, network, parts = _with_head(table, images, parents[0], path, recipe, code)
            networks.save(part, made, network, **parts)
    publish(part, path)


def _whole(part: Path) -> bool:
    """Say whether an earlier run left the checkpoint, undamaged."""
    try:
        return part.exists() and bool(networks.load_tensors(part))
    except InputError as error:
        log.warning("starting over: %s", error)
        return False


def _with_head(
    table: Manifest, images: list[str], parent: str, checkpoint: Path, recipe: dict, code: list[str]
) -> tuple[dict, nn.Module, dict[str, nn.Module]]:
    """Give a parent its head: what to record, the network, and a head that is no part of it."""
    recorded, tensors = networks.load_tensors(parent)
    own, classes, parts = recorded or {}, len(table.classes), {}
    match recipe["head"]:
        case "zero-shot":
            network, parts["head"] = heads.zero_shot_head(
                parent, recipe.get("templates"), table.classes, recipe.get("class_names")
            )
        case "class-mapping" if "labels" in own:
            network = networks.create(own, len(networks.class_of_label(own["labels"], classes)))
            networks.load_into(network, networks.part(tensors), parent)
        case "class-mapping":
            network = _mapped_head(parent, own, tensors, table.classes)
        case "lbfgs" if "clip" in own:
            network = networks.create(own, 0)
            networks.load_into(network, networks.part(tensors), parent)
            classifier = networks.Classifier(network, nn.Identity())
            probe = _fit(classifier, table, images, parent, checkpoint, recipe, code)
            parts["head"] = nn.Linear(*reversed(probe.weight.shape))
            parts["head"].load_state_dict({"weight": probe.weight, "bias": probe.bias})
        case "lbfgs":
            network = networks.pretrained(parent, classes)
            classifier = networks.Classifier(network)
            probe = _fit(classifier, table, images, parent, checkpoint, recipe, code)
            networks.set_linear_head(network, probe.weight.float(), probe.bias.float())
    return own | recipe, network, parts


def _mapped_head(parent: str, own: dict, tensors: dict, classes: Sequence[str]) -> nn.Module:
    """Take those outputs of a parent's head that are of the study's classes."""
    outputs = own.get("outputs", 0)
    labels = heads.label_of_class(classes, outputs)
    source = networks.create(own, outputs)
    networks.load_into(source, networks.part(tensors), parent)
    network = networks.pretrained(parent, len(classes))
    heads.map_labels(network, source, labels)
    return network


def _fit(
    classifier: networks.Classifier,
    table: Manifest,
    images: list[str],
    parent: str,
    checkpoint: Path,
    recipe: dict,
    code: list[str],
) -> logistic.Probe:
    """Fit an L-BFGS head on what a network's head takes, on the CPU.

    Features of a million images may not fit the memory: they are written beside the checkpoint, and
    an interrupted extraction of them resumes from its last block.
    """
    splits = [table.split(name) for name in recipe["data"]]
    split = Split(*(np.concatenate([getattr(s, key) for s in splits]) for key in ("ids", "labels")))
    device = networks.device()
    pixels = Images(images, recipe["input"]["mean"], recipe["input"]["std"], device)
    if len(pixels) != len(split.labels):
        raise InputError(
            f"{' and '.join(images)} hold {len(pixels)} images, but the manifest lists "
            f"{len(split.labels)}; delete them and run again"
        )
    inference = Inference(classifier.to(device).eval(), pixels, model=checkpoint.parent.name)
    path = checkpoint.with_name("features.h5")
    made_of = {
        "weights": digests.digest(parent),
        "preprocessing": json.dumps(recipe["input"]),
        "code": " ".join(code),
    }
    outputs.write(path, split, lambda rows: (None, inference(rows)[1]), made_of, images)
    classifier.cpu()
    with outputs.Outputs(path, split) as features:
        probe = probes.fit(
            streamed.Streamed([features.features], device=device),
            torch.from_numpy(split.labels).to(device),
            len(table.classes),
            recipe["regularisation"],
            seed=recipe["seed"],
            name="the head",
        )
    for file in (path, Path(f"{path}.part")):
        file.unlink(missing_ok=True)
    return replace(probe, weight=probe.weight.cpu(), bias=probe.bias.cpu())


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(head, snakemake)
