"""Find which class the ensemble of each chosen pair predicts, on every example of a split.

Logits are read only where both models predict different classes.
"""

import numpy as np

from workflow.lib.data.manifest import Manifest
from workflow.lib.ensembles.combine import COMBINATIONS
from workflow.lib.ensembles.logits import Logits
from workflow.lib.ensembles.pairs import pair_classes as classes_of_pair
from workflow.lib.outputs.arrays import read_arrays, write_arrays
from workflow.lib.outputs.tables import read_table
from workflow.lib.run.progress import Progress


def pair_classes(
    *,
    manifest: str,
    calibration: str,
    answers: str,
    outputs: list[str],
    classes: str,
    models: list[str],
    pairs: list[list[str]],
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
    outputs : list of str
        Outputs files of the models in the pairs.
    classes : str
        File to write, .npz: for each combination an array of indices, (pairs, examples).
    models : list of str
        Keys of these models, in the order of `outputs`.
    pairs : list of list of str
        Keys of both models of each pair.
    split : str
        The evaluation split.
    """
    examples = Manifest.read(manifest).splits[split]
    temperatures = read_table(calibration).set_index("model")["temperature"]
    known = read_arrays(answers)
    keys = known["models"].tolist()
    top = known["top"][[keys.index(model) for model in models]]
    found = {name: np.empty((len(pairs), len(examples.labels)), top.dtype) for name in COMBINATIONS}
    progress = Progress(len(pairs), "pairs")
    if pairs:
        with Logits.open(outputs, examples, temperatures[models], models) as logits:
            for place, pair in enumerate(pairs):
                first, second = (models.index(model) for model in pair)
                for name, rows in found.items():
                    rows[place] = classes_of_pair(logits, first, second, top, name)
                progress.advance(1, " + ".join(pair))
    write_arrays(classes, **found)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(pair_classes, snakemake)
