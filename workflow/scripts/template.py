"""Write what a file of external outputs must hold: the images, and the classes, in their order."""

import csv
from collections.abc import Iterable, Sequence

from workflow.lib.data.manifest import Manifest
from workflow.lib.run.files import replacing


def template(*, manifest: str, images: str, classes: str, splits: list[str]) -> None:
    """Write two tables.

    Parameters
    ----------
    manifest : str
    images : str
        Table to write: `id` and `split` of each image; the order of rows of files without ids.
    classes : str
        Table to write: `column`, counted from 0, and `class`; the order of columns of logits.
    splits : list of str
        Splits to list, in this order.
    """
    dataset = Manifest.read(manifest)
    rows = ((example, split) for split in splits for example in dataset.splits[split].ids.tolist())
    _write(images, ["id", "split"], rows)
    _write(classes, ["column", "class"], enumerate(dataset.classes))


def _write(path: str, heading: Sequence[str], rows: Iterable[Sequence]) -> None:
    with replacing(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(heading)
        table.writerows(rows)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(template, snakemake)
