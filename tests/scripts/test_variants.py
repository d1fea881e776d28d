"""Every headline number under every variant: the study's own ones agree with its other tables."""

import itertools

import numpy as np
import pandas as pd
import pytest

from workflow.lib.ensembles.combine import COMBINATIONS
from workflow.lib.ensembles.counts import write_counts
from workflow.lib.ensembles.logits import Logits
from workflow.lib.ensembles.pairs import count_pairs
from workflow.lib.measures.pairs import pair_table
from workflow.lib.measures.statistics import slope
from workflow.lib.outputs.tables import write_table
from workflow.scripts.figures.sensitivity import sensitivity
from workflow.scripts.variants import of_features, of_greedy, variants

KEYS = ["base", "a", "b", "c", "d", "e"]
MODELS = pd.DataFrame(
    {"model": [*KEYS, "weak"], "name": [*KEYS, "weak"], "group": ["base", *["main"] * 5, "others"],
     "category": ["base", "reinit", "reinit", "arch", "arch", "dataset", "dataset"]}
)  # fmt: skip
CHOSEN = {"combination": "logit", "temperature": "calibration", "protocol": "held-out",
          "statistic": "covariance", "direction": "lowest"}  # fmt: skip


def greedy() -> pd.DataFrame:
    return pd.DataFrame(
        {"protocol": protocol, "combination": combination, "replacement": replacement, "base": base,
         "step": step, "gain": step * gain}
        for protocol in ("held-out", "paper") for combination in COMBINATIONS
        for replacement in (False, True) for base, gain in (("x", 0.01), ("y", 0.03))
        for step in (0, 1, 2)
    )  # fmt: skip


def scored() -> pd.DataFrame:
    """Accuracies and conversion rates of pairs under combinations that are not counted."""
    return pd.DataFrame(
        {"models": f"{a} + {b}", "kind": "pair", "combination": combination, "score": score,
         "value": value}
        for a, b in itertools.combinations(MODELS["model"], 2)
        for combination in ("weighted", "confident")
        for score, value in (("accuracy", 0.9), ("conversion_rate", 0.6))
    )  # fmt: skip


def probes() -> pd.DataFrame:
    shares = {"model": "a", "what": "share", "share": 100, "accuracy": 0.8}
    compressed = [
        {"model": model, "what": "compression", "statistic": statistic, "direction": direction,
         "dimensions": k, "accuracy": k / 40 * (1 if direction == "lowest" else 0.5)}
        for model in ("a", "b", "e") for statistic in ("covariance", "correlation")
        for direction in ("lowest", "highest") for k in (16, 32)
    ]  # fmt: skip
    return pd.DataFrame([shares, *compressed])


@pytest.fixture(scope="module")
def counted():
    """Counts of seven models at three kinds of temperatures."""
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 4
    shared = rng.normal(size=(400, 4))
    arrays = []
    for place in range(7):
        logits = (shared + (0.3 + 0.2 * place) * rng.normal(size=(400, 4))).astype(np.float32)
        logits[np.arange(400), labels] += 2
        arrays.append(logits)
    fitted = np.linspace(0.5, 2, 7)
    kinds = {"none": np.ones(7), "calibration": fitted, "test": 1.1 * fitted}
    return {kind: count_pairs(Logits(arrays, labels, own)) for kind, own in kinds.items()}


@pytest.fixture
def table(counted, tmp_path) -> pd.DataFrame:
    for name, made in (("models", MODELS), ("greedy", greedy()), ("probes", probes())):
        write_table(tmp_path / f"{name}.tsv", made)
    write_counts(tmp_path / "counts.npz", list(MODELS["model"]), counted)
    write_table(tmp_path / "scores.tsv", scored())
    variants(
        counts=str(tmp_path / "counts.npz"), models=str(tmp_path / "models.tsv"),
        scores=str(tmp_path / "scores.tsv"), greedy=str(tmp_path / "greedy.tsv"),
        features=[str(tmp_path / "probes.tsv")],
        table=str(tmp_path / "variants.tsv"), chosen=CHOSEN, target=1.0, bases=["base"],
    )  # fmt: skip
    return pd.read_csv(tmp_path / "variants.tsv", sep="\t")


def test_the_slope_is_that_of_the_main_pairs_with_the_base(table, counted):
    for kind, counts in counted.items():
        pairs = pair_table(counts, list(MODELS["model"]))
        pairs = pairs[(pairs["model_1"] == "base") & (pairs["combination"] == "logit")]
        pairs = pairs[pairs["model_2"] != "weak"]
        expected = slope(pairs["error_inconsistency"], pairs["improvement"])
        rows = table[(table["number"] == "slope") & (table["temperature"] == kind)]
        row = rows[rows["combination"] == "logit"]
        found = row[["value", "value_low", "value_high"]].to_numpy()[0]
        np.testing.assert_allclose(found, expected)


def test_one_variant_of_each_number_is_the_study_s_own(table):
    assert len(table) == 3 * 2 * 4 + 2 * 4 + 8 + 4 * 2
    own = table[table["chosen"]]
    assert own["number"].value_counts().to_dict() == {
        "slope": 1, "correlation": 1, "improvement": 1, "conversion_rate": 1, "greedy_gain": 1,
        "dimensions": 2,
    }  # fmt: skip
    row = own[own["number"] == "slope"].iloc[0]
    assert (row["combination"], row["temperature"]) == ("logit", "calibration")


def test_further_combinations_are_compared_with_the_mean_of_their_members(table, counted):
    pairs = pair_table(counted["calibration"], list(MODELS["model"]))
    pairs = pairs[(pairs["model_1"] == "base") & (pairs["combination"] == "logit")]
    pairs = pairs[pairs["model_2"] != "weak"]
    gained = 0.9 - (pairs["accuracy_1"] + pairs["accuracy_2"]) / 2
    own = table[table["combination"] == "weighted"].set_index("number")
    assert own.at["improvement", "value"] == pytest.approx(gained.mean())
    assert own.at["slope", "value"] == pytest.approx(slope(pairs["error_inconsistency"], gained)[0])
    assert own.at["conversion_rate", "value"] == pytest.approx(0.6)
    assert set(own["temperature"]) == {"calibration"}


def test_the_greedy_gain_is_of_the_last_step_averaged_over_bases():
    rows = pd.DataFrame(of_greedy(greedy()))
    assert len(rows) == 8
    np.testing.assert_allclose(rows["value"], 0.04)


def test_dimensions_by_category():
    rows = pd.DataFrame(of_features(probes(), MODELS.set_index("model"), 1.0))
    lowest = rows[(rows["statistic"] == "covariance") & (rows["direction"] == "lowest")]
    assert lowest["category"].tolist() == ["reinit", "dataset"]
    np.testing.assert_allclose(lowest["value"], 32)  # 32 / 40 is the base's 0.8
    assert rows.loc[rows["direction"] == "highest", "value"].isna().all()


def test_it_is_drawn_with_all_and_with_pairs_alone(table, tmp_path):
    files = {kind: str(tmp_path / f"s.{kind}") for kind in ("pdf", "svg", "png", "tsv")}
    for rows in (table, table[table["number"].isin(["slope", "correlation"])]):
        rows.to_csv(tmp_path / "rows.tsv", sep="\t", index=False)
        sensitivity(variants=str(tmp_path / "rows.tsv"), **files)
        assert (tmp_path / "s.png").stat().st_size > 500
