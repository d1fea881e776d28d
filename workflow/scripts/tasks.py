"""Turn a dataset in the layout of Pascal VOC 2007 into one manifest, with each class as a task."""

import logging

import numpy as np

from workflow.lib.data.files import check_classes
from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.data.voc import check_tasks, read_voc
from workflow.lib.outputs.digests import digest_files
from workflow.lib.run.errors import InputError

log = logging.getLogger("uncorrelated")

SPLITS = ("train", "val", "test")


def tasks(*, source: list[str] | str, manifest: str, path: str) -> None:
    """Read the images and labels of all splits, check them, and write the manifest.

    Parameters
    ----------
    source : list of str or str
        Every file of the dataset, or the listing of its folder.
    manifest : str
        Table to write.
    path : str
        The dataset's folder.

    Raises
    ------
    InputError
        If a file is missing or wrong, a task has too few images to learn and choose on, or splits
        share an image.
    """
    splits, seen = {}, {}
    for name in SPLITS:
        ids, labels, classes = read_voc(path, name)
        check_tasks(labels, classes, name)
        for example in ids.tolist():
            if example in seen:
                raise InputError(
                    f"{path}: the image {example} is in the splits '{seen[example]}' and '{name}'; "
                    f"leave it out of one"
                )
            seen[example] = name
        splits[name] = Split(ids, labels.astype(np.int64))
        for label, meaning in ((1, "shown"), (0, "ignored")):
            counts = (labels == label).sum(axis=0).tolist()
            listed = ", ".join(f"{c} {n}" for c, n in zip(classes, counts, strict=True))
            log.info("%s, %d images, %s: %s", name, len(ids), meaning, listed)
    files = [source] if isinstance(source, str) else source
    check_classes(classes, path)
    Manifest(tuple(classes), splits, digest_files(files)).write(manifest)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(tasks, snakemake)
