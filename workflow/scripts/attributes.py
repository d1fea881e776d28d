"""Attributes of the test images, by which models are compared beside classes and groups.

From the user's table, or by the images' pixels (see `workflow.lib.data.pixels`).
"""

import pandas as pd

from workflow.lib.data.arrays import Array
from workflow.lib.data.manifest import Manifest
from workflow.lib.data.pixels import pixel_attributes
from workflow.lib.outputs.attributes import read_attributes
from workflow.lib.outputs.tables import write_table
from workflow.lib.run.errors import InputError


def attributes(*, manifest: str, source: str, table: str, pixels: bool, split: str) -> None:
    """Write a table of attributes.

    Parameters
    ----------
    manifest : str
    source : str
        The user's table; or decoded images of the split, .npy.
    table : str
        Table to write: `id`, and a column an attribute, the images in the dataset's order.
    pixels : bool
        Whether attributes are those of pixels.
    split : str
        The evaluation split.

    Raises
    ------
    InputError
        If the table is not one of the dataset's images, or the images are all alike.
    """
    splits = Manifest.read(manifest).splits
    ids = splits[split].ids
    if pixels:
        images = Array(source)
        if len(images) != len(ids):
            raise InputError(
                f"{source} holds {len(images)} images, but the split {split} has {len(ids)}; "
                f"delete it and run again"
            )
        found = pixel_attributes(images)
        if not found:
            raise InputError(
                "attributes: the pixels of all images are alike, which divides nothing; leave the "
                "key out"
            )
    else:
        found = read_attributes(source, splits, split)
    write_table(table, pd.DataFrame({"id": ids} | found))


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(attributes, snakemake)
