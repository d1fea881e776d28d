"""Run one model over the splits that the analyses need, and store its logits and features."""

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import json
import logging

import timm
import torch

from workflow.lib.data.images import Images
from workflow.lib.data.manifest import Manifest
from workflow.lib.models import networks
from workflow.lib.models.inference import Inference
from workflow.lib.models.macs import count_macs
from workflow.lib.outputs import digests, store
from workflow.lib.run.errors import InputError

log = logging.getLogger("uncorrelated")


def extract(
    *,
    manifest: str,
    classes: str,
    checkpoint: str,
    images: list[str],
    files: list[str],
    model: str,
    recipe: dict,
    splits: list[str],
    extraction: dict,
    code: list[str],
    threads: int,
) -> None:
    """Write a model's outputs on each split.

    Parameters
    ----------
    manifest : str
        Of the images.
    classes : str
        Manifest of the study, whose classes the logits are of.
    checkpoint : str
    images, files : list of str
        Prepared images of each split, and the outputs file to make of it.
    model : str
        Key of the model.
    recipe : dict
    splits : list of str
    extraction : dict
        `precision`, `batch_size` and `compile`, as `Inference` takes them.
    code : list of str
        The rule's fingerprint: an extraction interrupted under other code starts over.
    threads : int
    """
    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32 = False  # logits to float32's own precision on any GPU
    table, outputs = Manifest.read(manifest), len(Manifest.read(classes).classes)
    device = networks.device()
    classifier = networks.load_classifier(checkpoint, recipe, outputs).to(device)
    attributes = {
        "model": model,
        "weights": digests.digest(checkpoint),
        "preprocessing": json.dumps(recipe["input"]),
        "precision": extraction["precision"],
        "compiled": extraction["compile"],
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "torch": str(torch.__version__),
        "timm": timm.__version__,
        "parameters": sum(tensor.numel() for tensor in classifier.parameters()),
        "code": " ".join(code),
    } | costs(classifier, recipe["input"])
    for split, pixels, file in zip(splits, images, files, strict=True):
        prepared = Images([pixels], recipe["input"]["mean"], recipe["input"]["std"], device)
        log.info("%s on %s: %d images", model, split, len(prepared))
        if len(prepared) != len(table.splits[split].labels):
            raise InputError(f"{pixels} is not of the dataset in {manifest}; delete it")
        inference = Inference(classifier, prepared, model=model, **extraction)
        store.write(file, table.splits[split], inference, attributes, inputs=[pixels])


def costs(classifier: networks.Classifier, image: dict) -> dict[str, int]:
    """Count the multiply-adds for one image, unless the network cannot take it."""
    try:
        return {"macs": count_macs(classifier, len(image["mean"]), image["size"])}
    except (AssertionError, RuntimeError) as error:
        log.warning("multiply-adds are not counted: %s", str(error).strip().partition("\n")[0])
        return {}  # extraction says what is wrong with the images


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(extract, snakemake)
