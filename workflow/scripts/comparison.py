"""Choose the main models as compared with the base, and average each category: figures 1, 2, 8."""

from workflow.lib.measures.summaries import QUANTITIES, X, add_fits, models_and_means
from workflow.lib.outputs.tables import read_table, write_table


def comparison(
    *, pairs: str, combination: str, bases: list[str], figure1: str, figure2: str, figure8: str
) -> None:
    """Write what figures 1, 2 and 8 draw.

    Parameters
    ----------
    pairs : str
        Table of pairs.
    combination : str
        Which combination of two models to take from it. With "unstated", a publication's,
        conversion rates are upper bounds.
    bases : list of str
        Keys of the models that each serve as the base; none for the one base of published numbers.
    figure1, figure2, figure8 : str
        Tables to write: `models_and_means` of error inconsistency; of it and what an ensemble
        gains, with `add_fits`; of it, both right and both wrong.
    """
    rows = read_table(pairs)
    for path, table in (
        (figure1, models_and_means(rows, combination, [X], bases)),
        (figure2, add_fits(models_and_means(rows, combination, [X, *QUANTITIES], bases))),
        (figure8, models_and_means(rows, combination, [X, "both_right", "both_wrong"], bases)),
    ):
        write_table(path, table)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(comparison, snakemake)
