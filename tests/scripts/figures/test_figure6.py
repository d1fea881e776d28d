"""Figure 6 averages draws, then models, and counts the dimensions to a target of the base's own."""

import numpy as np
import pandas as pd
import pytest

from workflow.lib.measures import summaries
from workflow.lib.outputs.tables import read_table
from workflow.scripts.combined import combined
from workflow.scripts.figures.figure6 import figure6, limits

MODELS = pd.DataFrame(
    {"model": ["a", "b", "c"], "name": ["A", "B", "C"], "category": ["reinit", "reinit", "arch"]}
)


def probes() -> pd.DataFrame:
    rows = []
    for place, model in enumerate("abc"):
        for share, accuracies in ((0, [0.7]), (50, [0.8, 0.9]), (100, [0.8])):
            for seed, accuracy in enumerate(accuracies):
                gain = 0.01 * place if share != 100 else 0
                rows.append({"model": model, "what": "share", "share": share, "seed": seed,
                             "accuracy": accuracy + gain, "converged": True})  # fmt: skip
        for statistic in ("covariance", "correlation"):
            for k, accuracy in ((8, 0.6), (32, round(0.7 + 0.1 * place, 9))):
                rows.append({"model": model, "what": "compression", "statistic": statistic,
                             "direction": "lowest", "dimensions": k, "accuracy": accuracy,
                             "converged": statistic == "correlation"})  # fmt: skip
    return pd.DataFrame(rows)


def summary(target=1.0) -> pd.DataFrame:
    return summaries.combined(probes(), MODELS, "covariance", "lowest", target)


def test_draws_are_averaged_and_then_models():
    table = summary().query("panel == 'combined' and share == 50")
    models = table[table["what"] == "model"].set_index("model")
    np.testing.assert_allclose(models.loc[["a", "b", "c"], "accuracy"], [0.85, 0.86, 0.87])
    assert models["draws"].tolist() == [2, 2, 2]
    means = table[table["what"] == "mean"].set_index("category")
    np.testing.assert_allclose(means.loc[["reinit", "arch"], "accuracy"], [0.855, 0.87])
    # Two models 0.01 apart have a standard error of 0.005; t(0.975, 1) is 12.7062.
    assert means.at["reinit", "accuracy_high"] == pytest.approx(0.855 + 12.7062 * 0.005, abs=1e-6)
    assert np.isnan(means.at["arch", "accuracy_high"])


def test_dimensions_to_the_accuracy_of_the_base():
    table = summary().query("panel == 'needed'").set_index("model")
    assert table["target"].unique().tolist() == [0.8]
    assert np.isnan(table.at["a", "dimensions"])  # ends at 0.7
    assert table.at["b", "dimensions"] == pytest.approx(32)
    # From 0.6 to 0.9, two thirds of the way from 8 to 32 in the logarithm.
    assert table.at["c", "dimensions"] == pytest.approx(8 * 4 ** (2 / 3))
    assert summary(0.75).query("panel == 'needed'")["target"].iloc[0] == pytest.approx(0.6)


def test_a_mean_is_of_the_models_that_reach_the_target():
    means = summary().query("panel == 'needed' and what == 'mean'").set_index("category")
    assert means.at["reinit", "models"] == 1  # b, and not a
    assert means.at["reinit", "dimensions"] == pytest.approx(32)


def test_an_axis_holds_its_values_and_the_target():
    for values in ([61, 65], [20, 45], [70, 90], [76, 76], [30, 77]):
        for shown in (True, False):
            low, high = limits(pd.Series(values, dtype=float), 76.0, shown=shown)
            assert low < max(values) < high
            assert not shown or low < 76 < high
    assert limits(pd.Series([30.0, 77.0]), 76.0, shown=True)[0] > 55


def test_a_model_may_be_called_50(tmp_path):
    names = {"a": "50", "b": "b", "c": "c"}
    for model in "abc":
        own = probes().query("model == @model").replace({"model": names})
        own.to_csv(tmp_path / f"{model}.tsv", sep="\t", index=False)
    MODELS.replace({"model": names}).to_csv(tmp_path / "models.tsv", sep="\t", index=False)
    read = pd.concat([read_table(tmp_path / f"{model}.tsv") for model in "abc"])
    table = summaries.combined(
        read, read_table(tmp_path / "models.tsv"), "covariance", "lowest", 1.0
    )
    assert set(table["model"].dropna()) == {"50", "b", "c"}


def test_what_did_not_converge_is_marked():
    table = summary()
    assert not table.query("panel != 'combined'")["converged"].any()
    assert table.query("panel == 'combined'")["converged"].all()


@pytest.mark.parametrize("models", ["abc", "c"])
def test_it_is_drawn_and_says_how_many_failed(tmp_path, models):
    own = probes()
    own[own["model"].isin(list(models))].to_csv(tmp_path / "probes.tsv", sep="\t", index=False)
    MODELS.to_csv(tmp_path / "models.tsv", sep="\t", index=False)
    files = {kind: str(tmp_path / f"figure6.{kind}") for kind in ("pdf", "svg", "png")}
    chosen = {"statistic": "covariance", "direction": "lowest"}
    combined(
        models=str(tmp_path / "models.tsv"),
        features=[str(tmp_path / "probes.tsv")],
        table=str(tmp_path / "figure6.tsv"),
        target=1.0,
        **chosen,
    )
    figure6(table=str(tmp_path / "figure6.tsv"), **chosen, **files)
    assert all((tmp_path / f"figure6.{kind}").stat().st_size > 500 for kind in files)
