"""Every headline number under every variant: the study's own ones agree with its other tables."""

import h5py
import numpy as np
import pandas as pd
import pytest

from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.ensembles.pairs import count_pairs
from workflow.lib.measures.pairs import pair_table
from workflow.lib.measures.statistics import slope
from workflow.lib.outputs.store import write
from workflow.scripts.figures.sensitivity import sensitivity
from workflow.scripts.variants import of_features, of_greedy, variants

KEYS = ["base", "a", "b", "c", "d", "e"]
MODELS = pd.DataFrame(
    {"model": [*KEYS, "weak"], "group": ["base", *["main"] * 5, "others"],
     "category": ["base", "reinit", "reinit", "arch", "arch", "dataset", "dataset"]}
)  # fmt: skip
CHOSEN = {"mean": "logit", "protocol": "held-out", "statistic": "covariance", "direction": "lowest"}


def greedy() -> pd.DataFrame:
    return pd.DataFrame(
        {"protocol": protocol, "mean": mean, "replacement": replacement, "base": base,
         "step": step, "gain": step * gain}
        for protocol in ("held-out", "paper") for mean in ("probability", "logit")
        for replacement in (False, True) for base, gain in (("x", 0.01), ("y", 0.03))
        for step in (0, 1, 2)
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


@pytest.fixture
def table(tmp_path) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 4
    split = Split(np.array([f"{i:03d}" for i in range(400)]), labels)
    Manifest(tuple("wxyz"), {"test": split}).write(tmp_path / "manifest.tsv")
    paths = []
    shared = rng.normal(size=(400, 4))
    for place, key in enumerate([*KEYS, "weak"]):
        logits = (shared + (0.3 + 0.2 * place) * rng.normal(size=(400, 4))).astype(np.float32)
        logits[np.arange(400), labels] += 2
        path = tmp_path / key / "test.h5"
        write(path, split, lambda rows, lo=logits: (lo[rows], lo[rows]), {})
        paths.append(str(path))
    temperatures = np.linspace(0.5, 2, 7)
    pd.DataFrame({"model": MODELS["model"], "temperature": temperatures}).to_csv(
        tmp_path / "calibration.tsv", sep="\t", index=False
    )
    MODELS.to_csv(tmp_path / "models.tsv", sep="\t", index=False)
    greedy().to_csv(tmp_path / "greedy.tsv", sep="\t", index=False)
    probes().to_csv(tmp_path / "probes.tsv", sep="\t", index=False)
    variants(
        manifest=str(tmp_path / "manifest.tsv"), calibration=str(tmp_path / "calibration.tsv"),
        models=str(tmp_path / "models.tsv"), outputs=paths, greedy=str(tmp_path / "greedy.tsv"),
        features=[str(tmp_path / "probes.tsv")], table=str(tmp_path / "variants.tsv"),
        members=list(MODELS["model"]), chosen=CHOSEN, target=1.0, threads=1,
    )  # fmt: skip
    return pd.read_csv(tmp_path / "variants.tsv", sep="\t")


def test_the_slope_is_that_of_the_main_pairs_with_the_base(table, tmp_path):
    logits = []
    for key in KEYS:
        with h5py.File(tmp_path / key / "test.h5") as file:
            logits.append(file["logits"][:])
    temperatures = np.linspace(0.5, 2, 7)[:6]
    for kind, own in (("calibration", temperatures), ("none", np.ones(6))):
        pairs = pair_table(count_pairs(logits, np.arange(400) % 4, own), KEYS)
        pairs = pairs[(pairs["model_1"] == "base") & (pairs["mean"] == "logit")]
        expected = slope(pairs["error_inconsistency"], pairs["improvement"])
        rows = table[(table["number"] == "slope") & (table["temperature"] == kind)]
        row = rows[rows["mean"] == "logit"]
        found = row[["value", "value_low", "value_high"]].to_numpy()[0]
        np.testing.assert_allclose(found, expected)


def test_one_variant_of_each_number_is_the_study_s_own(table):
    assert len(table) == 3 * 2 * 4 + 8 + 4 * 2
    own = table[table["chosen"]]
    assert own["number"].value_counts().to_dict() == {
        "slope": 1, "correlation": 1, "improvement": 1, "conversion_rate": 1, "greedy_gain": 1,
        "dimensions": 2,
    }  # fmt: skip
    row = own[own["number"] == "slope"].iloc[0]
    assert (row["mean"], row["temperature"]) == ("logit", "calibration")


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
