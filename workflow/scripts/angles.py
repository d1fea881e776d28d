"""Count specialisation angles by who is right, and find the prevailing ones: figure 3."""

from workflow.lib.measures import summaries
from workflow.lib.outputs.tables import read_table, write_table


def angles(*, specialisation: str, table: str) -> None:
    """Write the histograms and prevailing angles of each pair.

    Parameters
    ----------
    specialisation : str
        Table of angles.
    table : str
        Table to write: see `summaries.angles`.
    """
    write_table(table, summaries.angles(read_table(specialisation)))


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(angles, snakemake)
