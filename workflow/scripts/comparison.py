"""Choose the main models as compared with the base, and average each category: figures 1, 2, 8."""

from collections.abc import Sequence

import pandas as pd

from workflow.lib.measures.references import noise_floor, published_means
from workflow.lib.measures.summaries import QUANTITIES, X, add_fits, models_and_means
from workflow.lib.outputs.tables import read_table, write_table


def comparison(
    *,
    pairs: str,
    combination: str,
    bases: list[str],
    figure1: str,
    figure2: str,
    figure8: str,
    models: str | Sequence[str] = (),
    published: str | Sequence[str] = (),
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
        gains, with `add_fits`; of it, both right and both wrong. The first and the last have the
        rows of `noise_floor`, and of `published_means` if there are any, below.
    models : str, optional
        Table of models, which knows those of the same weights.
    published : str, optional
        Table of pairs of a published study whose means are to stand beside.
    """
    rows = read_table(pairs)
    own = rows[rows["combination"] == combination]

    def with_references(columns: list[str]) -> pd.DataFrame:
        parts = [models_and_means(rows, combination, columns, bases)]
        if isinstance(models, str):
            parts.append(noise_floor(own, read_table(models), columns))
        if isinstance(published, str):
            parts.append(published_means(read_table(published), columns))
        return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)

    for path, table in (
        (figure1, with_references([X])),
        (figure2, add_fits(models_and_means(rows, combination, [X, *QUANTITIES], bases))),
        (figure8, with_references([X, "both_right", "both_wrong"])),
    ):
        write_table(path, table)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(comparison, snakemake)
