"""From files of answers to the tables that logits give, and to votes, maps and clusters."""

import numpy as np
import pandas as pd
import pytest

from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.ensembles.counts import read_counts
from workflow.lib.measures.specialisation import angle
from workflow.lib.outputs.arrays import read_arrays
from workflow.lib.outputs.tables import read_table
from workflow.lib.run.errors import InputError
from workflow.scripts.answers import answers
from workflow.scripts.answers_on_set import answers_on_set
from workflow.scripts.class_specialisation import class_specialisation
from workflow.scripts.comparison import comparison
from workflow.scripts.distances import distances_of_models
from workflow.scripts.figures.clusters import clusters
from workflow.scripts.figures.figure1 import figure1
from workflow.scripts.figures.figure4 import figure4
from workflow.scripts.figures.map import model_map
from workflow.scripts.figures.votes import votes
from workflow.scripts.pairs import pairs
from workflow.scripts.specialisation import specialisation
from workflow.scripts.voted import voted

CLASSES = ("ant", "bee", "cat", "dog")
CATEGORIES = {
    "base": "base",
    "seed": "reinit",
    "vit": "arch",
    "clip": "dataset",
    "again": "control",
}
MEMBERS = {
    key: {"name": key.title(), "category": category, "set": "main", "objective": "", "head": "",
          "train_data": "", "weights_of": "base" if key == "again" else None}
    for key, category in CATEGORIES.items()
}  # fmt: skip
CONFIDENT = ("base", "seed")


