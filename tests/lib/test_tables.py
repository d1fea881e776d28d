import io

import pandas as pd
import pytest

from workflow.lib.tables import (
    NONE,
    UNCONVERGED,
    format_models,
    select_models,
    to_latex,
    to_markdown,
)
from workflow.scripts.tables import tables

MODELS = pd.read_csv(
    io.StringIO("""
model,name,category,group,objective,train_data,head,temperature,converged,accuracy,accuracy_low,accuracy_high
clip,CLIP,dataset,main,contrastive,WIT,lbfgs,0.9,True,0.76,0.75,0.77
seed,Seed_1,reinit,main,supervised,train,trained,1.1,False,0.7625,0.75,0.775
base,Base,base,base,,,,,True,0.762,0.752,0.772
weak,A & B,arch,others,supervised,train,trained,,False,0.5,0.48,0.52
""")
)
PAIRS = pd.read_csv(
    io.StringIO("""
model_1,model_2,category_1,category_2,with_base,mean,error_inconsistency,ensemble_accuracy
base,seed,base,reinit,True,probability,0.085,0.7731
base,seed,base,reinit,True,logit,0.085,0.1
clip,base,dataset,base,True,probability,0.2,0.83
seed,clip,reinit,dataset,False,probability,0.9,0.9
""")
).assign(
    error_inconsistency_low=lambda rows: rows["error_inconsistency"] - 0.005,
    error_inconsistency_high=lambda rows: rows["error_inconsistency"] + 0.005,
    ensemble_accuracy_low=lambda rows: rows["ensemble_accuracy"] - 0.01,
    ensemble_accuracy_high=lambda rows: rows["ensemble_accuracy"] + 0.01,
)


@pytest.fixture
def chosen() -> dict[int, pd.DataFrame]:
    return select_models(MODELS, PAIRS, "probability")


def test_each_model_is_in_one_table_in_order_of_divergence(chosen):
    assert {number: list(table["model"]) for number, table in chosen.items()} == {
        1: ["base", "seed", "clip"],
        2: [],
        3: [],
        4: ["weak"],
    }


def test_comparisons_are_those_with_the_base_by_the_wanted_mean(chosen):
    main = chosen[1].set_index("model")
    assert main.at["seed", "ensemble_accuracy"] == 0.7731
    assert main.at["clip", "error_inconsistency"] == 0.2
    assert main.loc["base", ["error_inconsistency", "ensemble_accuracy_high"]].isna().all()
    logit = select_models(MODELS, PAIRS, "logit")[1].set_index("model")
    assert logit.at["seed", "ensemble_accuracy"] == 0.1


def test_a_group_without_a_table_is_an_error():
    with pytest.raises(ValueError, match="middling"):
        select_models(MODELS.assign(group="middling"), PAIRS, "probability")


def test_cells_are_as_people_read_them(chosen):
    cells, notes = format_models(chosen[1])
    rows = [" | ".join(row) for row in cells.itertuples(index=False)]
    assert rows == [
        "Base | base | – | – | – | – | 76.20 ± 1.00 | – | –",
        "Seed_1 | reinit | supervised | train | trained | 1.10† "
        "| 76.25 ± 1.25 | 8.50 ± 0.50 | 77.31 ± 1.00",
        "CLIP | dataset | contrastive | WIT | lbfgs | 0.90 "
        "| 76.00 ± 1.00 | 20.00 ± 0.50 | 83.00 ± 1.00",
    ]
    assert notes == [f"† {UNCONVERGED}"]


def test_no_dagger_without_a_temperature(chosen):
    cells, notes = format_models(chosen[4])
    assert list(cells["Temperature"]) == ["–"]
    assert notes == []


def test_a_share_without_an_interval_stands_alone(chosen):
    cells, _ = format_models(chosen[4].assign(accuracy_low=float("nan")))
    assert list(cells["Accuracy (%)"]) == ["50.00"]


def test_markdown():
    cells = pd.DataFrame({"Model": ["a|b_c"], "Accuracy (%)": ["76.20 ± 1.00"]})
    assert to_markdown(cells, ["† A note."]) == (
        "| Model | Accuracy (%) |\n| --- | ---: |\n| a\\|b\\_c | 76.20 ± 1.00 |\n\n† A note.\n"
    )


def test_latex():
    cells = pd.DataFrame({"Model": ["[A] & 50%_x"], "Accuracy (%)": ["76.20† ± 1.00"]})
    assert to_latex(cells, ["† A note."]).splitlines() == [
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"Model & Accuracy (\%) \\",
        r"\midrule",
        r"{[}A] \& 50\%\_x & 76.20$^\dagger$ $\pm$ 1.00 \\",
        r"\bottomrule",
        r"\multicolumn{2}{l}{$^\dagger$ A note.} \\",
        r"\end{tabular}",
    ]


@pytest.mark.parametrize(
    ("character", "latex"),
    [(c, "\\" + c) for c in "&%$#_{}"]
    + [("\\", r"\textbackslash{}"), ("~", r"\textasciitilde{}"), ("^", r"\textasciicircum{}")],
)
def test_latex_escapes(character, latex):
    cells = pd.DataFrame({"Model": [f"x{character}y"]})
    assert f"\nx{latex}y \\\\\n" in to_latex(cells, [])


def test_an_empty_table_says_so(chosen):
    cells, notes = format_models(chosen[2])
    assert notes == [NONE]
    header, rule, *rest = to_markdown(cells, notes).splitlines()
    assert header.startswith("| Model | Category |") and rule.startswith("| ---")
    assert rest == ["", NONE]
    latex = to_latex(cells, notes)
    assert "Model & Category" in latex and NONE in latex


def test_files_are_complete_and_exact(tmp_path):
    MODELS.to_csv(tmp_path / "models.tsv", sep="\t", index=False)
    PAIRS.to_csv(tmp_path / "pairs.tsv", sep="\t", index=False)
    outputs = {
        f"table{number}_{kind}": tmp_path / f"table{number}.{kind}"
        for number in range(1, 5)
        for kind in ("tsv", "md", "tex")
    }
    tables(
        models=tmp_path / "models.tsv",
        pairs=tmp_path / "pairs.tsv",
        mean="probability",
        **outputs,
    )
    written = pd.read_csv(outputs["table1_tsv"], sep="\t", index_col="model")
    assert written.at["seed", "accuracy"] == 0.7625
    assert written.at["seed", "error_inconsistency"] == 0.085
    assert pd.read_csv(outputs["table3_tsv"], sep="\t").columns.to_list() == (
        written.reset_index().columns.to_list()
    )
    assert "| A & B | arch |" in outputs["table4_md"].read_text()
    assert r"A \& B & arch" in outputs["table4_tex"].read_text()
