"""Average probes on combined and compressed features over draws, then over models: figure 6."""

import pandas as pd

from workflow.lib.measures import summaries
from workflow.lib.outputs.tables import read_table, write_table


def combined(
    *,
    models: str,
    features: list[str],
    table: str,
    statistic: str,
    direction: str,
    target: float,
) -> None:
    """Write the accuracies by share and by dimensions, and the dimensions needed.

    Parameters
    ----------
    models : str
        Table of models.
    features : list of str
        Tables of probes, one a model.
    table : str
        Table to write: see `summaries.combined`.
    statistic, direction : str
        Of the compression.
    target : float
        Accuracy to reach by compression, as a share of that on all of the base's features, where
        these were evaluated.
    """
    probes = pd.concat([read_table(file) for file in features], ignore_index=True)
    found = summaries.combined(probes, read_table(models), statistic, direction, target)
    write_table(table, found)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(combined, snakemake)
