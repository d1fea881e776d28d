"""The tables of models, and how they are written as Markdown and LaTeX."""

import re
from collections.abc import Callable, Sequence

import pandas as pd

from workflow.lib.categories import BASE, CATEGORIES

# The groups of models in each table.
TABLES = {1: (BASE, "main"), 2: ("high",), 3: ("low",), 4: ("others",)}
COMPARED = ("error_inconsistency", "ensemble_accuracy")
NONE = "There are no such models."
UNCONVERGED = "The fit of this temperature did not converge."

LATEX_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "±": r"$\pm$",
    "†": r"$^\dagger$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # at the start of a row it would be an argument of the line break before
} | {character: "\\" + character for character in "&%$#_{}"}


def select_models(models: pd.DataFrame, pairs: pd.DataFrame, mean: str) -> dict[int, pd.DataFrame]:
    """Divide the models among the four tables, each beside its comparison with the base.

    Parameters
    ----------
    models : DataFrame
        As in models.tsv.
    pairs : DataFrame
        As in pairs.tsv.
    mean : str
        Which mean of two models to take.

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
    rows = pairs[pairs["with_base"] & (pairs["mean"] == mean)]
    other = rows["model_1"].where(rows["category_2"] == BASE, rows["model_2"]).rename("model")
    columns = [column + end for column in COMPARED for end in ("", "_low", "_high")]
    table = models.merge(rows[columns].set_index(other), on="model", how="left", validate="1:1")
    order = table["category"].map([BASE, *CATEGORIES].index)
    table = table.loc[order.sort_values(kind="stable").index]
    return {number: table[table["group"].isin(groups)] for number, groups in TABLES.items()}


def format_models(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Write a table's cells as people read them.

    Parameters
    ----------
    table : DataFrame
        One of `select_models`.

    Returns
    -------
    cells : DataFrame of str
        Per cent, with half of the 95 % interval. An empty cell is a dash, and a temperature whose
        fit did not converge has a dagger.
    notes : list of str
        What to write beneath.
    """
    unconverged = table["temperature"].notna() & table["converged"].eq(False)
    daggers = unconverged.map({True: "†", False: ""})
    cells = pd.DataFrame(
        {
            "Model": _words(table["name"]),
            "Category": _words(table["category"]),
            "Objective": _words(table["objective"]),
            "Train data": _words(table["train_data"]),
            "Head": _words(table["head"]),
            "Temperature": _words(table["temperature"].map("{:.2f}".format, "ignore")) + daggers,
            "Accuracy (%)": _percent(table, "accuracy"),
            "Error inconsistency (%)": _percent(table, "error_inconsistency"),
            "Ensemble accuracy (%)": _percent(table, "ensemble_accuracy"),
        },
        dtype=str,
    )
    notes = [NONE] if table.empty else []
    return cells, notes + [f"† {UNCONVERGED}"] * bool(unconverged.any())


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
    rows = [list(cells), rules, *_escaped(cells, _escape_markdown)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, *(f"\n{_escape_markdown(note)}" for note in notes)]) + "\n"


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
    rows = [" & ".join(row) for row in _escaped(cells, _escape_latex)]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(map(_escape_latex, cells)) + r" \\",
            r"\midrule",
            *(rf"{row} \\" for row in rows),
            r"\bottomrule",
            *(rf"{across}{{{_escape_latex(note)}}} \\" for note in notes),
            r"\end{tabular}",
            "",
        ]
    )


def _words(column: pd.Series) -> pd.Series:
    return column.astype(object).where(column.notna(), "–").astype(str)


def _percent(table: pd.DataFrame, column: str) -> pd.Series:
    """Write a share as per cent ± half of its interval, if it has one."""
    half = (table[f"{column}_high"] - table[f"{column}_low"]) / 2
    return _words((100 * table[column]).map("{:.2f}".format, "ignore")) + (
        (100 * half).map(" ± {:.2f}".format, "ignore").astype(object).where(half.notna(), "")
    )


def _is_number(column: str) -> bool:
    return column == "Temperature" or column.endswith("(%)")


def _escaped(cells: pd.DataFrame, escape: Callable[[str], str]) -> list[list[str]]:
    return [[escape(cell) for cell in row] for row in cells.itertuples(index=False)]


def _escape_markdown(text: str) -> str:
    return re.sub(r"([\\`*_|<~$\[\]])", r"\\\1", " ".join(text.split()))


def _escape_latex(text: str) -> str:
    return "".join(LATEX_ESCAPES.get(character, character) for character in " ".join(text.split()))