@pytest.fixture
def folder(tmp_path):
    """Files of 200 answers of five models, two of which say how sure they are."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 4
    ids = np.array([f"{i:03d}.png" for i in range(200)])
    Manifest(CLASSES, {"test": Split(ids, labels)}).write(tmp_path / "manifest.tsv")
    for key in CATEGORIES:
        top = np.where(rng.random(200) < 0.75, labels, rng.integers(0, 4, 200))
        table = pd.DataFrame({"id": ids, "answer": top})
        if key in CONFIDENT:
            table["confidence"] = rng.integers(1, 100, 200) / 100
        if key == "again":
            table = pd.read_csv(tmp_path / "base.csv").drop(columns="confidence")
            table.loc[:2, "answer"] = (table.loc[:2, "answer"] + 1) % 4
        table.to_csv(tmp_path / f"{key}.csv", index=False)
    return tmp_path


def run(folder, keys=tuple(CATEGORIES), controls=(("again", "base"),)):
    models = {
        key: {"answers": str(folder / f"{key}.csv"), "column": None, "sha256": None} for key in keys
    }
    made = {"counts": "counts.npz", "answers": "answers.npz", "calibration": "calibration.tsv"}
    answers(
        manifest=str(folder / "manifest.tsv"),
        sources=[own["answers"] for own in models.values()],
        **{name: str(folder / file) for name, file in made.items()},
        models=models, controls=dict(controls), split="test", combination="confident",
    )  # fmt: skip
    pairs(
        counts=str(folder / "counts.npz"), calibration=str(folder / "calibration.tsv"),
        pairs=str(folder / "pairs.tsv"), models=str(folder / "models.tsv"),
        members={key: MEMBERS[key] for key in keys}, band=[0, 1], fitted_on="none",
    )  # fmt: skip
    return read_table(folder / "pairs.tsv"), read_table(folder / "models.tsv")


def test_the_tables_are_those_of_the_answers(folder):
    table, models = run(folder)
    read = {key: pd.read_csv(folder / f"{key}.csv") for key in CATEGORIES}
    labels = np.arange(200) % 4
    right = {key: own["answer"].to_numpy() == labels for key, own in read.items()}
    assert models["accuracy"].tolist() == [own.mean() for own in right.values()]
    assert models["group"].tolist() == ["base", "main", "main", "main", "others"]
    assert models["temperature"].isna().all()
    for row in table.itertuples():
        first, second = right[row.model_1], right[row.model_2]
        assert row.error_inconsistency == pytest.approx((first != second).mean())
        assert row.both_wrong == pytest.approx((~first & ~second).mean())
        known = {row.model_1, row.model_2} == {*CONFIDENT}
        assert pd.notna(row.improvement) == pd.notna(row.conversion_rate) == known
    both = table[table["improvement"].notna()].iloc[0]
    sure = read["base"]["confidence"] > read["seed"]["confidence"]
    tie = read["base"]["confidence"] == read["seed"]["confidence"]
    chosen = np.where(sure | (tie & (read["base"]["answer"] <= read["seed"]["answer"])),
                      right["base"], right["seed"])  # fmt: skip
    assert both["ensemble_accuracy"] == pytest.approx(chosen.mean())
    errors = models.set_index("model")["ece"]
    assert errors.notna().to_dict() == {key: key in CONFIDENT for key in CATEGORIES}


def test_the_same_weights_are_named_unless_they_are_a_control(folder, caplog):
    run(folder)
    assert "weights" not in caplog.text
    run(folder, controls=())
    assert "again: it answers as 'base' on 9" in caplog.text


def test_a_model_is_named_with_what_is_wrong(folder):
    (folder / "vit.csv").write_text("id,answer\n000.png,0\n")
    with pytest.raises(InputError, match=r"vit.csv lacks 199 of the 200 images"):
        run(folder)


def test_angles_are_known_where_confidences_are_and_classes_always(folder):
    run(folder)
    files = {name: str(folder / f"{name}.tsv") for name in ("manifest", "specialisation")}
    chosen = [["base", "seed"], ["base", "clip"]]
    specialisation(
        manifest=files["manifest"], answers=str(folder / "answers.npz"), classes=[],
        table=files["specialisation"], members=MEMBERS, pairs=chosen, combination="confident",
        split="test",
    )  # fmt: skip
    rows = read_table(files["specialisation"])
    known = rows[rows["model_2"] == "seed"]
    log = np.log(known[["confidence_1", "confidence_2"]].to_numpy())
    assert known["theta"].to_numpy() == pytest.approx(angle(log[:, 0], log[:, 1]))
    first = known["confidence_1"] >= known["confidence_2"]
    assert (known["ensemble"] == known["prediction_1"].where(first, known["prediction_2"])).all()
    assert rows.loc[rows["model_2"] == "clip", ["theta", "ensemble"]].isna().all(axis=None)
    table = str(folder / "classes.tsv")
    class_specialisation(
        **files, table=table, groups={"small": ["ant", "bee"]}, attributes=[], split="test"
    )
    found = read_table(table)
    assert found["advantage"].to_numpy() == pytest.approx(found["accuracy_1"] - found["accuracy_2"])
    assert (found["advantage_low"] <= found["advantage"]).all()
    drawn = {kind: str(folder / f"figure4.{kind}") for kind in ("pdf", "svg", "png", "tsv")}
    figure4(table=table, **drawn)
    assert "radians" not in (folder / "figure4.svg").read_text()


def draw(folder, function, name):
    files = {kind: folder / f"{name}.{kind}" for kind in ("pdf", "svg", "png")}
    function(table=str(folder / f"{name}.tsv"), **{k: str(path) for k, path in files.items()})
    first = {kind: path.read_bytes() for kind, path in files.items()}
    function(table=str(folder / f"{name}.tsv"), **{k: str(path) for k, path in files.items()})
    assert first == {kind: path.read_bytes() for kind, path in files.items()}
    return first


@pytest.mark.slow
def test_votes_map_and_clusters_are_drawn_the_same_each_time(folder):
    run(folder)
    tables = {name: str(folder / f"{name}.tsv") for name in ("pairs", "models", "map", "clusters")}
    distances_of_models(**tables)
    voted(
        manifest=str(folder / "manifest.tsv"), answers=str(folder / "answers.npz"),
        models=tables["models"], table=str(folder / "votes.tsv"), split="test", threads=2,
    )  # fmt: skip
    assert len(read_table(folder / "votes.tsv")) == 4  # of four main models
    assert set(read_table(tables["map"])["model"]) == set(CATEGORIES)
    assert len(read_table(tables["clusters"])) == 25
    for function, name in ((votes, "votes"), (model_map, "map"), (clusters, "clusters")):
        assert all(draw(folder, function, name).values())


def test_figure_1_shows_the_noise_floor(folder):
    run(folder)
    figures = {f"figure{n}": str(folder / f"figure{n}.tsv") for n in (1, 2, 8)}
    tables = {name: str(folder / f"{name}.tsv") for name in ("pairs", "models")}
    comparison(
        **tables, published=tables["pairs"], combination="confident", bases=["base"], **figures
    )
    table = read_table(figures["figure1"])
    floor = table[table["what"] == "floor"]
    assert floor[["base", "model"]].to_numpy().tolist() == [["base", "again"]]
    assert table.loc[table["what"] == "paper", "category"].tolist() == ["reinit", "arch", "dataset"]
    assert draw(folder, figure1, "figure1")["png"]


def test_a_study_with_two_models_in_the_band_has_no_votes(folder):
    keys = ("base", "seed")
    run(folder, keys, controls=())
    voted(
        manifest=str(folder / "manifest.tsv"), answers=str(folder / "answers.npz"),
        models=str(folder / "models.tsv"), table=str(folder / "votes.tsv"), split="test", threads=1,
    )  # fmt: skip
    assert draw(folder, votes, "votes")["svg"]


def test_answers_on_other_images_are_counted_there_and_beside_them(folder):
    run(folder)
    known = read_arrays(folder / "answers.npz")
    rng = np.random.default_rng(1)
    top = rng.integers(-1, 4, (50, 2))
    labels = rng.integers(0, 4, 50)
    also = np.stack([np.full(50, -1), np.where(rng.random(50) < 0.3, (labels + 1) % 4, -1)], axis=1)
    np.savez(folder / "other.npz", answers=top, models=["vit", "base"], labels=labels)
    own = Manifest.read(folder / "manifest.tsv").splits["test"]
    test = Split(np.arange(50).astype(str), labels, also)
    Manifest(CLASSES, {"test": test, "clean": own}).write(folder / "other.tsv")

    def count(**given):
        answers_on_set(
            study=folder / "manifest.tsv", own=folder / "answers.npz",
            counts=folder / "there.npz", answers=folder / "found.npz",
            clean_counts=folder / "beside.npz", combination="confident",
            **{"manifest": folder / "other.tsv", "file": str(folder / "other.npz"),
               "models": {"base": "base", "vit": "vit"}} | given,
        )  # fmt: skip
        return read_arrays(folder / "found.npz")

    found = count()
    accepted = [{label, *more} - {-1} for label, more in zip(labels, also.tolist(), strict=True)]
    right = [[t in own for t, own in zip(column, accepted, strict=True)] for column in top.T[::-1]]
    np.testing.assert_array_equal(found["right"], right)
    _, counted = read_counts(folder / "there.npz")
    assert counted["none"].both_right[0, 1] == np.logical_and(*right).sum()
    _, counted = read_counts(folder / "beside.npz")
    rows = [known["models"].tolist().index(key) for key in ("base", "vit")]
    np.testing.assert_array_equal(
        counted["none"].correct, (known["top"][rows] == own.labels).sum(axis=1)
    )
    # Other labels of the study's own images.
    relabelled = Split(own.ids[::3], (own.labels[::3] + 1) % 4)
    Manifest(CLASSES, {"test": relabelled, "clean": own}).write(folder / "again.tsv")
    found = count(manifest=folder / "again.tsv", file=None)
    np.testing.assert_array_equal(found["right"], known["top"][rows][:, ::3] == relabelled.labels)
