"""Find what both models of each update answer together, from logits where the two differ.

By every combination of two, and by their cascade at the threshold that was chosen for it.
"""

import numpy as np

from workflow.lib.data.manifest import Manifest
from workflow.lib.ensembles.logits import Logits
from workflow.lib.ensembles.updates import update_classes
from workflow.lib.outputs.arrays import read_arrays, write_arrays
from workflow.lib.outputs.tables import read_table
from workflow.lib.run.progress import Progress


def update_answers(
    *,
    manifest: str,
    calibration: str,
    answers: str,
    weights: str,
    cascades: str,
    outputs: list[str],
    classes: str,
    models: list[str],
    updates: list[list[str]],
    split: str,
) -> None:
    """Write the classes.

    Parameters
    ----------
    manifest : str
    calibration : str
        Table of temperatures.
    answers : str
        What each model predicts, as `counts` writes it.
    weights, cascades : str
        Tables of fitted weights and of cascades.
    outputs : list of str
        Outputs files of the models of the updates.
    classes : str
        File to write, .npz: `update`, `system` and `classes`, arrays of shape (rows,), (rows,) and
        (rows, examples): the place of the update, what answers, as `update_classes` names it, and
        the index of the class on each image.
    models : list of str
        Keys of these models, in the order of `outputs`.
    updates : list of list of str
        Keys of the old model and the new one of each.
    split : str
        The evaluation split.
    """
    examples = Manifest.read(manifest).splits[split]
    temperatures = read_table(calibration).set_index("model")["temperature"]
    known = read_arrays(answers)
    places = [known["models"].tolist().index(model) for model in models]
    alone = known["top"][places], known["log_confidence"][places]
    tables = read_table(weights), read_table(cascades)
    rows: list[tuple[int, str, np.ndarray]] = []
    progress = Progress(len(updates), "updates")
    with Logits.open(outputs, examples, temperatures[models], models) as logits:
        for place, update in enumerate(updates):
            together = update_classes(logits, update, *alone, *tables)
            rows += [(place, system, own) for system, own in together.items()]
            progress.advance(1, " to ".join(update))
    numbers, systems, found = zip(*rows, strict=True)
    write_arrays(classes, update=numbers, system=systems, classes=np.stack(found))


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(update_answers, snakemake)
