"""The tables of models, and how they are written as Markdown and LaTeX."""

import difflib
from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from workflow.lib.run.errors import InputError
from workflow.lib.show import escape
from workflow.lib.show.numbers import is_lopsided
from workflow.lib.study.categories import BASE, ORDER

# The groups of models in each table.
TABLES = {1: (BASE, "main"), 2: ("high",), 3: ("low",), 4: ("others",)}
COMPARED = ("error_inconsistency", "ensemble_accuracy")
PAPER = ("accuracy", *COMPARED)
"""What stands beside a publication's number of the same row, in a column named paper_…"""
ADDED = {
    "added": "Adds to the base (0.001 nats)",
    "added_best": "Adds to the best single (0.001 nats)",
}
"""What a model adds to another one: see the rule `added`."""
NONE = "There are no such models."
UNCONVERGED = "The fit of this temperature did not converge."


def select_models(
    models: pd.DataFrame, pairs: pd.DataFrame, combination: str
) -> dict[int, pd.DataFrame]:
    """Divide the models among the four tables, each beside its comparison with the base.

    Parameters
    ----------
    models : DataFrame
        As in models.tsv.
    pairs : DataFrame
        As in pairs.tsv.
    combination : str
        Which combination of two models to take.

    Returns
    -------
    dict of int to DataFrame
        The table of each number, in order of divergence, with `error_inconsistency` and
        `ensemble_accuracy` (fractions) and their intervals. These are empty for a model that has
        not been compared.

    Raises
    ------
    ValueError
        If a model's group belongs to no table.
    """
    strange = set(models["group"]) - {group for groups in TABLES.values() for group in groups}
    if strange:
        raise ValueError(f"models of unknown group: {', '.join(sorted(map(str, strange)))}")
    table = compare_with_base(models, pairs[pairs["combination"] == combination])
    order = table["category"].map(ORDER.index)
    table = table.loc[order.sort_values(kind="stable").index]
    return {number: table[table["group"].isin(groups)] for number, groups in TABLES.items()}


def compare_with_base(models: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Set each model beside its comparison with the base.

    Parameters
    ----------
    models : DataFrame
        As in models.tsv.
    pairs : DataFrame
        As in pairs.tsv, of one combination.

    Returns
    -------
    DataFrame
        The models with `error_inconsistency`, `ensemble_accuracy` and their intervals.
    """
    rows = pairs[pairs["with_base"].astype(bool)]
    other = rows["model_1"].where(rows["category_2"] == BASE, rows["model_2"]).rename("model")
    columns = [column + end for column in COMPARED for end in ("", "_low", "_high")]
    return models.merge(rows[columns].set_index(other), on="model", how="left", validate="1:1")


def add_published(
    table: pd.DataFrame, published: pd.DataFrame, rows: Mapping[str, str]
) -> pd.DataFrame:
    """Set a publication's numbers beside ours, row by row.

    Parameters
    ----------
    table : DataFrame
        Models compared with the base.
    published : DataFrame
        The publication's, likewise.
    rows : mapping of str to str
        For the keys of our models, the names of the publication's that they are to be compared
        with. Other models have no published numbers.

    Returns
    -------
    DataFrame
        With the columns `paper_accuracy`, `paper_error_inconsistency` and
        `paper_ensemble_accuracy` (fractions).

    Raises
    ------
    InputError
        If the publication has no such model, with the name that comes nearest, or has several that
        differ.
    """
    known = published.set_index("name")[list(PAPER)]
    known = known[~known.reset_index().duplicated().to_numpy()]
    for key, name in rows.items():
        if name not in known.index:
            nearest = difflib.get_close_matches(name, known.index, n=1, cutoff=0)[0]
            raise InputError(
                f"models.{key}.paper: the published tables have no model '{name}'; "
                f"do you mean '{nearest}'?"
            )
        if known.index.tolist().count(name) > 1:
            raise InputError(
                f"models.{key}.paper: the published tables have several models '{name}'; leave out "
                f"`paper`, or a study from `alongside`"
            )
    known = known[~known.index.duplicated()]
    beside = known.reindex(table["model"].map(rows)).add_prefix("paper_")
    return pd.concat([table, beside.set_index(table.index)], axis=1)


def format_models(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Write a table's cells as people read them.

    Parameters
    ----------
    table : DataFrame
        One of `select_models`.

    Returns
    -------
    cells : DataFrame of str
        Per cent, with half of the 95 % interval or its ends, and beside it what a publication
        printed where the table has that. An empty cell is a dash, and a temperature whose fit did
        not converge has a dagger.
    notes : list of str
        What to write beneath.
    """
    unconverged = table["temperature"].notna() & table["converged"].eq(False)
    daggers = unconverged.map({True: "†", False: ""})
    cells = {
        "Model": _words(table["name"]),
        "Category": _words(table["category"]),
        "Objective": _words(table["objective"]),
        "Train data": _words(table["train_data"]),
        "Head": _words(table["head"]),
        "Temperature": _words(table["temperature"].map(_temperature, "ignore")) + daggers,
    }
    for column in PAPER:
        label = f"{column.replace('_', ' ').capitalize()} (%)"
        cells[label] = _percent(table, column)
        if f"paper_{column}" in table:
            paper = 100 * table[f"paper_{column}"]
            cells[f"Paper: {label[0].lower()}{label[1:]}"] = _words(
                paper.map("{:.2f}".format, "ignore")
            )
    for column, label in ADDED.items():
        if column in table:
            cells[label] = _thousandths(table, column)
    notes = [NONE] if table.empty else []
    return pd.DataFrame(cells, dtype=str), notes + [f"† {UNCONVERGED}"] * bool(unconverged.any())


def to_markdown(cells: pd.DataFrame, notes: Sequence[str]) -> str:
    """Write a table as GitHub's Markdown.

    Parameters
    ----------
    cells : DataFrame of str
    notes : sequence of str
        Each a paragraph beneath.

    Returns
    -------
    str
    """
    rules = ["---:" if _is_number(column) else "---" for column in cells]
    rows = [list(cells), rules, *_escaped(cells, escape.markdown)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, *(f"\n{escape.markdown(note)}" for note in notes)]) + "\n"


