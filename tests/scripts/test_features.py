"""Probes on combined and compressed features agree with scikit-learn, each fitted once."""

import h5py
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.outputs.arrays import read_arrays
from workflow.lib.outputs.store import write
from workflow.lib.probes import streamed
from workflow.lib.run.errors import InputError
from workflow.scripts.features import features

pytestmark = pytest.mark.numeric

RNG = np.random.default_rng(0)
CLASSES = ("bag", "coat", "dress")


def split(count: int, labels) -> Split:
    return Split(np.array([f"{i:04d}" for i in range(count)]), np.asarray(labels))


@pytest.fixture
def study(tmp_path):
    """Two models: the first tells class 0 from the rest, the second 1 from 2, and noise."""
    splits = {name: split(count, np.arange(count) % 3) for name, count in
              (("train", 300), ("calibration", 30), ("test", 240))}  # fmt: skip
    Manifest(CLASSES, splits).write(tmp_path / "manifest.tsv")
    paths = []
    for model, told in (("base", (0,)), ("other", (1, 2))):
        for name in ("train", "test"):
            labels = splits[name].labels
            values = RNG.normal(size=(len(labels), 6)).astype(np.float32)
            for column, label in enumerate(told):
                values[:, column] += 3 * (labels == label)
            path = tmp_path / model / f"{name}.h5"
            logits = np.zeros((len(labels), 3), np.float32)
            write(path, splits[name], lambda rows, v=values, lo=logits: (lo[rows], v[rows]), {})
            paths.append(str(path))
    return tmp_path, paths


def run(study, **changes) -> pd.DataFrame:
    folder, paths = study
    arguments = {"shares": [0, 50, 100], "seeds": 2, "seed": 0, "dimensions": [2, 6, 12, 99],
                 "regularisation": [1e-3, 1e-1]} | changes  # fmt: skip
    features(
        manifest=str(folder / "manifest.tsv"), learnt=paths[0::2], scored=paths[1::2],
        table=str(folder / "table.tsv"), right=str(folder / "right.npz"),
        model="other", data="train", threads=1, **{"bases": ["base"]} | arguments,
    )  # fmt: skip
    return pd.read_csv(folder / "table.tsv", sep="\t")


def test_a_row_for_each_probe_and_none_twice(study):
    table = run(study)
    shares = table[table["what"] == "share"]
    # All of the base's features leave no choice, nor do all of the other's, of the same number.
    assert shares["share"].tolist() == [0, 50, 50, 100]
    assert shares["dimensions_base"].tolist() == [0, 3, 3, 6]
    assert shares["dimensions_model"].tolist() == [6, 3, 3, 0]
    compressed = table[table["what"] == "compression"]
    assert len(compressed) == 4 * 3  # twelve dimensions are all there are, so not 99
    assert table["converged"].all()


def test_what_probes_of_a_share_get_right_is_kept_by_image(study):
    table = run(study)
    shares = table[table["what"] == "share"]
    known = read_arrays(study[0] / "right.npz")
    assert known["share"].tolist() == shares["share"].tolist()
    assert known["base"].tolist() == shares["base"].tolist()
    np.testing.assert_allclose(known["right"].mean(axis=1), shares["accuracy"])


def test_bases_take_turns(study):
    folder, paths = study
    alone = {base: run((folder, own), bases=[base]) for base, own in
             (("base", paths), ("second", paths[2:] + paths[2:]))}  # fmt: skip
    table = run((folder, paths[:2] + paths[2:] + paths[2:]), bases=["base", "second"])
    shares = table[table["what"] == "share"]
    # What has nothing of a base is not fitted again with the next.
    assert list(zip(shares["base"], shares["share"], shares["seed"], strict=True)) == [
        ("base", 0, 0), ("base", 50, 0), ("base", 100, 0), ("second", 50, 1), ("second", 100, 1),
    ]  # fmt: skip
    assert set(table.loc[table["what"] == "compression", "base"]) == {"base"}
    for row in shares.itertuples():
        own = alone[row.base].query("share == @row.share")
        assert row.accuracy in own["accuracy"].tolist()


def test_other_seeds_draw_other_features(study):
    tables = [run(study, seed=seed).query("share == 50") for seed in (0, 7)]
    assert [table["seed"].tolist() for table in tables] == [[0, 1], [7, 8]]
    assert tables[0]["accuracy"].tolist() != tables[1]["accuracy"].tolist()


def test_sizes_that_are_all_too_large_are_told(study):
    with pytest.raises(InputError, match=r"features.dimensions: the smallest is 13, but base and"):
        run(study, dimensions=[13, 99])


def test_accuracy_is_that_of_scikit_learn_on_the_same_features(study):
    _, paths = study
    table = run(study, regularisation=[1e-2])
    data = {}
    for path in paths:
        with h5py.File(path) as file:
            data[path] = file["features"][:].astype(float), file["labels"][:]
    learnt = np.concatenate([data[paths[0]][0], data[paths[2]][0]], axis=1)
    scored = np.concatenate([data[paths[1]][0], data[paths[3]][0]], axis=1)
    mean, scale = learnt.mean(0), learnt.std(0)
    for columns, rows in (
        (slice(0, 6), table["share"] == 100),
        (slice(6, 12), table["share"] == 0),
        (slice(0, 12), table["dimensions"] == 12),
    ):
        reference = LogisticRegression(C=1 / (300 * 1e-2), tol=1e-8, max_iter=1000)
        reference.fit(((learnt - mean) / scale)[:, columns], data[paths[0]][1])
        accuracy = reference.score(((scored - mean) / scale)[:, columns], data[paths[1]][1])
        np.testing.assert_allclose(table.loc[rows, "accuracy"], accuracy, atol=1 / 240)


def test_both_models_together_know_more(study):
    table = run(study)
    alone = table.loc[table["what"] == "share"].set_index("share")["accuracy"]
    everything = table.loc[table["dimensions"] == 12, "accuracy"]
    assert alone[100] < 0.75  # it can't tell two classes apart
    assert (everything > 0.9).all()


@pytest.mark.slow
def test_features_too_large_for_the_memory_give_the_same_table(study, monkeypatch):
    expected = run(study)
    monkeypatch.setattr(streamed, "MEMORY", 0)
    monkeypatch.setattr(streamed, "BLOCK", 100 * 12)
    found = run(study)
    exact = [c for c in expected.columns if not c.startswith(("loss", "accuracy"))]
    pd.testing.assert_frame_equal(found[exact], expected[exact])
    # Fits end at a gradient of 1e-4, which leaves the loss open by 1e-4² / (2 l2).
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-4)
    np.testing.assert_allclose(found["accuracy"], expected["accuracy"], atol=1 / 240)


def test_files_without_features_are_refused(study):
    folder, paths = study
    with h5py.File(paths[2], "r+") as file:
        del file["features"]
    with pytest.raises(InputError, match="holds no features of the model 'other'"):
        run(study)
    assert not (folder / "table.tsv").exists()
