"""From outputs files to the ensembles that are listed, with what they cost."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.outputs.store import write
from workflow.scripts import selection as selection_script
from workflow.scripts.selection import selection

MEMBERS = {
    f"m{i}": {"name": f"Model {i}", "category": category}
    for i, category in enumerate(["base", "reinit", "hparam", "arch", "fwork", "dataset", "arch"])
}
TEMPERATURES = {key: 0.5 + 0.25 * i for i, key in enumerate(MEMBERS)}
PARAMETERS = {key: 1000 * (i + 1) for i, key in enumerate(MEMBERS)}
CLASSES = 5


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Seven models of independent noise, the last one of unknown cost."""
    folder = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    splits, logits = {}, {}
    for name, examples in (("calibration", 300), ("test", 500)):
        labels = rng.integers(0, CLASSES, examples)
        splits[name] = Split(np.array([f"{name}/{i}" for i in range(examples)]), labels)
        for i, key in enumerate(MEMBERS):
            values = rng.normal(0, 1, (examples, CLASSES))
            values[np.arange(examples), labels] += 1.0 + 0.1 * i
            values = logits[key, name] = values.astype(np.float32)
            path = folder / key / f"{name}.h5"
            known = {"parameters": PARAMETERS[key], "images_per_second": 100.0 * (i + 1)}
            known["macs"] = 10 ** (7 - i)
            known = {"images_per_second": 0.0} if key == "m6" else known
            write(path, splits[name], lambda rows, v=values: (v[rows], v[rows, :1]), known)
    Manifest(tuple("abcde"), splits).write(folder / "manifest.tsv")
    fits = pd.DataFrame(TEMPERATURES.items(), columns=["model", "temperature"])
    fits["nll_after"] = np.roll(np.arange(len(fits)), 2)  # m2 to m5 come first
    fits.to_csv(folder / "calibration.tsv", sep="\t", index=False)
    return folder, splits, logits


def run(folder, combination="probability", members=MEMBERS):
    selection(
        manifest=str(folder / "manifest.tsv"),
        calibration=str(folder / "calibration.tsv"),
        selected=[str(folder / key / "calibration.h5") for key in members],
        scored=[str(folder / key / "test.h5") for key in members],
        greedy=str(folder / "greedy.tsv"),
        recommendations=str(folder / "selected.tsv"),
        models=list(members),
        splits=["calibration", "test"],
        bases=[],
        pool=[],
        size=2,
        threads=2,
    )
    table = pd.read_csv(folder / "selected.tsv", sep="\t")
    return table[table["combination"] == combination].reset_index(drop=True)


def right(study, name, combination, keys):
    _, splits, logits = study
    total = 0
    for key in keys:
        scaled = logits[key, name].astype(np.float64) / TEMPERATURES[key]
        total = total + (softmax(scaled, axis=1) if combination == "probability" else scaled)
    return total.argmax(1) == splits[name].labels


@pytest.mark.numeric
@pytest.mark.parametrize("combination", ["probability", "logit"])
def test_every_ensemble_is_listed_with_its_accuracies(study, combination):
    table = run(study[0], combination)
    # Seven singles, 21 pairs and 35 triples: fewer than are listed at most.
    expected = {" + ".join(g) for size in (1, 2, 3) for g in combinations(MEMBERS, size)}
    assert set(table["models"]) == expected
    assert table["models"].is_unique
    alone = table[table["size"] == 1].set_index("models")
    for row in table.itertuples():
        keys = row.models.split(" + ")
        assert row.size == len(keys)
        assert row.selection_accuracy == pytest.approx(
            right(study, "calibration", combination, keys).mean()
        )
        assert row.accuracy == pytest.approx(right(study, "test", combination, keys).mean())
        assert alone.loc[row.best_member, "selection_accuracy"] == max(
            alone.loc[key, "selection_accuracy"] for key in keys
        )
        assert row.best_member_accuracy == alone.loc[row.best_member, "accuracy"]
        assert row.gain == pytest.approx(row.accuracy - row.best_member_accuracy)
        assert row.gain_low <= row.gain <= row.gain_high


def test_of_many_models_triples_are_of_the_most_likely(study, monkeypatch, caplog):
    whole = run(study[0])
    monkeypatch.setattr(selection_script, "TRIPLES_OF", 4)
    caplog.set_level("WARNING")
    table = run(study[0])
    assert "of 7 models, triples of the 4 most likely" in caplog.text
    triples = table[table["size"] == 3]
    likely = list(MEMBERS)[2:6]
    assert set(triples["models"]) == {" + ".join(group) for group in combinations(likely, 3)}
    known = whole.set_index("models")
    for row in triples.itertuples():
        assert row.selection_accuracy == known.at[row.models, "selection_accuracy"]
        assert row.accuracy == known.at[row.models, "accuracy"]
    smaller = whole["size"] < 3
    pd.testing.assert_frame_equal(
        table[table["size"] < 3][["models", "accuracy"]], whole[smaller][["models", "accuracy"]]
    )


def test_the_best_come_first(study):
    table = run(study[0])
    for _, group in table.groupby("size"):
        assert group["rank"].tolist() == list(range(1, len(group) + 1))
        assert group["selection_accuracy"].is_monotonic_decreasing
    assert table["size"].is_monotonic_increasing


def test_costs_add_up_and_are_empty_where_unknown(study):
    table = run(study[0]).set_index("models")
    assert table.at["m0 + m2", "parameters"] == 4000
    # 1/100 and 1/300 of a second.
    assert table.at["m0 + m2", "images_per_second"] == pytest.approx(75)
    assert table.at["m0 + m2", "macs"] == 10_100_000
    unknown = table[table.index.str.contains("m6")]
    assert unknown[["macs", "parameters", "images_per_second"]].isna().all(axis=None)
    assert not unknown[["pareto", "pareto_parameters", "pareto_speed"]].any(axis=None)


@pytest.mark.parametrize(
    ("front", "column", "sign"),
    [
        ("pareto", "macs", 1),
        ("pareto_parameters", "parameters", 1),
        ("pareto_speed", "images_per_second", -1),
    ],
)
def test_nothing_beats_the_front_and_the_rest_is_beaten(study, front, column, sign):
    table = run(study[0]).dropna(subset=[column])
    assert 1 < table[front].sum() < len(table)
    for row in table.to_dict("records"):
        cost, good = sign * table[column], table["selection_accuracy"]
        own, own_good = sign * row[column], row["selection_accuracy"]
        beaten = ((cost < own) & (good >= own_good)) | ((cost <= own) & (good > own_good))
        assert row[front] == (not beaten.any())


@pytest.mark.parametrize("keys", [["m0"], ["m0", "m1"]])
def test_few_models_have_no_triples(study, keys):
    members = {key: MEMBERS[key] for key in keys}
    table = run(study[0], members=members)
    assert len(table) == {1: 1, 2: 3}[len(keys)]


def test_what_cannot_be_told_from_the_first_is_as_good(study):
    table = run(study[0])
    for _, group in table.groupby("size"):
        first = right(study, "test", "probability", group["models"].iloc[0].split(" + "))
        assert group["as_good"].iloc[0] and group["behind"].iloc[0] == 0
        for row in group.itertuples():
            own = right(study, "test", "probability", row.models.split(" + "))
            assert row.behind == pytest.approx(first.mean() - own.mean())
            assert row.as_good == (row.behind_low <= 0)
    assert not table["as_good"].all()
