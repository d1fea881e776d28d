"""The summary states the claims that the study has tables for, and no others."""

import numpy as np
import pandas as pd

from workflow.lib.study.categories import CATEGORIES
from workflow.scripts.summary import summary


def run(tmp_path, **tables) -> tuple[pd.DataFrame, str]:
    inconsistency = np.linspace(0.05, 0.2, 15)
    pairs = pd.DataFrame(
        {"with_base": True, "main": True, "combination": "logit",
         "category": np.repeat(CATEGORIES, 3),
         "error_inconsistency": inconsistency, "improvement": inconsistency / 3,
         "conversion_rate": 0.7 - inconsistency}
    )  # fmt: skip
    other = pairs.assign(combination="probability", error_inconsistency=inconsistency[::-1])
    pd.concat([pairs, other]).to_csv(tmp_path / "pairs.tsv", sep="\t", index=False)
    files = {"findings": [], "classes": [], "first": [], "features": [], "downstream": []}
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False)
        files[name] = str(tmp_path / f"{name}.tsv")
    summary(
        pairs=str(tmp_path / "pairs.tsv"), tsv=str(tmp_path / "s.tsv"), md=str(tmp_path / "s.md"),
        study="small", title="", combination="logit", **files,
    )  # fmt: skip
    return pd.read_csv(tmp_path / "s.tsv", sep="\t"), (tmp_path / "s.md").read_text()


def test_pairs_alone_answer_three_claims_of_the_combination_asked_for(tmp_path):
    table, page = run(tmp_path)
    assert table["section"].tolist() == ["figure1", "figure2", "figure2"]
    assert table["holds"].tolist() == ["yes", "yes", "no"]
    assert page.startswith("# small\n\n## Which of the paper's claims hold")
    assert "Ensembles take the mean logit." in page
    assert page.count("**Does not hold") == 2  # in the table and below it
    assert "slope 0.33" in page


def test_further_tables_answer_further_claims(tmp_path):
    classes = pd.DataFrame(
        {"what": "class", "pair": ["a + b"] * 3 + ["a + c"] * 3, "name_1": "A",
         "name_2": ["B"] * 3 + ["C"] * 3,
         "category": ["reinit"] * 3 + ["dataset"] * 3, "specialist": [None] * 3 + ["a", "c", None]}
    )  # fmt: skip
    table, page = run(tmp_path, classes=classes)
    assert table["section"].tolist()[3:] == ["figure4"]
    assert table["holds"].tolist()[3] == "yes"
    assert "A and C 2 of 3" in page
