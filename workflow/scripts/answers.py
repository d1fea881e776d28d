"""Read the answers of all models, and count what each pair has in common, at once for all pairs.

What both of a pair get right is a product of correctness matrices. Where both say how sure they
are, their ensemble takes the answer of the more confident one, the lower class among equally
confident ones. Confidences are taken as they are: without logits there is no temperature.
"""

import logging

import numpy as np
import pandas as pd

from workflow.lib.data.manifest import Manifest
from workflow.lib.ensembles.answers import count_pairs
from workflow.lib.ensembles.counts import write_counts
from workflow.lib.measures.calibration import confidence_error
from workflow.lib.measures.problems import find_answer_problems
from workflow.lib.outputs.answers import AnswersFile
from workflow.lib.outputs.arrays import write_arrays
from workflow.lib.outputs.digests import verify
from workflow.lib.outputs.tables import write_table

log = logging.getLogger("uncorrelated")

NONE = "none"  # how temperatures of 1 are named


def answers(
    *,
    manifest: str,
    sources: list[str],
    counts: str,
    answers: str,
    calibration: str,
    models: dict[str, dict],
    controls: dict[str, str],
    split: str,
    combination: str,
) -> None:
    """Write counts of pairs, answers of models, and what is wrong with them.

    Parameters
    ----------
    manifest : str
    sources : list of str
        The files of answers.
    counts : str
        File to write: see `write_counts`, without temperatures; what pairs gain is NaN where one of
        them does not say how sure it is.
    answers : str
        File to write, .npz: `top`, the class that each model answers or -1, and `log_confidence`,
        NaN where it is not known, (models, examples); `models`.
    calibration : str
        Table to write: a row a model, as for logits, but with the expected calibration error of
        its confidences as they are, `ece`, in place of what needs logits; and the `problem` of
        a model that answers as another one does.
    models : dict of str to dict
        File, column and digest of each model's answers.
    controls : dict of str to str
        Of each model that has the weights of another, that one's key.
    split : str
        The evaluation split.
    combination : str
        How the combination of two is called.
    """
    dataset = Manifest.read(manifest)
    examples, keys = dataset.splits[split], list(models)
    files = {path: AnswersFile(path) for path in sources}
    top = np.empty((len(keys), len(examples.ids)), np.int64)
    confidence = np.full(top.shape, np.nan)
    for row, (key, own) in enumerate(models.items()):
        if own["sha256"]:
            verify(own["answers"], own["sha256"], f"models.{key}")
        found = files[own["answers"]].of(own["column"], dataset.splits, split, dataset.classes)
        top[row] = found.top
        if found.confidence is not None:
            confidence[row] = found.confidence
    right = top == examples.labels
    write_counts(counts, keys, {NONE: count_pairs(right, top, confidence, combination)})
    with np.errstate(divide="ignore"):
        write_arrays(answers, models=keys, top=top, log_confidence=np.log(confidence))
    problems = find_answer_problems(keys, top, examples.labels, controls)
    for key, problem in problems.items():
        log.warning("%s: %s", key, problem)
    rows = [
        {
            "model": key,
            "temperature": np.nan,
            "converged": True,
            "ece": confidence_error(sure, own),
            "problem": problems.get(key, ""),
        }
        for key, sure, own in zip(keys, confidence, right, strict=True)
    ]
    write_table(calibration, pd.DataFrame(rows))


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(answers, snakemake)
