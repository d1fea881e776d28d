from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from workflow.lib.measures import pairs as metrics
from workflow.lib.measures.pairs import PairCounts
from workflow.lib.measures.statistics import fit_line
from workflow.lib.run.errors import InputError
from workflow.lib.show.tables import select_models
from workflow.scripts.pairs import describe, model_table
from workflow.scripts.published import correct, published, slugs

ROOT = Path(__file__).parents[2]
STUDY = yaml.safe_load((ROOT / "studies/paper.yaml").read_text())
MISPRINTED = "resnet-50-learning-rate-0-2"


def run(folder: Path, **changes) -> tuple[pd.DataFrame, pd.DataFrame]:
    settings = STUDY["published"] | {"table": ROOT / STUDY["published"]["table"]}
    settings |= {"band": STUDY["band"]} | changes
    files = {name: folder / f"{name}.tsv" for name in ("models", "pairs")}
    published(**settings, **files)
    return tuple(pd.read_csv(path, sep="\t") for path in files.values())


@pytest.fixture(scope="module")
def paper(tmp_path_factory) -> tuple[pd.DataFrame, pd.DataFrame]:
    return run(tmp_path_factory.mktemp("paper"))


@pytest.fixture(scope="module")
def main(paper) -> pd.DataFrame:
    pairs = paper[1]
    return pairs[pairs["main"]].set_index("model_2")


def line(pairs: pd.DataFrame) -> tuple[float, float]:
    """Slope in points per unit of inconsistency, and correlation, to the digits that are known."""
    slope, _, r = fit_line(pairs["error_inconsistency"], pairs["improvement"])
    return round(100 * slope, 1), round(r, 3)


def test_improvement_grows_with_inconsistency_as_published(main):
    assert line(main.drop(MISPRINTED)) == (44.0, 0.989)
    assert line(main) == (43.8, 0.988)


def test_the_misprinted_cell_matters_and_is_noticed(tmp_path, caplog):
    _, pairs = run(tmp_path, corrections=[])
    assert line(pairs[pairs["main"]]) == (47.5, 0.857)
    (message,) = caplog.messages
    assert "ResNet-50 (Learning Rate 0.2)" in message
    impossible = pairs.set_index("model_2").loc[MISPRINTED]
    assert impossible["conversion_rate"] < 0
    assert impossible[["conversion_rate_low", "conversion_rate_high"]].isna().all()


def test_the_corrected_numbers_contradict_nothing(tmp_path, caplog):
    run(tmp_path)
    assert caplog.messages == []


def test_mean_inconsistency_of_each_category(main):
    means = main.groupby("category")["error_inconsistency"].mean().round(3)
    assert means.to_dict() == {
        "reinit": 0.085,
        "hparam": 0.095,
        "arch": 0.117,
        "fwork": 0.126,
        "dataset": 0.184,
    }


def test_every_published_model_is_there_once(paper):
    models, pairs = paper
    assert models["model"].is_unique
    assert models["group"].value_counts().to_dict() == {
        "base": 1,
        "main": 50,
        "high": 7,
        "low": 2,
        "others": 25,
    }
    assert len(pairs) == 59  # table 4 has nothing to pair
    assert set(pairs["model_1"]) == {"resnet-50"}
    assert set(pairs["model_2"]) < set(models["model"])
    assert pairs["main"].sum() == 50


def test_the_tables_have_the_columns_of_a_measured_study(paper):
    member = {"set": "main", "objective": "", "train_data": "", "head": ""}
    members = {
        "base": member | {"name": "Base", "category": "base"},
        "seed": member | {"name": "Seed", "category": "reinit"},
    }
    fits = pd.DataFrame(
        {"temperature": 1.0, "converged": True, "problem": None}, index=list(members)
    )
    gains = {name: np.ones((2, 2), int) for name in ("probability", "logit")}
    counts = PairCounts(10, np.array([7, 7]), np.array([[7, 6], [6, 7]]), gains, gains)
    models = model_table(members, fits, counts.correct, counts.examples, [0, 1])
    pairs = describe(metrics.pair_table(counts, list(members)), models)
    assert list(paper[0]) == list(models)
    assert list(paper[1]) == list(pairs)


