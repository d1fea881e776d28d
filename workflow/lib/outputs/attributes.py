"""Attributes of images, from a table: columns of 0 and 1, or of categories, by image id.

The first column, or one called `id`, `filename` or `file_name`, names the images. An empty cell
says nothing. ImageNet-X's annotations are such a table.
"""

from collections.abc import Mapping

import numpy as np

from workflow.lib.data.labels import rows_of
from workflow.lib.data.splits import Split
from workflow.lib.outputs.answers import rows_of_images
from workflow.lib.run.errors import InputError

IDS = ("id", "filename", "file_name")
MOST = 30
"""Different values of a column: more are no categories."""

TRUTHS = {"true": "1", "1.0": "1", "yes": "1", "false": "0", "0.0": "0", "no": "0"}
"""Other ways to write 1 and 0."""


def read_attributes(
    path: str, splits: Mapping[str, Split] | None, split: str
) -> dict[str, np.ndarray]:
    """Read the attributes of a split's images.

    Parameters
    ----------
    path : str
        CSV file; .tsv with tabs; or .gz of one.
    splits : mapping of str to Split or None
        Of the dataset; without them, the table is read in its own order.
    split : str
        Whose images must all be there; those of other splits may be.

    Returns
    -------
    dict of str to ndarray of str, shape (examples,)
        By the columns' names; "" where the table says nothing. Columns of truth values hold "0"
        and "1", however they are written.

    Raises
    ------
    InputError
        If the file is no such table, an image is unknown, missing or there twice, or a column holds
        one value alone or more than `MOST`.
    """
    rows = list(rows_of(path, ()))
    if not rows:
        raise InputError(f"{path} has no rows; write an id and its attributes for each image")
    heads = list(rows[0][1])
    name = next((each for each in IDS if each in heads), heads[0])
    columns = [head for head in heads if head != name]
    if not columns:
        raise InputError(
            f"{path} has the column `{name}` alone; write a column for each attribute, of 0 and 1 "
            f"or of categories"
        )
    nameless = next((place for place, head in enumerate(heads, 1) if not head), None)
    if nameless:
        raise InputError(f"{path}: column {nameless} has no heading; name the attribute there")
    place = np.arange(len(rows))
    if splits is not None:
        ids = np.array([row[name] for _, row in rows])
        place = rows_of_images(
            path, ids, splits, split, "has attributes of", "write a row for each"
        )
    found = {}
    for column in columns:
        values = np.array([row[column] for _, row in rows])[place]
        found[column] = _checked(path, column, values)
    return found


def _checked(path: str, column: str, values: np.ndarray) -> np.ndarray:
    """Write truth values in one way, and refuse a column that divides nothing."""
    known, inverse = np.unique(values, return_inverse=True)
    truths = np.array([TRUTHS.get(text.lower(), text) for text in known.tolist()])
    if {*truths.tolist()} <= {"0", "1", ""}:
        known = truths
    different = {*known.tolist()} - {""}
    if len(different) < 2:
        only = f"{next(iter(different))!r} for all images" if different else "empty"
        raise InputError(
            f"{path}: the attribute `{column}` is {only}, which divides nothing; leave the column "
            f"out"
        )
    if len(different) > MOST:
        raise InputError(
            f"{path}: the attribute `{column}` has {len(different):,} different values; bring up "
            f"to {MOST} categories, such as thirds of a number, or leave the column out"
        )
    return known[inverse]
