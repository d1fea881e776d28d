"""Tables 1 to 4: the models of the main analyses, the strong ones, the weak ones, and the others.

Each model stands beside its error inconsistency and its ensemble's accuracy with the base; where a
row of a published study is its like, beside what was published too. The TSV files have fractions
with all their digits; Markdown and LaTeX have per cent, with half of the 95 % interval after ±. The
last table holds models outside the accuracy band, so that none is dropped in silence.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from workflow.lib.outputs.tables import read_table
from workflow.lib.run.files import replacing
from workflow.lib.show.tables import (
    add_published,
    compare_with_base,
    format_models,
    select_models,
    to_latex,
    to_markdown,
)


def tables(
    *,
    models: str,
    pairs: str,
    added: str | Sequence[str],
    published_models: str | Sequence[str],
    published_pairs: str | Sequence[str],
    tables: Sequence[str],
    combination: str,
    paper: dict[str, str],
) -> None:
    """Write each table in each format.

    Parameters
    ----------
    models, pairs : str
        Tables of models and of pairs.
    added : str or empty list
        What each model adds to the base and to the best single model, if that is known.
    published_models, published_pairs : str or empty list
        The same of the published study alongside, if models are to be compared with its.
    tables : sequence of str
        Files to write: `table1.tsv`, `table1.md`, `table1.tex`, and so on to `table4.tex`.
    combination : str
        Which combination of two models to take from the pairs.
    paper : dict of str to str
        Names of published models to compare models with, by their keys; if there are none, the
        tables have no columns for them.
    """
    known_models = read_table(models)
    if added:
        known_models = add_nats(known_models, read_table(str(added)))
    chosen = select_models(known_models, read_table(pairs), combination)
    known = None
    if paper:
        known = compare_with_base(
            read_table(str(published_models)), read_table(str(published_pairs))
        )
    for number, table in chosen.items():
        if paper:
            table = add_published(table, known, paper)
        cells, notes = format_models(table)
        texts = {
            ".tsv": table.to_csv(sep="\t", index=False),
            ".md": to_markdown(cells, notes),
            ".tex": to_latex(cells, notes),
        }
        for path in map(Path, tables):
            if path.stem == f"table{number}":
                with replacing(path, sealed=True) as part:
                    part.write_text(texts[path.suffix], encoding="utf-8")


def add_nats(models: pd.DataFrame, added: pd.DataFrame) -> pd.DataFrame:
    """Set each model beside what it adds to the base (`added`) and the best (`added_best`)."""
    for reference, name in (("base", "added"), ("best", "added_best")):
        own = added[added["reference"] == reference].set_index("model")
        for end in ("", "_low", "_high"):
            models[f"{name}{end}"] = models["model"].map(own[f"added{end}"])
    return models


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(tables, snakemake)
