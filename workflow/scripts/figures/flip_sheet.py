"""What an update loses and wins: test images that it turns to wrong, and to right.

On the left negative flips, on the right positive ones, each from the one that the new model is most
confident of; where confidences are not known, in the dataset's order. Below each image stands what
the old model (1) and the new one (2) answer; the one with the tick is right.
"""

import numpy as np
import pandas as pd
from matplotlib import rc_context

from workflow.lib.data.arrays import Array
from workflow.lib.data.manifest import Manifest
from workflow.lib.outputs.arrays import read_arrays
from workflow.lib.outputs.tables import write_table
from workflow.lib.run.errors import InputError
from workflow.lib.show import marks as plots
from workflow.lib.show.sheets import Block, answered, draw_sheet
from workflow.lib.show.style import RC

ACROSS = 4  # images side by side in each block
FLIPS = {"negative": "only {} (1) is right", "positive": "only {} (2) is right"}


@rc_context(RC)
def flip_sheet(
    *,
    manifest: str,
    answers: str,
    images: str,
    png: str,
    tsv: str,
    update: list[str],
    names: list[str],
    number: int,
    split: str,
) -> None:
    """Draw the images that an update loses and wins.

    Parameters
    ----------
    manifest : str
    answers : str
        What each model answers and how sure it is, as `counts` writes it.
    images : str
        Images of the split in dataset order: .npy, uint8, shape (examples, channels, size, size).
    png, tsv : str
        Sheet, and the table of the images it shows, to write.
    update, names : list of str
        Keys and names of the old model and the new one.
    number : int
        Images to show of each kind, at most.
    split : str
        The evaluation split.

    Raises
    ------
    InputError
        If there are not as many images as answers.
    """
    dataset = Manifest.read(manifest)
    examples, known, pixels = dataset.splits[split], read_arrays(answers), Array(images)
    if len(pixels) != len(examples.ids):
        raise InputError(
            f"{images} holds {len(pixels)} images, but the split {split} has {len(examples.ids)}; "
            f"delete it and run again"
        )
    places = [known["models"].tolist().index(key) for key in update]
    top, sure = known["top"][places], known["log_confidence"][places]
    classes = np.array([*dataset.classes, "no answer"], dtype=object)
    rows = pd.DataFrame({"row": np.arange(len(examples.ids)), "id": examples.ids})
    rows["class"] = classes[examples.labels]
    for member in (1, 2):
        rows[f"prediction_{member}"] = classes[top[member - 1].astype(np.int64)]
        rows[f"confidence_{member}"] = np.exp(sure[member - 1])
    old, new = top == examples.labels
    blocks, shown = [], []
    flipped = old & ~new, new & ~old
    for name, (kind, title), alone in zip(names, FLIPS.items(), flipped, strict=True):
        own = rows[alone].sort_values("confidence_2", ascending=False, kind="stable")[:number]
        shown.append(own.assign(flip=kind, rank=np.arange(1, len(own) + 1)))
        note = f"{len(own)} of {int(alone.sum()):,}" if len(own) else "no image"
        heading = f"{kind.capitalize()} flips, {title.format(name)}: {note}"
        texts = [_text(row, kind) for row in own.to_dict("records")]
        blocks.append(Block(heading, own["row"].tolist(), texts))
    table = pd.concat(shown, ignore_index=True)
    write_table(tsv, table[["flip", "rank", *rows.columns]])
    most = max(1, *(len(block.rows) for block in blocks))
    plots.save(draw_sheet(blocks, pixels, ACROSS, lines=-(-most // ACROSS)), png)


def _text(row: dict, kind: str) -> str:
    right = {"negative": 1, "positive": 2}[kind]
    lines = (answered(str(m), row[f"prediction_{m}"], m == right) for m in (1, 2))
    return "\n".join(line for own in lines for line in own)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(flip_sheet, snakemake)
