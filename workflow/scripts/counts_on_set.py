"""Count what pairs of models have in common on a further test set, and on the images beside it."""

import numpy as np
import pandas as pd

from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.ensembles.counts import write_counts
from workflow.lib.ensembles.logits import Logits, accepted_of, part_of, stream
from workflow.lib.ensembles.pairs import PairCounter
from workflow.lib.outputs.arrays import write_arrays
from workflow.lib.outputs.store import Outputs
from workflow.lib.outputs.tables import read_table, write_table


def counts_on_set(
    *,
    study: str,
    manifest: str,
    calibration: str,
    outputs: list[str],
    clean: list[str],
    counts: str,
    answers: str,
    clean_counts: str,
    correct: str,
    models: list[str],
    threads: int,
) -> None:
    """Write counts of pairs on both, and answers on the test set.

    Parameters
    ----------
    study, manifest : str
        Manifests of the study, and of the test set.
    calibration : str
        Table of temperatures.
    outputs, clean : list of str
        Outputs files of the models on the test set, and on the study's test images.
    counts, clean_counts : str
        Files to write, at the study's temperatures: see `write_counts`.
    answers : str
        File to write, .npz: `models`; `top`, the class that each model predicts among those that
        the test set has; `right`, whether it is right; `log_confidence`; and `right_of_all`,
        whether the most likely of all classes is right.
    correct : str
        Table to write: how many `images` each model gets `right`.
    models : list of str
    threads : int
    """
    own = Manifest.read(study).splits["test"]
    splits = Manifest.read(manifest).splits
    test, beside = splits["test"], splits["clean"]
    temperatures = read_table(calibration).set_index("model")["temperature"][models].to_numpy()
    held = own if outputs == clean else test  # of the study's own images labels alone differ
    with Logits.open(outputs, test, temperatures, models, held) as logits:
        counter = PairCounter(logits, confidences=True)
        stream(logits, counter, threads=threads)
    with Logits.open(clean, beside, temperatures, models, own) as logits:
        reference = PairCounter(logits)
        stream(logits, reference, threads=threads)
    right = counter.logits.right(counter.top)
    known = {"model": models, "images": right.shape[1], "right": right.sum(axis=1)}
    write_table(correct, pd.DataFrame(known))
    write_counts(counts, models, {"calibration": counter.counts()[0]})
    write_counts(clean_counts, models, {"calibration": reference.counts()[0]})
    write_arrays(
        answers,
        models=models,
        top=counter.top if test.kept is None else test.kept[counter.top],
        right=right,
        log_confidence=counter.log_confidence,
        right_of_all=right if test.kept is None else right_of_all(outputs, test, held),
    )


def right_of_all(outputs: list[str], test: Split, held: Split) -> np.ndarray:
    """Say whether the most likely of all classes is right: bool, (models, examples)."""
    every = Split(test.ids, test.labels, test.also)
    accepted = accepted_of(every)
    found = np.empty((len(outputs), len(test.ids)), bool)
    for model, path in enumerate(outputs):
        with Outputs(path, held) as file:
            array = part_of(file.logits, every, held)
            for start in range(0, len(test.ids), 4096):
                rows = slice(start, start + 4096)
                top = array[rows].argmax(axis=1)
                found[model, rows] = (top[:, None] == accepted[rows]).any(axis=1)
    return found


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(counts_on_set, snakemake)
