"""Fit one temperature for each model on a split, by maximum likelihood."""

import logging

import numpy as np
import pandas as pd

from workflow.lib.data.manifest import Manifest
from workflow.lib.measures.calibration import fit_temperature
from workflow.lib.measures.problems import find_problems
from workflow.lib.outputs.store import Outputs
from workflow.lib.outputs.tables import write_table
from workflow.lib.run.progress import Progress

log = logging.getLogger("uncorrelated")


def calibration(
    *,
    manifest: str,
    outputs: list[str],
    table: str,
    models: list[str],
    split: str,
    correct: str | None = None,
) -> None:
    """Write a table of temperatures, likelihoods and calibration errors, a row a model.

    Parameters
    ----------
    manifest : str
    outputs : list of str
        Outputs files of the models on the split.
    table : str
        Table to write: model, temperature, converged, and in nats and as fractions the negative
        log-likelihood and the expected calibration error before and after; and the `problem`, what
        is wrong with the model's outputs, which the terminal and the report show as well.
    models : list of str
        Keys of the models, in the order of `outputs`.
    split : str
        The evaluation split.
    correct : str, optional
        Table to write: model, `images` of the split and how many of them it gets `right`; of equal
        logits the first counts. Problems are then not looked for.
    """
    examples = Manifest.read(manifest).splits[split]
    progress = Progress(len(models), "models")
    rows, right = [], []
    for model, path in zip(models, outputs, strict=True):
        with Outputs(path, examples) as file:
            logits = file.read("logits")
        fit = fit_temperature(logits, examples.labels)
        problems = [fit.problem] * (not fit.converged)
        if correct:
            right.append(np.count_nonzero(logits.argmax(axis=1) == examples.labels))
        else:  # once a model is enough
            problems += find_problems(logits, examples.labels)
            for problem in problems:
                log.warning("%s: %s", model, problem)
        rows.append(
            {
                "model": model,
                "temperature": fit.temperature,
                "converged": fit.converged,
                "nll_before": fit.nll_before,
                "nll_after": fit.nll_after,
                "ece_before": fit.ece_before,
                "ece_after": fit.ece_after,
                "problem": "; ".join(problems),
            }
        )
        progress.advance(1, model)
    write_table(table, pd.DataFrame(rows))
    if correct:
        known = {"model": models, "images": len(examples.labels), "right": right}
        write_table(correct, pd.DataFrame(known))


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(calibration, snakemake)
