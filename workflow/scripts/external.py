"""Take a model's logits, and features where there are any, from a file of any framework."""

import hashlib
import logging

from workflow.lib.data.manifest import Manifest
from workflow.lib.measures.accuracy import count_right
from workflow.lib.outputs import external as files_of
from workflow.lib.outputs import store as outputs
from workflow.lib.outputs.digests import verify
from workflow.lib.run.errors import InputError

log = logging.getLogger("uncorrelated")


def external(
    *,
    manifest: str,
    source: str,
    files: list[str],
    model: str,
    sha256: str | None,
    splits: list[str],
    order: list[str],
    template: list[str],
    images: str,
    record: str,
    features: bool,
    macs: float | None,
    code: list[str],
) -> None:
    """Write a model's outputs on each split; nothing is written before everything is checked.

    Parameters
    ----------
    manifest : str
    source : str
        The user's file (see `workflow.lib.outputs.external`).
    files : list of str
        Outputs files to write.
    model : str
        Key of the model.
    sha256 : str or None
        Digest that the file must have.
    splits : list of str
        The split of each of `files`.
    order : list of str
        All splits whose images the file must hold, in the template's order.
    template : list of str
        All splits of the template, which a file without ids may hold instead.
    images : str
        The template's table of images; only named in a message.
    record : str
        Where the order lies in which a file without ids was first taken. It is no output: Snakemake
        would delete it before it is read.
    features : bool
        Whether the study needs the model's features.
    macs : float or None
        Multiply-adds for one image, as far as the study says.
    code : list of str
        The rule's fingerprint.

    Raises
    ------
    InputError
        If the file is not what the study needs.
    """
    digest = verify(source, sha256, f"models.{model}")
    dataset = Manifest.read(manifest)
    with files_of.opened(source, dataset.classes) as file:
        if features and file.features is None:
            raise InputError(
                f"{source} holds no features, but figure 6 needs those of '{model}'; bring an .h5 "
                f"or .npz file with `features` beside `logits`, or leave the model out of "
                f"features.models, which by default are those of `pairs`"
            )
        rows = file.rows(dataset.splits, order, template)
        file.check(dataset.splits, rows)
        files_of.remember_order(file, digest, record, images, f"models.{model}")
        attributes: dict[str, str | int | float] = {
            "model": model,
            "weights": digest,
            "preprocessing": "unknown",
            "precision": str(file.logits.dtype),
            "device": "unknown",
            "external": source,
            "classes": hashlib.sha256("\n".join(dataset.classes).encode()).hexdigest(),
            "images_per_second": 0.0,  # unknown: nothing was computed
            "code": " ".join(code),
        }
        if macs is not None:
            attributes["macs"] = macs
        for split, path in zip(splits, files, strict=True):
            places = rows[split]
            outputs.write(
                path,
                dataset.splits[split],
                lambda block, places=places: file.take(places[block]),  # type: ignore[misc]
                attributes,
            )
            right = count_right(path, dataset.splits[split])
            # Columns in another order show in an accuracy by chance. Rows need not: a dataset in
            # the order of its classes keeps most labels in place when its images change.
            log.info("%s: %.4f of the images of %s are right", model, right / len(places), split)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(external, snakemake)
