import io

import pandas as pd
import pytest

from workflow.lib.outputs.tables import read_table
from workflow.lib.run.errors import InputError
from workflow.lib.show.tables import (
    NONE,
    UNCONVERGED,
    add_published,
    compare_with_base,
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
model_1,model_2,category_1,category_2,with_base,combination,error_inconsistency,ensemble_accuracy
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

# A publication in which the model called CLIP-S here is CLIP.
PUBLISHED = MODELS.iloc[[0, 2]].assign(
    model=["clip-s", "resnet"], name=["CLIP-S", "ResNet"], accuracy=[0.7567, 0.762]
)
PUBLISHED_PAIRS = PAIRS.iloc[[2]].assign(
    model_1="resnet", model_2="clip-s", category_1="base", category_2="dataset",
    combination="unstated", error_inconsistency=0.1687, ensemble_accuracy=0.8042,
)  # fmt: skip


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


def test_comparisons_are_those_with_the_base_by_the_wanted_combination(chosen):
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


def test_published_numbers_stand_beside_ours_row_by_row(chosen):
    published = compare_with_base(PUBLISHED, PUBLISHED_PAIRS)
    table = add_published(chosen[1], published, {"clip": "CLIP-S", "seed": "ResNet"})
    rows = table.set_index("model")
    assert list(rows.index) == ["base", "seed", "clip"]
    columns = ["paper_accuracy", "paper_error_inconsistency", "paper_ensemble_accuracy"]
    assert rows.loc["clip", columns].tolist() == [0.7567, 0.1687, 0.8042]
    assert rows.at["seed", "paper_accuracy"] == 0.762
    assert rows.loc["seed", columns[1:]].isna().all()  # the paper's base has no pair with itself
    assert rows.loc["base", columns].isna().all()
    assert rows.at["clip", "accuracy"] == 0.76
    cells, _ = format_models(table)
    assert list(cells)[6:] == [
        "Accuracy (%)",
        "Paper: accuracy (%)",
        "Error inconsistency (%)",
        "Paper: error inconsistency (%)",
        "Ensemble accuracy (%)",
        "Paper: ensemble accuracy (%)",
    ]
    assert " | ".join(cells.iloc[2, 6:]) == (
        "76.00 ± 1.00 | 75.67 | 20.00 ± 0.50 | 16.87 | 83.00 ± 1.00 | 80.42"
    )
    assert " | ".join(cells.iloc[0, 6:]) == "76.20 ± 1.00 | – | – | – | – | –"


def test_a_row_that_was_not_published_is_named(chosen):
    published = compare_with_base(PUBLISHED, PUBLISHED_PAIRS)
    with pytest.raises(InputError, match=r"models\.clip\.paper: .* 'CLIP-S'\?"):
        add_published(chosen[1], published, {"clip": "CLIPS"})


def test_published_names_may_repeat_unless_they_are_asked_for(chosen):
    published = compare_with_base(PUBLISHED, PUBLISHED_PAIRS)
    twice = pd.concat([published, published, published.assign(name="ResNet", accuracy=0.5)])
    table = add_published(chosen[1], twice, {"clip": "CLIP-S"}).set_index("model")
    assert table.at["clip", "paper_accuracy"] == 0.7567
    with pytest.raises(InputError, match=r"models\.seed\.paper: .* several models 'ResNet'"):
        add_published(chosen[1], twice, {"seed": "ResNet"})


def test_a_base_alone_is_compared_with_nothing(tmp_path):
    (tmp_path / "pairs.tsv").write_text("\t".join(PAIRS) + "\n")
    rows = compare_with_base(MODELS.iloc[[2]], read_table(tmp_path / "pairs.tsv"))
    assert rows["model"].tolist() == ["base"]
    assert rows["error_inconsistency"].isna().all()


def test_a_lopsided_interval_is_written_by_its_ends(chosen):
    # Wilson: 40 of 40 right.
    cells, _ = format_models(chosen[4].assign(accuracy=1, accuracy_low=0.9124, accuracy_high=1))
    assert list(cells["Accuracy (%)"]) == ["100.00 (91.24 to 100.00)"]


def test_small_temperatures_keep_their_digits(chosen):
    cells, _ = format_models(chosen[4].assign(temperature=0.00432, converged=True))
    assert list(cells["Temperature"]) == ["0.0043"]


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


def write(folder, paper, published_models=(), published_pairs=(), added=()) -> dict:
    MODELS.to_csv(folder / "models.tsv", sep="\t", index=False)
    PAIRS.to_csv(folder / "pairs.tsv", sep="\t", index=False)
    outputs = {
        f"table{number}_{kind}": folder / f"table{number}.{kind}"
        for number in range(1, 5)
        for kind in ("tsv", "md", "tex")
    }
    tables(
        models=folder / "models.tsv",
        pairs=folder / "pairs.tsv",
        added=added,
        published_models=published_models,
        published_pairs=published_pairs,
        combination="probability",
        paper=paper,
        tables=list(map(str, outputs.values())),
    )
    return outputs


def test_files_are_complete_and_exact(tmp_path):
    outputs = write(tmp_path, {})
    written = pd.read_csv(outputs["table1_tsv"], sep="\t", index_col="model")
    assert written.at["seed", "accuracy"] == 0.7625
    assert written.at["seed", "error_inconsistency"] == 0.085
    assert pd.read_csv(outputs["table3_tsv"], sep="\t").columns.to_list() == (
        written.reset_index().columns.to_list()
    )
    assert "| A & B | arch |" in outputs["table4_md"].read_text()
    assert r"A \& B & arch" in outputs["table4_tex"].read_text()
    assert not any("Paper" in path.read_text() for path in outputs.values())


def test_files_have_the_published_column_where_a_model_is_compared(tmp_path):
    PUBLISHED.to_csv(tmp_path / "theirs.tsv", sep="\t", index=False)
    PUBLISHED_PAIRS.to_csv(tmp_path / "compared.tsv", sep="\t", index=False)
    outputs = write(
        tmp_path, {"clip": "CLIP-S"}, tmp_path / "theirs.tsv", tmp_path / "compared.tsv"
    )
    written = pd.read_csv(outputs["table1_tsv"], sep="\t", index_col="model")
    assert written["paper_accuracy"].dropna().to_dict() == {"clip": 0.7567}
    assert "| 76.00 ± 1.00 | 75.67 |" in outputs["table1_md"].read_text()
    assert "76.00 $\\pm$ 1.00 & 75.67 &" in outputs["table1_tex"].read_text()
    assert "Paper: accuracy" in outputs["table2_md"].read_text()  # though it is empty


def test_what_a_model_adds_stands_in_a_column_of_its_own(tmp_path):
    rows = [("seed", "base", 0.0123, 0.01, 0.0146), ("seed", "best", -0.001, -0.003, 0.001)]
    columns = ["model", "reference", "added", "added_low", "added_high"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "added.tsv", sep="\t", index=False)
    outputs = write(tmp_path, {}, added=tmp_path / "added.tsv")
    written = pd.read_csv(outputs["table1_tsv"], sep="\t", index_col="model")
    assert written.at["seed", "added"] == 0.0123
    assert written.at["seed", "added_best_low"] == -0.003
    assert written["added"].notna().sum() == 1
    markdown = outputs["table1_md"].read_text()
    assert "Adds to the base (0.001 nats)" in markdown
    assert "| 12.3 ± 2.3 | −1.0 ± 2.0 |" in markdown
