"""Tables 1 to 4: the models of the main analyses, the strong ones, the weak ones, and the others.

Each model stands beside its error inconsistency and its ensemble's accuracy with the base. The TSV
files have fractions with all their digits; Markdown and LaTeX have per cent, with half of the 95 %
interval after ±. The last table holds models outside the accuracy band, so that none is dropped in
silence.
"""

from pathlib import Path

import pandas as pd

from workflow.lib.jobs import replacing
from workflow.lib.tables import format_models, select_models, to_latex, to_markdown


def tables(*, models: str, pairs: str, mean: str, **outputs: str) -> None:
    """Write each table in each format.

    Parameters
    ----------
    models, pairs : str
        Tables of models and of pairs.
    mean : str
        Which mean of two models' predictions to take from the pairs.
    **outputs : str
        Files to write: `table1_tsv`, `table1_md`, `table1_tex`, and so on to `table4_tex`.
    """
    chosen = select_models(pd.read_csv(models, sep="\t"), pd.read_csv(pairs, sep="\t"), mean)
    for number, table in chosen.items():
        cells, notes = format_models(table)
        for suffix, text in {
            "tsv": table.to_csv(sep="\t", index=False),
            "md": to_markdown(cells, notes),
            "tex": to_latex(cells, notes),
        }.items():
            with replacing(outputs[f"table{number}_{suffix}"]) as part:
                Path(part).write_text(text, encoding="utf-8")


if "snakemake" in globals():
    from workflow.lib.jobs import run_script

    run_script(tables, snakemake)  # noqa: F821
