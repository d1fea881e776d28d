"""Figure 7 puts each model's and pair's score beside what is known of it from the main analyses."""

import numpy as np
import pandas as pd
import pytest

from workflow.lib.measures.summaries import transferred
from workflow.scripts.figures.figure7 import figure7
from workflow.scripts.transfer import transfer

MODELS = pd.DataFrame(
    {"model": ["base", "seed", "clip"], "name": ["ResNet", "Seed 1", "CLIP"],
     "category": ["base", "reinit", "dataset"], "accuracy": [0.8, 0.81, 0.79]}
)  # fmt: skip
PAIRS = pd.DataFrame(
    {"model_1": ["base", "base", "seed"], "model_2": ["seed", "clip", "clip"],
     "combination": "probability", "error_inconsistency": [0.1, 0.2, 0.3]}
)  # fmt: skip


def probes(converged=True) -> pd.DataFrame:
    rows = []
    for first, second, value in (("base", None, 0.5), ("seed", None, 0.52), ("clip", None, 0.6),
                                 ("clip", "seed", 0.7), ("base", "seed", 0.51)):  # fmt: skip
        common = {"model_1": first, "model_2": second, "converged": converged}
        rows.append(common | {"what": "task", "task": "mean", "average_precision": 0.1, "l2": 0.1})
        rows.append(common | {"what": "mean", "average_precision": value,
                              "average_precision_low": value - 0.02,
                              "average_precision_high": value + 0.02})  # fmt: skip
    return pd.DataFrame(rows)


def test_models_and_pairs_find_their_inconsistency_in_either_order():
    table = transferred(probes(), MODELS, PAIRS, "base").set_index("name")
    assert table["what"].tolist() == ["model", "model", "model", "pair", "pair"]
    np.testing.assert_allclose(
        table.loc[["ResNet", "Seed 1", "CLIP"], "error_inconsistency"], [0, 0.1, 0.2]
    )
    np.testing.assert_allclose(table.loc[["ResNet", "Seed 1", "CLIP"], "accuracy"],
                               MODELS["accuracy"])  # fmt: skip
    assert table.at["CLIP + Seed 1", "error_inconsistency"] == 0.3
    assert table.at["CLIP + Seed 1", "category"] == "dataset"
    assert table.at["CLIP + Seed 1", "gain"] == pytest.approx(0.7 - 0.6)
    assert table.at["ResNet + Seed 1", "gain"] == pytest.approx(0.51 - 0.52)


@pytest.mark.parametrize("converged", [True, False])
def test_it_is_drawn(tmp_path, converged):
    for name, table in (("m", MODELS), ("p", PAIRS), ("d", probes(converged))):
        table.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False)
    table = str(tmp_path / "figure7.tsv")
    transfer(
        models=str(tmp_path / "m.tsv"), pairs=str(tmp_path / "p.tsv"), table=table,
        probes=[str(tmp_path / "d.tsv")], base="base", combination="probability",
    )  # fmt: skip
    files = {kind: str(tmp_path / f"figure7.{kind}") for kind in ("pdf", "svg", "png")}
    figure7(table=table, **files)
    assert all((tmp_path / f"figure7.{kind}").stat().st_size > 300 for kind in files)
    assert len(pd.read_csv(table, sep="\t")) == 5
