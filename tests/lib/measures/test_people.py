"""Error consistency with people, as Geirhos et al. (2021) published it, by our own tables.

`people.csv` counts, for three models of bethgelab/model-vs-human (branch swag, commit 93ee676),
each person, image set and condition, the images that both, one or neither got right. Published
numbers average conditions, then people, then sets.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from workflow.lib.ensembles.answers import count_pairs
from workflow.lib.measures.pairs import error_consistency, error_inconsistency, pair_table

COUNTS = Path(__file__).with_name("people.csv")
SHARED = Path(__file__).resolve().parents[4] / "shared/model-vs-human"
KAPPA = {"resnet50": 0.208, "simclr_resnet50x1": 0.179, "bagnet33": 0.137}
OBSERVED = {"resnet50": 0.665, "simclr_resnet50x1": 0.667, "bagnet33": 0.567}


def averaged(table, column):
    """Average over conditions, then people, then sets, for each model."""
    for levels in (["model", "dataset", "person"], ["model", "dataset"], ["model"]):
        table = table.groupby(levels)[column].mean().reset_index()
    return table.set_index("model")[column].to_dict()


def test_error_consistency_with_people_is_the_published_one():
    table = pd.read_csv(COUNTS, dtype={"condition": str}, keep_default_na=False)
    counts = [table[name].to_numpy() for name in ("both_right", "only_1", "only_2", "both_wrong")]
    # Where both always are right or both always wrong chance explains all: kappa counts as 0 there.
    table["kappa"] = np.nan_to_num(error_consistency(*counts))
    table["observed"] = 1 - error_inconsistency(*counts)
    assert averaged(table, "kappa") == pytest.approx(KAPPA, abs=0.0006)
    assert averaged(table, "observed") == pytest.approx(OBSERVED, abs=0.0006)
    assert table["dataset"].nunique() == 17


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the answers of people and models")
def test_all_published_numbers_follow_from_answers():
    trials = pd.read_csv(SHARED / "trials.csv.gz", dtype={"condition": str}, keep_default_na=False,
                         na_values=[""])  # fmt: skip
    left_out = pd.read_csv(SHARED / "excluded-conditions.csv", dtype=str)
    left_out = set(left_out.itertuples(index=False, name=None))
    published = pd.read_csv(SHARED / "published.csv").set_index("model")
    models = list(published.index)
    people = [column for column in trials if column.startswith("subject-")]
    rows = []
    for key, images in trials.groupby(["dataset", "condition"]):
        if key in left_out:
            continue
        tested = [name for name in people if images[name].notna().all()]
        assert len(tested) >= 4
        names = [*models, *tested]
        top = images[names].to_numpy(np.int64).T
        right = top == images["category"].to_numpy()
        counts = count_pairs(right, top, np.full(top.shape, np.nan), "confident")
        pairs = pair_table(counts, names).query("model_1 in @models and model_2 in @tested")
        rows.append(pairs.assign(dataset=key[0], condition=key[1]))
        if key[0] == "edge":  # by another implementation
            row = pairs.query("model_1 == 'resnet50'").iloc[0]
            other = right[names.index(row["model_2"])]
            kappa = cohen_kappa_score(right[models.index("resnet50")], other)
            assert row["error_consistency"] == pytest.approx(kappa, abs=1e-12)
    table = pd.concat(rows).rename(columns={"model_1": "model", "model_2": "person"})
    table["kappa"] = table["error_consistency"].fillna(0)
    table["observed"] = 1 - table["error_inconsistency"]
    table["difference"] = (table["accuracy_1"] - table["accuracy_2"]) ** 2
    for column, name in (
        ("kappa", "error_consistency"),
        ("observed", "observed_consistency"),
        ("difference", "accuracy_difference"),
    ):
        measured = averaged(table, column)
        exact = published[f"measured_{name}"].to_dict()
        assert measured == pytest.approx(exact, abs=6e-5)
        known = published[f"published_{name}"].dropna()
        assert {m: measured[m] for m in known.index} == pytest.approx(known.to_dict(), abs=0.0012)
