"""Find the images of a further test set, and the study's test images to compare them with."""

from dataclasses import replace

import numpy as np

from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.data.test_sets import build_test_set
from workflow.lib.outputs.answers import labelled
from workflow.lib.outputs.digests import digest_files


def test_set(
    *,
    study: str,
    source: list[str] | str,
    manifest: str,
    settings: dict,
    dataset: dict,
    listing: str,
    threads: int,
) -> None:
    """Write a manifest of two splits.

    Parameters
    ----------
    study : str
        Manifest of the study.
    source : list of str or str
        Files of the test set that are watched.
    manifest : str
        To write: `test`, the test set, and `clean`, the study's test images that it is to be
        compared with: the same ones, if it is of those; of the same classes, if it lacks some; else
        all.
    settings, dataset : dict
        See `build_test_set`.
    listing : str
        Digest of a large test set's files.
    threads : int
    """
    own = Manifest.read(study)
    if "answers" in settings:
        found = Manifest(own.classes, {"test": labelled(settings["answers"], own.classes)})
    else:
        found = build_test_set(settings, own, dataset, threads)
    files = [source] if isinstance(source, str) else source
    splits = {**found.splits, "clean": beside(found.splits["test"], own.splits["test"])}
    # What is made of the study's own images differs where one of those does.
    digest = digest_files(files, f"{own.source} {listing}")
    replace(found, splits=splits, source=digest).write(manifest)


def beside(test: Split, own: Split) -> Split:
    """Choose the study's test images that a test set is to be compared with.

    Parameters
    ----------
    test : Split
        The test set.
    own : Split
        The study's test images.

    Returns
    -------
    Split
        With the study's labels, and the test set's choice of classes.
    """
    same = np.isin(own.ids, test.ids)
    if same.sum() != len(test.ids):
        same = np.ones(len(own.ids), bool) if test.kept is None else np.isin(own.labels, test.kept)
    return Split(own.ids[same], own.labels[same], kept=test.kept)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(test_set, snakemake)
