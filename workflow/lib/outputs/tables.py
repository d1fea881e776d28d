"""How the tables that the workflow writes are read back."""

import os

import pandas as pd

TEXT = (
    "model", "model_1", "model_2", "base", "pair", "best_member", "specialist",
    "name", "name_1", "name_2", "names", "base_name", "task", "id",
    "class", "prediction_1", "prediction_2", "ensemble",
    "category", "category_1", "category_2", "group", "objective", "train_data", "head",
)  # fmt: skip
"""Columns of words, whatever these look like."""

FLAGS = ("main", "with_base", "union")
"""Columns of truth values, none of which is missing."""


def read_table(path: str | os.PathLike) -> pd.DataFrame:
    """Read a table that the workflow wrote.

    A model may be called 50 and a class NA or 007, and stays so; what is empty is missing.
    """
    kinds = dict.fromkeys(TEXT, "str") | dict.fromkeys(FLAGS, "bool")
    return pd.read_csv(path, sep="\t", dtype=kinds, keep_default_na=False, na_values=[""])
