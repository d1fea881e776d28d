"""How the tables that the workflow makes are written and read back."""

import io
import os

import pandas as pd

from workflow.lib.run.errors import InputError
from workflow.lib.run.files import AGAIN, read_sealed, replacing

TEXT = (
    "model", "model_1", "model_2", "base", "pair", "best_member", "specialist",
    "name", "name_1", "name_2", "names", "base_name", "task", "id",
    "class", "prediction_1", "prediction_2", "ensemble",
    "weights_of", "update", "old", "new", "old_name", "new_name", "answer",
    "category", "category_1", "category_2", "group", "objective", "train_data", "head",
)  # fmt: skip
"""Columns of words, whatever these look like."""

FLAGS = ("main", "with_base", "union")
"""Columns of truth values, none of which is missing."""


def write_table(path: str | os.PathLike, table: pd.DataFrame, **options: object) -> None:
    """Write a table without its index, tabs between its columns, whole or not at all.

    Its digest goes to a hidden file beside it: a line of its own in the table would be a row to
    pandas, R and spreadsheets.

    Parameters
    ----------
    path
    table : DataFrame
    **options
        Of `DataFrame.to_csv`.
    """
    with replacing(path, sealed=True) as part:
        table.to_csv(part, sep="\t", index=False, **options)


def read_table(path: str | os.PathLike) -> pd.DataFrame:
    """Read a table that the workflow wrote.

    A model may be called 50 and a class NA or 007, and stays so; what is empty is missing.

    Raises
    ------
    InputError
        If it is not the table that was written, or none.
    """
    kinds = dict.fromkeys(TEXT, "str") | dict.fromkeys(FLAGS, "bool")
    return _read(path, dtype=kinds, na_values=[""])


def read_numbers(path: str | os.PathLike) -> pd.DataFrame:
    """Read a table as text: its numbers as they were written, and "" for what is missing."""
    return _read(path, dtype=str)


def _read(path: str | os.PathLike, **options) -> pd.DataFrame:
    content = io.BytesIO(read_sealed(path))
    try:
        return pd.read_csv(content, sep="\t", keep_default_na=False, **options)
    except (ValueError, TypeError, OverflowError) as error:  # of pandas, of several kinds
        why = " ".join(str(error).split())
        raise InputError(f"{path} is no table that was written here ({why}); {AGAIN}") from error
