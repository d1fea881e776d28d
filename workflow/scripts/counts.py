"""Count what all pairs of models have in common and gain together, in one pass over their logits.

Every number of pairs follows from these counts, at the study's temperatures and at those that its
sensitivity needs. Beside them stands what each model answers, and how sure it is.
"""

import numpy as np

from workflow.lib.data.manifest import Manifest
from workflow.lib.ensembles.counts import write_counts
from workflow.lib.ensembles.logits import Logits, stream
from workflow.lib.ensembles.pairs import PairCounter
from workflow.lib.outputs.arrays import write_arrays
from workflow.lib.outputs.tables import read_table
from workflow.lib.run.progress import Progress

NONE = "none"  # how temperatures of 1 are named


def counts(
    *,
    manifest: str,
    calibrations: list[str],
    outputs: list[str],
    counts: str,
    answers: str,
    models: list[str],
    split: str,
    fitted_on: list[str],
    threads: int,
) -> None:
    """Write counts of pairs, and answers of models.

    Parameters
    ----------
    manifest : str
    calibrations : list of str
        Tables of temperatures, the study's own first.
    outputs : list of str
        Outputs files of the models on the split.
    counts : str
        File to write: see `write_counts`; uncalibrated, and at each table's temperatures.
    answers : str
        File to write, .npz: `top`, the class that each model predicts, and `log_confidence`, the
        logarithm of its confidence at the study's temperatures, (models, examples); `models`.
    models : list of str
        Keys of the models, in the order of `outputs`.
    split : str
        The evaluation split.
    fitted_on : list of str
        Splits that the temperatures were fitted on, in the order of `calibrations`.
    threads : int
    """
    examples = Manifest.read(manifest).splits[split]
    fits = [read_table(path).set_index("model")["temperature"] for path in calibrations]
    own, *others = [fit[models].to_numpy() for fit in fits]
    progress = Progress(len(examples.labels), "images")
    with Logits.open(outputs, examples, own, models) as logits:
        counter = PairCounter(logits, [*others, np.ones(len(models))], confidences=True)
        stream(logits, counter, threads=threads, progress=progress.advance)
    found = dict(zip([*fitted_on, NONE], counter.counts(), strict=True))
    write_counts(counts, models, {name: found[name] for name in (NONE, *fitted_on)})
    confidences = {"top": counter.top, "log_confidence": counter.log_confidence}
    write_arrays(answers, models=models, **confidences)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(counts, snakemake)