def to_latex(cells: pd.DataFrame, notes: Sequence[str]) -> str:
    """Write a table as a LaTeX tabular for the package booktabs.

    Parameters
    ----------
    cells : DataFrame of str
    notes : sequence of str
        Each a row beneath, across all columns.

    Returns
    -------
    str
    """
    columns = "".join("r" if _is_number(column) else "l" for column in cells)
    across = rf"\multicolumn{{{len(columns)}}}{{l}}"
    rows = [" & ".join(row) for row in _escaped(cells, escape.latex)]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(map(escape.latex, cells)) + r" \\",
            r"\midrule",
            *(rf"{row} \\" for row in rows),
            r"\bottomrule",
            *(rf"{across}{{{escape.latex(note)}}} \\" for note in notes),
            r"\end{tabular}",
            "",
        ]
    )


def _words(column: pd.Series) -> pd.Series:
    return column.astype(object).where(column.notna(), "–").astype(str)


def _percent(table: pd.DataFrame, column: str) -> pd.Series:
    """Write a share as per cent, with half of its interval or with the ends of a lopsided one."""
    columns = [100 * table[f"{column}{end}"] for end in ("", "_low", "_high")]
    rows = list(zip(*columns, strict=True))
    # One way of writing for the whole column.
    ends = any(is_lopsided(value, low, high, 2) for value, low, high in rows)
    texts = []
    for value, low, high in rows:
        text = f"{value:.2f}" if pd.notna(value) else "–"
        if pd.notna(low) and pd.notna(high):
            text += f" ({low:.2f} to {high:.2f})" if ends else f" ± {(high - low) / 2:.2f}"
        texts.append(text)
    return pd.Series(texts, table.index, dtype=str)


def _thousandths(table: pd.DataFrame, column: str) -> pd.Series:
    """Write nats in thousandths, with half of the interval."""
    columns = (1000 * table[f"{column}{end}"] for end in ("", "_low", "_high"))
    texts = [
        "–" if pd.isna(value) else f"{value:.1f} ± {(high - low) / 2:.1f}".replace("-", "−")
        for value, low, high in zip(*columns, strict=True)
    ]
    return pd.Series(texts, table.index, dtype=str)


def _temperature(value: float) -> str:
    """Two digits behind the point, or of a small one two that count: cosines need 0.0043."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def _is_number(column: str) -> bool:
    return column == "Temperature" or column.endswith(("(%)", "nats)"))


def _escaped(cells: pd.DataFrame, write: Callable[[str], str]) -> list[list[str]]:
    return [[write(cell) for cell in row] for row in cells.itertuples(index=False)]
