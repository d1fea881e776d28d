"""What each model of a pair sees: the test images that it alone gets right, surest first.

On the left the images that only model 1 gets right, by its calibrated confidence, on the right
those that only model 2 does. Below each image stands what both predict; the one with the tick is
right.
"""

import numpy as np
import pandas as pd
from matplotlib import rc_context

from workflow.lib.data.arrays import Array
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.run.errors import InputError
from workflow.lib.show import marks as plots
from workflow.lib.show.sheets import Block, answered, draw_sheet
from workflow.lib.show.style import RC

ACROSS = 4  # images side by side in each block


@rc_context(RC)
def contact_sheet(
    *, specialisation: str, images: str, png: str, tsv: str, pair: list[str], number: int
) -> None:
    """Draw the images that each of two models alone gets right.

    Parameters
    ----------
    specialisation : str
        Table of angles.
    images : str
        Test images in dataset order: .npy, uint8, shape (examples, channels, size, size), one
        channel or three.
    png, tsv : str
        Sheet, and the table of the images it shows, to write.
    pair : list of str
        Keys of model 1 and model 2, a pair of the table.
    number : int
        Images to show for each model, at most.

    Raises
    ------
    InputError
        If the table has no such pair, or another number of examples than there are images.
    """
    table = read_table(specialisation)
    mine = (table["model_1"] == pair[0]) & (table["model_2"] == pair[1])
    rows = table[mine].reset_index(drop=True)
    if rows.empty:
        raise InputError(
            f"{specialisation} has no pair {pair[0]} + {pair[1]}; add [{pair[0]}, {pair[1]}] to "
            f"`pairs` in the configuration"
        )
    pixels = Array(images)
    if len(pixels) != len(rows):
        raise InputError(
            f"{images} holds {len(pixels)} images, but {specialisation} has {len(rows)} examples; "
            f"delete both and run again"
        )
    shown = choose(rows, number)
    write_table(tsv, shown)

    blocks = []
    for member in (1, 2):
        outcome = f"only_{member}"
        total = int((rows["outcome"] == outcome).sum())
        name = rows[f"name_{member}"].iloc[0]
        chosen = shown[shown["outcome"] == outcome]
        note = f"its {len(chosen)} most confident of {total:,}" if total else "no image"
        texts = [describe(row) for row in chosen.to_dict("records")]
        title = f"Only {name} ({member}) is right: {note}"
        blocks.append(Block(title, chosen["row"].tolist(), texts))
    plots.save(draw_sheet(blocks, pixels, ACROSS, lines=-(-number // ACROSS)), png)


def choose(rows: pd.DataFrame, number: int) -> pd.DataFrame:
    """Choose the examples that exactly one model gets right, by its confidence.

    Parameters
    ----------
    rows : DataFrame
        A pair's rows of specialisation.tsv, in dataset order.
    number : int
        Greatest number of examples for each model.

    Returns
    -------
    DataFrame
        First those that only model 1 gets right, then those that only model 2 does, each with the
        most confident first and equal ones in dataset order; with `row`, the index of the example
        in the split, and `rank`, from 1.
    """
    rows = rows.reset_index(drop=True).rename_axis("row").reset_index()
    parts = []
    for member in (1, 2):
        alone = rows[rows["outcome"] == f"only_{member}"]
        best = alone.sort_values(f"confidence_{member}", ascending=False, kind="stable")[:number]
        parts.append(best.assign(rank=np.arange(1, len(best) + 1)))
    columns = ["pair", "outcome", "rank", "row", "id", "class", "prediction_1", "prediction_2"]
    columns += ["confidence_1", "confidence_2", "theta"]
    return pd.concat(parts, ignore_index=True)[columns]


def describe(row: dict) -> str:
    """Tell both predictions, the right one with a tick, each on a line of its own or two."""
    lines = []
    for member in (1, 2):
        answer, right = row[f"prediction_{member}"], row["outcome"] == f"only_{member}"
        lines += answered(str(member), answer, right)
    return "\n".join(lines)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(contact_sheet, snakemake)
