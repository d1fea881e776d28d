"""Let the models of the main analyses vote, three at a time, as far as answers alone allow."""

import numpy as np

from workflow.lib.data.manifest import Manifest
from workflow.lib.ensembles.answers import vote_table
from workflow.lib.outputs.arrays import read_arrays
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.study.categories import BASE


def voted(
    *, manifest: str, answers: str, models: str, table: str, split: str, threads: int
) -> None:
    """Write a table of votes, a row for each three models of the main analyses.

    Parameters
    ----------
    manifest : str
    answers : str
        What each model answers, as `answers` writes it.
    models : str
        Table of models.
    table : str
        Table to write: see `vote_table`.
    split : str
        The evaluation split.
    threads : int
    """
    known, labels = read_arrays(answers), Manifest.read(manifest).splits[split].labels
    rows = read_table(models)
    rows = rows[rows["group"].isin([BASE, "main"])]
    places = [known["models"].tolist().index(key) for key in rows["model"]]
    confidence = np.exp(known["log_confidence"][places])
    write_table(table, vote_table(known["top"][places], confidence, labels, rows, threads))


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(voted, snakemake)
