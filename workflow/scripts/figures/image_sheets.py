"""Images that no model gets right, and those whose most frequent answer is not the label.

The first from the one on which models agree least, which is the hardest; the others from the one on
which most models agree, of equally many the most confident, which is the most suspect. Below each
image stand its label, and what most models answer.
"""

import pandas as pd
from matplotlib import rc_context

from workflow.lib.data.arrays import Array
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.run.errors import InputError
from workflow.lib.show import marks as plots
from workflow.lib.show.sheets import Block, draw_sheet, wrap
from workflow.lib.show.style import RC

ACROSS = 8  # images side by side
NONE_RIGHT, SUSPECTED = "none right", "suspected label"


@rc_context(RC)
def image_sheets(
    *, table: str, images: str, none_right: str, suspected: str, tsv: str, number: int
) -> None:
    """Draw both sheets.

    Parameters
    ----------
    table : str
        Table of images and of what models answer to them, in dataset order.
    images : str
        The images: .npy, uint8, shape (examples, channels, size, size).
    none_right, suspected, tsv : str
        Sheets, and the table of the images that they show, to write.
    number : int
        Images on each sheet, at most.

    Raises
    ------
    InputError
        If there are not as many images as rows.
    """
    rows, pixels = read_table(table), Array(images)
    if len(pixels) != len(rows):
        raise InputError(
            f"{images} holds {len(pixels)} images, but {table} has {len(rows)}; delete both and "
            f"run again"
        )
    rows = rows.rename_axis("row").reset_index()
    none = rows[rows["right"] == 0].sort_values(["agree", "confidence"], kind="stable")
    against = rows[rows["rank"].notna()].sort_values("rank")
    shown = []
    for name, path, own, what, first in (
        (NONE_RIGHT, none_right, none, "that no model gets right", "least"),
        (SUSPECTED, suspected, against, "whose most frequent answer is not the label", "most"),
    ):
        chosen = own[:number]
        shown.append(chosen.assign(sheet=name))
        if not len(own):
            plots.save_blank(f"No image {what}", path)
            continue
        note = f"{len(chosen)} of {len(own):,} images (of {len(rows):,})"
        texts = [describe(row) for row in chosen.to_dict("records")]
        block = Block(f"{note} {what}, {first} agreement first", chosen["row"].tolist(), texts)
        lines = -(-len(chosen) // ACROSS)
        plots.save(draw_sheet([block], pixels, ACROSS, lines), path)
    columns = ["sheet", *(column for column in rows if column != "sheet")]
    write_table(tsv, pd.concat(shown, ignore_index=True)[columns])


def describe(row: dict) -> str:
    """Tell the label, and what most models answer, each on a line of its own or two."""
    answer = row["answer"] if isinstance(row["answer"], str) else "no answer"
    return "\n".join(
        [*wrap(f"label: {row['class']}"), *wrap(f"{row['agree']} of {row['models']}: {answer}")]
    )


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(image_sheets, snakemake)
