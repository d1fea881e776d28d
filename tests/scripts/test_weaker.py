"""From outputs files to what the best weaker model adds, with weights chosen on held-out images."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from tests.scripts.test_greedy import make_study
from workflow.scripts.weaker import WEIGHTS, mean_gain, weaker


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study"))


def run(study, folder, **changes) -> pd.DataFrame:
    keys = ("manifest", "calibration", "selected", "scored", "models", "splits", "pool")
    arguments = {key: study[0][key] for key in keys} | {"bases": ["strong"]} | changes
    weaker(table=str(folder / "weaker.tsv"), combination="probability", **arguments)
    return pd.read_csv(folder / "weaker.tsv", sep="\t")


def test_models_and_weights_are_those_that_are_best_on_held_out_images(study, tmp_path):
    table = run(study, tmp_path).set_index(["what", "weights"])
    _, splits, logits = study
    own = {key: softmax(values.astype(float) / {"strong": 2, "two": 0.5}.get(key[0], 1), axis=1)
           for key, values in logits.items()}  # fmt: skip

    def right(split, model, weight):
        both = (1 - weight) * own["strong", split] + weight * own[model, split]
        return both.argmax(axis=1) == splits[split].labels

    found = {
        (weight, model): right("calibration", model, weight).mean()
        for weight in WEIGHTS for model in ("one", "two", "three", "bad")
    }  # fmt: skip
    for weights, among in (("equal", WEIGHTS[:1]), ("chosen", WEIGHTS)):
        row = table.loc["base", weights]
        best = max(value for key, value in found.items() if key[0] in among)
        assert row["selection_accuracy"] == pytest.approx(best)
        assert found[row["weight"], row["model"]] == best
        after = right("test", row["model"], row["weight"])
        assert row["accuracy"] == pytest.approx(after.mean())
        alone = right("test", "one", 0.0)
        assert row["gain"] == pytest.approx(after.mean() - alone.mean())
        assert table.loc["mean", weights]["gain"] == pytest.approx(row["gain"])
    assert table.loc["base", "equal"]["weight"] == 0.5


def test_only_weaker_models_are_added(study, tmp_path):
    table = run(study, tmp_path, bases=["bad"], pool=["one", "strong"])
    assert table["what"].tolist() == ["mean", "mean"]
    assert table["gain"].isna().all()


def test_a_mean_gain_by_hand():
    # By image, the two strong models gain 1, 0, 1/2 and -1/2 on average.
    found = mean_gain(np.array([[1.0, 0, 1, -1], [1, 0, 0, 0]]))
    by_image = np.array([1, 0, 0.5, -0.5])
    error = by_image.std(ddof=1) / 2
    assert found["gain"] == 0.25
    assert found["gain_high"] - 0.25 == pytest.approx(1.959964 * error)
    assert np.isnan(mean_gain(np.zeros((0, 4)))["gain"])
    assert np.isnan(mean_gain(np.zeros((2, 4)))["p"])
