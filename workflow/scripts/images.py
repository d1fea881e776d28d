"""Decode, resize and crop the images of one split once, for every model of that geometry."""

from workflow.lib.datasets import Decoder, Manifest
from workflow.lib.images import prepare


def images(
    *,
    manifest: str,
    source: list[str],
    array: str,
    dataset: dict,
    geometry: dict,
    split: str,
    threads: int,
) -> None:
    """Write the images of a split as one array.

    Parameters
    ----------
    manifest : str
    source : list of str
        Every file of the dataset; read by id, and listed so that a change of one is noticed.
    array : str
        The .npy file to write: uint8, shape (examples, channels, size, size).
    dataset : dict
        `kind` and `path` of the dataset.
    geometry : dict
        `size`, `crop`, `interpolation`, `channels`.
    split : str
    threads : int
    """
    mode = "L" if geometry["channels"] == 1 else "RGB"
    decode = Decoder(dataset["kind"], dataset["path"], mode)
    prepare(decode, Manifest.read(manifest).splits[split].ids, geometry, array, threads)


if "snakemake" in globals():
    from workflow.lib.jobs import run_script

    run_script(images, snakemake)  # noqa: F821
