"""The table of models: who is in the main analyses, and why not."""

import numpy as np
import pandas as pd
import pytest

from workflow.lib.run.errors import InputError
from workflow.scripts.pairs import describe, model_table

SHOWN = {"objective": "supervised", "train_data": "train", "head": "trained"}
MEMBERS = {
    "base": {"name": "B", "category": "base", "set": "main", **SHOWN},
    "seed": {"name": "S", "category": "reinit", "set": "main", **SHOWN},
    "weak": {"name": "W", "category": "arch", "set": "main", **SHOWN},
    "strong": {"name": "T", "category": "dataset", "set": "high", **SHOWN},
}
FITS = pd.DataFrame({"temperature": 1.0, "converged": True, "problem": None}, index=list(MEMBERS))
CORRECT = np.array([80, 82, 60, 95])


def test_the_band_decides_who_is_main_and_nobody_is_dropped():
    table = model_table(MEMBERS, FITS, CORRECT, 100, [0.75, 0.85])
    assert table["model"].tolist() == list(MEMBERS)
    assert table["group"].tolist() == ["base", "main", "others", "high"]
    assert table["accuracy"].tolist() == [0.80, 0.82, 0.60, 0.95]
    inside = table["accuracy"].between(table["accuracy_low"], table["accuracy_high"])
    assert inside.all()


def test_the_ends_of_the_band_belong_to_it():
    table = model_table(MEMBERS, FITS, CORRECT, 100, [0.80, 0.82])
    assert table["group"].tolist()[:2] == ["base", "main"]


def test_a_base_outside_the_band_is_an_error_that_names_it():
    with pytest.raises(InputError, match=r"base 'base' has an accuracy of 0.8000, outside"):
        model_table(MEMBERS, FITS, CORRECT, 100, [0.81, 0.9])


def test_pairs_are_described_by_their_models():
    models = model_table(MEMBERS, FITS, CORRECT, 100, [0.75, 0.85])
    keys = [("base", "seed"), ("seed", "weak"), ("seed", "strong"), ("base", "weak")]
    pairs = pd.DataFrame(keys, columns=["model_1", "model_2"]).assign(
        combination="logit", examples=100
    )
    table = describe(pairs, models)
    assert table["category"].tolist() == ["reinit", "arch", "dataset", "arch"]
    assert table["with_base"].tolist() == [True, False, False, True]
    assert table["main"].tolist() == [True, False, False, False]
    assert table["name_2"].tolist() == ["S", "W", "T", "W"]
    assert not {"group_1", "group_2"} & set(table)
