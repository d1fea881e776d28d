"""Run one model over the splits that the analyses need, and store its logits and features."""

import workflow.lib.compat  # noqa: F401  (before timm)

# isort: split
import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import timm
import torch
from torch import nn
from torch.nn import functional as F

from workflow.lib import networks, outputs
from workflow.lib.datasets import Manifest
from workflow.lib.images import Images
from workflow.lib.jobs import InputError

log = logging.getLogger("uncorrelated")


def extract(
    *,
    manifest: str,
    tasks: str | list[str],
    checkpoint: str,
    images: list[str],
    files: list[str],
    model: str,
    recipe: dict,
    splits: list[str],
    code: list[str],
    threads: int,
) -> None:
    """Write a model's outputs on each split.

    Parameters
    ----------
    manifest : str
        Of the study, whose classes the logits are of.
    tasks : str or empty list
        Manifest of the images, if they are of another dataset.
    checkpoint : str
    images, files : list of str
        Prepared images of each split, and the outputs file to make of it.
    model : str
        Key of the model.
    recipe : dict
    splits : list of str
    code : list of str
        The rule's fingerprint: an extraction interrupted under other code starts over.
    threads : int
    """
    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32 = False  # logits to float32's own precision on any GPU
    classes = Manifest.read(manifest).classes
    table = Manifest.read(tasks or manifest)
    device = networks.device()
    classifier = networks.load_classifier(checkpoint, recipe, len(classes)).to(device)
    attributes = {
        "model": model,
        "weights": hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest(),
        "preprocessing": json.dumps(recipe["input"]),
        "precision": "float32",
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "torch": str(torch.__version__),
        "timm": timm.__version__,
        "parameters": sum(tensor.numel() for tensor in classifier.parameters()),
        "code": " ".join(code),
    }
    for split, pixels, file in zip(splits, images, files, strict=True):
        compute = Compute(classifier, Images([pixels], *_moments(recipe), device), model)
        log.info("%s on %s: %d images", model, split, len(compute.images))
        if len(compute.images) != len(table.splits[split].labels):
            raise InputError(f"{pixels} is not of the dataset in {tasks or manifest}; delete it")
        outputs.write(file, table.splits[split], compute, attributes)


def _moments(recipe: dict) -> tuple[list[float], list[float]]:
    return recipe["input"]["mean"], recipe["input"]["std"]


class Compute:
    """Logits and features of rows of images, in batches as large as the memory takes.

    Where the head is linear, it must turn the features into the outputs: so features are never
    silently of the wrong layer or axis.
    """

    def __init__(self, classifier: networks.Classifier, images: Images, model: str):
        self.classifier, self.images, self.model = classifier, images, model
        self.batch = outputs.BLOCK

    def __call__(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute float32 logits (rows, classes) and features (rows, dimensions)."""
        while True:
            try:
                batches = [
                    self._batch(rows[start : start + self.batch])
                    for start in range(0, len(rows), self.batch)
                ]
                return tuple(np.concatenate(part) for part in zip(*batches, strict=True))
            except torch.OutOfMemoryError:
                if self.batch == 1:
                    raise
                self.batch //= 2
                torch.cuda.empty_cache()
                log.warning("out of memory; going on with batches of %d", self.batch)

    @torch.inference_mode()
    def _batch(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features, results, logits = self.classifier(self.images[rows])
        head = self.classifier.head
        if isinstance(head, nn.Linear):
            expected = F.linear(features, head.weight, head.bias)
            scale = float(expected.abs().max()) + 1
            # A NaN is refused, with the image's name, when it is written.
            if float((expected - results).abs().nan_to_num().max()) > 1e-4 * scale:
                raise InputError(
                    f"the head of '{self.model}' does not turn its features into its logits, so "
                    f"they are not those of its last layer; the architecture is not supported"
                )
        return logits.float().cpu().numpy(), features.float().cpu().numpy()


if "snakemake" in globals():
    from workflow.lib.jobs import run_script

    run_script(extract, snakemake)  # noqa: F821
