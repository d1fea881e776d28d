"""Decode, resize and crop the images of one split once, for every model of that geometry."""

import json

from workflow.lib.data.images import prepare
from workflow.lib.data.manifest import Manifest
from workflow.lib.data.test_sets import decoder


def images(
    *,
    manifest: str,
    array: str,
    dataset: dict,
    geometry: dict,
    split: str,
    code: list[str],
    threads: int,
    test_set: dict | None = None,
) -> None:
    """Write the images of a split as one array.

    Parameters
    ----------
    manifest : str
        Of the dataset; it differs where an image does, so that a change of one is noticed.
    array : str
        The .npy file to write: uint8, shape (examples, channels, height, width).
    dataset : dict
        `kind` and `path` of the dataset.
    geometry : dict
        See `prepare`.
    split : str
    code : list of str
        The rule's fingerprint: what was interrupted under other code starts over.
    threads : int
    test_set : dict, optional
        What a further test set is made of; see `build_test_set`.
    """
    mode = "L" if geometry["channels"] == 1 else "RGB"
    decode = decoder(test_set or dataset, dataset, mode)
    table = Manifest.read(manifest)
    identity = json.dumps([dataset, test_set, table.source, code])
    prepare(decode, table.split(split).ids, geometry, array, threads, identity)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(images, snakemake)
