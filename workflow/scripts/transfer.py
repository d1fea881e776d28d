"""Put what models and pairs do on a further task beside what is known of them: figure 7."""

import pandas as pd

from workflow.lib.measures import summaries
from workflow.lib.outputs.tables import read_table, write_table


def transfer(
    *, models: str, pairs: str, probes: list[str], table: str, base: str, combination: str
) -> None:
    """Write mean average precisions of models and pairs.

    Parameters
    ----------
    models, pairs : str
        Tables of models and of pairs.
    probes : list of str
        Tables of the rule `downstream`.
    table : str
        Table to write: see `summaries.transferred`.
    base : str
        Key of the base.
    combination : str
        Which combination of two models to take from `pairs`; the inconsistency does not
        depend on it.
    """
    rows = pd.concat([read_table(file) for file in probes], ignore_index=True)
    known = read_table(pairs).query("combination == @combination")
    write_table(table, summaries.transferred(rows, read_table(models), known, base))


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(transfer, snakemake)
