"""What stands beside figures 1 and 8: the same weights again, and published means."""

import numpy as np
import pandas as pd
import pytest

from workflow.lib.measures.references import noise_floor, published_means

COLUMNS = ["error_inconsistency"]
MODELS = pd.DataFrame(
    {"model": ["a", "b", "c", "d"], "name": ["A", "B", "C", "D"],
     "category": ["base", "arch", "control", "control"], "weights_of": [None, None, "b", "a"]}
)  # fmt: skip


def pairs(rows):
    table = pd.DataFrame(rows, columns=["model_1", "model_2", *COLUMNS])
    value = table["error_inconsistency"]
    return table.assign(error_inconsistency_low=value - 0.01, error_inconsistency_high=value + 0.01)


def test_a_control_is_compared_with_the_model_whose_weights_it_has():
    known = pairs([("a", "b", 0.1), ("c", "b", 0.02), ("a", "d", 0.03), ("a", "c", 0.2)])
    table = noise_floor(known, MODELS, COLUMNS)
    assert table["what"].tolist() == ["floor", "control"]
    assert table["model"].tolist() == ["d", "c"]
    assert table["base"].tolist() == ["a", "b"]
    assert table["error_inconsistency"].tolist() == [0.03, 0.02]
    assert table["error_inconsistency_high"].tolist() == pytest.approx([0.04, 0.03])


@pytest.mark.parametrize("models", [MODELS.drop(columns="weights_of"), MODELS[:2]])
def test_without_controls_there_is_no_floor(models):
    assert noise_floor(pairs([("a", "b", 0.1)]), models, COLUMNS).empty


def test_published_means_are_of_main_models_by_category():
    table = pairs([("a", "b", 0.1), ("a", "c", 0.2), ("a", "d", 0.3), ("a", "e", 0.9)]).assign(
        with_base=True, main=[True, True, True, False], category=["arch", "arch", "reinit", "arch"]
    )
    found = published_means(table, COLUMNS)
    assert found["category"].tolist() == ["reinit", "arch"]
    assert found["models"].tolist() == [1, 2]
    assert found["error_inconsistency"].tolist() == pytest.approx([0.3, 0.15])
    # Of two models t is 12.706: 0.15 ± 12.706 * 0.05.
    assert found["error_inconsistency_high"][1] == pytest.approx(0.15 + 12.7062 * 0.05, abs=1e-4)
    assert np.isnan(found["error_inconsistency_high"][0])
