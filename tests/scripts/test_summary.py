"""The summary states the claims that the study has tables for, and no others."""

import numpy as np
import pandas as pd

from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.outputs.arrays import write_arrays
from workflow.lib.study.categories import CATEGORIES
from workflow.scripts.summary import summary

KEYS = [f"m{place}" for place in range(15)]


def run(tmp_path, bases=(), columns=(), **files) -> tuple[pd.DataFrame, str]:
    inconsistency = np.linspace(0.05, 0.2, 15)
    pairs = pd.DataFrame(
        {"model_1": "base", "name_1": "Base", "category_1": "base", "accuracy_1": 0.8,
         "model_2": KEYS, "name_2": KEYS, "category_2": np.repeat(CATEGORIES, 3),
         "accuracy_2": 0.8 + 0.01 * np.random.default_rng(0).normal(size=15),
         "main": True, "combination": "logit",
         "error_inconsistency": inconsistency, "error_consistency": 1 - inconsistency,
         "improvement": inconsistency / 3, "conversion_rate": 0.7 - inconsistency}
    )  # fmt: skip
    other = pairs.assign(combination="probability", error_inconsistency=inconsistency[::-1])
    table = pd.concat([pairs, other]).drop(columns=list(columns))
    table.to_csv(tmp_path / "pairs.tsv", sep="\t", index=False)
    models = pd.DataFrame({"model": ["base", *KEYS], "name": ["Base", *KEYS]})
    models.to_csv(tmp_path / "models.tsv", sep="\t", index=False)
    tables = ("findings", "answers", "manifest", "weaker", "features", "probes", "right")
    tables += ("downstream", "updates", "update_classes")
    arguments = {name: [] for name in tables} | files
    summary(
        pairs=str(tmp_path / "pairs.tsv"), models=str(tmp_path / "models.tsv"),
        tsv=str(tmp_path / "s.tsv"), md=str(tmp_path / "s.md"),
        study="small", title="", combination="logit", bases=list(bases), **arguments,
    )  # fmt: skip
    return pd.read_csv(tmp_path / "s.tsv", sep="\t"), (tmp_path / "s.md").read_text()


def test_pairs_alone_answer_three_claims_of_the_combination_asked_for(tmp_path):
    table, page = run(tmp_path)
    assert table["section"].tolist() == ["figure1", "figure2", "figure2"]
    assert table["holds"].tolist() == ["yes", "yes", "no"]
    assert page.startswith("# small\n\n## Which of the paper's claims hold")
    assert "Ensembles take the mean logit." in page
    assert page.count("**Does not hold") == 2  # in the table and below it
    assert "Slope 0.33" in page
    assert (table["p_holm"] >= table["p"]).all()


def test_claims_of_ensembles_are_left_out_where_there_are_none(tmp_path):
    columns = ["improvement", "conversion_rate", "error_consistency"]
    table, _ = run(tmp_path, columns=columns)
    assert table["section"].tolist() == ["figure1"]


def test_answers_and_further_tables_answer_further_claims(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=500)
    top = np.where(rng.random((16, 500)) < 0.8, labels, (labels + 1) % 3)
    split = Split(np.array([f"{place}.png" for place in range(500)]), labels)
    Manifest(("a", "b", "c"), {"test": split}).write(tmp_path / "manifest.tsv")
    write_arrays(tmp_path / "answers.npz", models=["base", *KEYS], top=top)
    row = {"what": "base", "weights": "equal", "base": "base", "model": "m0", "weight": 0.5}
    row |= {"gain": 0.01, "gain_low": 0.005, "gain_high": 0.015, "p": 1e-4}
    rows = [row | {"what": what, "weights": weights}
            for what in ("base", "mean") for weights in ("equal", "chosen")]  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "weaker.tsv", sep="\t", index=False)
    files = {"answers": "answers.npz", "manifest": "manifest.tsv", "weaker": "weaker.tsv"}
    table, page = run(tmp_path, **{name: str(tmp_path / file) for name, file in files.items()})
    assert table["section"].tolist()[3:] == ["figure4", "figure5"]
    assert table["holds"].tolist()[3:] == ["unclear", "yes"]
    assert "there is no reseeded pair" in page
    assert "Base with 50 % of m0 +1.00" in page
