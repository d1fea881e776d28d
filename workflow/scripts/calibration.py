"""Fit one temperature for each model on the calibration split, by maximum likelihood."""

import logging

import pandas as pd

from workflow.lib.data.manifest import Manifest
from workflow.lib.measures.calibration import fit_temperature
from workflow.lib.measures.problems import find_problems
from workflow.lib.outputs.store import Outputs
from workflow.lib.outputs.tables import write_table
from workflow.lib.run.progress import Progress

log = logging.getLogger("uncorrelated")


def calibration(*, manifest: str, outputs: list[str], table: str, models: list[str]) -> None:
    """Write a table of temperatures, likelihoods and calibration errors, a row a model.

    Parameters
    ----------
    manifest : str
    outputs : list of str
        Outputs files of the models on the calibration split.
    table : str
        Table to write: model, temperature, converged, and in nats and as fractions the negative
        log-likelihood and the expected calibration error before and after; and the `problem`, what
        is wrong with the model's outputs, which the terminal and the report tell as well.
    models : list of str
        Keys of the models, in the order of `outputs`.
    """
    split = Manifest.read(manifest).splits["calibration"]
    progress = Progress(len(models), "models")
    rows = []
    for model, path in zip(models, outputs, strict=True):
        with Outputs(path, split) as file:
            logits = file.read("logits")
            fit = fit_temperature(logits, file.labels)
            problems = [fit.problem] * (not fit.converged) + find_problems(logits, file.labels)
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


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(calibration, snakemake)