def test_a_row_worked_out_by_hand(main):
    # b = 0.7620, a = 0.7620, d = 0.0850, e = 0.7731
    row = main.loc["resnet-50-reinit"]
    expected = {
        "accuracy_1": 0.7620,
        "accuracy_2": 0.7620,
        "both_right": 0.7195,
        "both_wrong": 0.1955,
        "only_1": 0.0425,
        "only_2": 0.0425,
        "error_inconsistency": 0.0850,
        "ensemble_accuracy": 0.7731,
        "improvement": 0.0111,
        "conversion_rate": 0.0536 / 0.0850,
        # Chance agreement is 0.762² + 0.238² = 0.637288; at best the two always agree.
        "error_consistency": (0.915 - 0.637288) / 0.362712,
        "error_consistency_max": 1.0,
        "error_consistency_min": (0.524 - 0.637288) / 0.362712,
    }
    np.testing.assert_allclose(row[list(expected)].astype(float), list(expected.values()))


def test_shares_add_up_and_lie_between_0_and_1(paper):
    _, pairs = paper
    shares = pairs[["both_right", "both_wrong", "only_1", "only_2"]]
    assert ((shares >= 0) & (shares <= 1)).all(axis=None)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_allclose(pairs["both_right"] + pairs["only_2"], pairs["accuracy_2"])
    np.testing.assert_allclose(pairs["only_1"] + pairs["only_2"], pairs["error_inconsistency"])
    kappa = pairs["error_consistency"]
    assert (kappa >= pairs["error_consistency_min"]).all()
    assert (kappa <= pairs["error_consistency_max"]).all()


@pytest.mark.parametrize(
    "column",
    [
        "both_right",
        "both_wrong",
        "only_1",
        "only_2",
        "error_inconsistency",
        "error_consistency",
        "ensemble_accuracy",
        "conversion_rate",
    ],
)
def test_intervals_hold_their_value(paper, column):
    _, pairs = paper
    assert (pairs[f"{column}_low"] < pairs[column]).all()
    assert (pairs[column] < pairs[f"{column}_high"]).all()


def test_improvement_has_no_interval(paper):
    _, pairs = paper
    assert pairs["improvement"].notna().all()
    assert pairs[["improvement_low", "improvement_high"]].isna().all(axis=None)


def test_intervals_narrow_with_the_number_of_examples(paper, tmp_path):
    wide, _ = run(tmp_path, examples=500)
    narrow, _ = paper
    ratio = (wide["accuracy_high"] - wide["accuracy_low"]) / (
        narrow["accuracy_high"] - narrow["accuracy_low"]
    )
    # Nearly the square root of 100.
    np.testing.assert_allclose(ratio, 10, rtol=0.02)


def test_a_model_outside_the_band_is_not_lost(tmp_path):
    models, pairs = run(tmp_path, band=[0.75, 0.78])
    groups = models.set_index("model")["group"]
    assert groups["sk-resnet-34"] == "main"
    assert groups["vgg19-batchnorm"] == "others"  # 74.22 %
    assert not pairs.set_index("model_2").at["vgg19-batchnorm", "main"]
    assert sum(len(table) for table in select_models(models, pairs, "unstated").values()) == 85


def test_correct_changes_that_cell_alone():
    rows = pd.DataFrame({"model": ["a", "b"], "accuracy": ["70", "71"]})
    fixed = correct(rows, [{"model": "b", "column": "accuracy", "value": 77.35}])
    assert fixed.to_numpy().tolist() == [["a", "70"], ["b", "77.35"]]
    assert rows.at[1, "accuracy"] == "71"


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ({"model": "ResNet50", "column": "accuracy"}, "no model 'ResNet50'.*'ResNet-50'"),
        ({"model": "ResNet-50", "column": "acuracy"}, "no column 'acuracy'.*'accuracy'"),
    ],
)
def test_a_correction_of_nothing_is_an_error_that_names_the_nearest(cell, message):
    rows = pd.DataFrame({"model": ["ViT", "ResNet-50"], "accuracy": ["70", "71"]})
    with pytest.raises(InputError, match=message):
        correct(rows, [cell | {"value": 1}])


def test_slugs_are_unique():
    names = pd.Series(["ViT-B/16", "ViT B 16", "ResNet-50 (LR 0.2, WD 0.1)"])
    assert list(slugs(names)) == ["vit-b-16", "vit-b-16-2", "resnet-50-lr-0-2-wd-0-1"]
