"""A whole small study, from nothing: every output is there and the numbers agree."""

import json
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from scipy.special import softmax

from tests.run.conftest import SMALL, Checkout
from workflow.lib.data.manifest import Manifest


@pytest.fixture(scope="session")
def results(finished):
    return finished.path / "results/small"


def read(path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t")


def read_manifest(path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", comment="#")


PUBLISHED = ("figure1", "figure2", "figure8")
ALL = (*PUBLISHED, *(f"figure{n}" for n in range(3, 8)), "pareto", "sensitivity")
ALL += ("map", "clusters", "nats", "risk", "flips")


def test_every_figure_and_table_of_both_studies_is_there(finished):
    for study, figures in (("small", ALL), ("paper", PUBLISHED)):
        folder = finished.path / "results" / study
        for figure in figures:
            for kind in ("pdf", "svg", "png", "tsv"):
                path = folder / f"figures/{figure}.{kind}"
                assert path.stat().st_size > 300, path
        for number in (1, 2, 3, 4):
            for kind in ("tsv", "md", "tex"):
                path = folder / f"tables/table{number}.{kind}"
                assert path.stat().st_size > 0, path
        page = (folder / "report.html").read_text()
        assert page.count("<img") >= len(figures)
    assert (finished.path / "results/small/contact_sheets/base--reinit.png").stat().st_size > 1000


def test_every_claim_is_judged_where_the_study_can_judge_it(finished):
    small = read(finished.path / "results/small/summary.tsv")
    assert len(small) == 8
    assert set(small["holds"]) <= {"yes", "no", "unclear"}
    paper = read(finished.path / "results/paper/summary.tsv").set_index("claim")["holds"]
    assert paper.tolist() == ["yes", "yes", "yes"]  # as the paper itself says


def test_no_model_learns_from_the_images_of_the_further_task(results):
    manifest = read_manifest(results / "dataset/manifest.tsv")
    unseen = set(manifest.loc[manifest["split"] == "unseen", "id"])
    assert len(unseen) == 900
    study = yaml.safe_load((results.parents[1] / SMALL).read_text())
    networks = [study["recipe"], *study["pretraining"].values(), *study["models"].values()]
    assert all("unseen" not in network.get("data", []) for network in networks)
    tasks = read_manifest(results / "downstream/manifest.tsv")
    shown = [image for example in tasks["id"] for image in example.partition(":")[2].split("+")]
    assert sorted(shown) == sorted(unseen)  # each once: test scenes share none with the others


def test_selection_never_looks_at_the_test_images_unless_told_so(results):
    greedy = read(results / "greedy.tsv")
    held_out, paper = (greedy[greedy["protocol"] == p] for p in ("held-out", "paper"))
    np.testing.assert_allclose(paper["selection_accuracy"], paper["accuracy"])
    assert (held_out["selection_accuracy"] != held_out["accuracy"]).any()
    for _, path in greedy.groupby(["protocol", "combination", "replacement", "base"]):
        assert (path["selection_accuracy"].diff().dropna() > 0).all()


def test_models_learn(results):
    accuracy = read(results / "models.tsv").set_index("model")["accuracy"]
    assert (accuracy.drop("low") > 0.5).all(), accuracy
    assert accuracy["high"] > accuracy["low"]


def test_no_model_is_dropped_in_silence(results):
    models = read(results / "models.tsv")
    study = yaml.safe_load((results.parents[1] / SMALL).read_text())
    assert list(models["model"]) == list(study["models"])
    listed = [
        name for n in (1, 2, 3, 4) for name in read(results / f"tables/table{n}.tsv")["model"]
    ]
    assert sorted(listed) == sorted(models["model"])


def test_pairs_agree_with_a_plain_computation_from_the_outputs(results):
    pairs = read(results / "pairs.tsv")
    fits = read(results / "calibration.tsv").set_index("model")["temperature"]
    keys = list(fits.index)
    assert len(pairs) == 2 * len(keys) * (len(keys) - 1) / 2
    logits = {}
    for key in keys:
        with h5py.File(results / f"outputs/{key}/test.h5") as file:
            logits[key], labels = file["logits"][:].astype(float) / fits[key], file["labels"][:]
    for row in pairs[::5].itertuples():
        first, second = logits[row.model_1], logits[row.model_2]
        right = [values.argmax(1) == labels for values in (first, second)]
        scores = first + second
        if row.combination == "probability":
            scores = softmax(first, axis=1) + softmax(second, axis=1)
        ensemble = scores.argmax(1) == labels
        assert row.error_inconsistency == pytest.approx(np.mean(right[0] != right[1]))
        assert row.ensemble_accuracy == pytest.approx(ensemble.mean())
        assert row.improvement == pytest.approx(ensemble.mean() - np.mean(right))
        assert row.conversion_rate == pytest.approx(ensemble[right[0] != right[1]].mean())


def test_each_test_set_agrees_with_a_plain_computation_from_the_outputs(results):
    fits = read(results / "calibration.tsv").set_index("model")["temperature"]
    manifests = results / "test_sets"
    for name, files, held in (
        ("shoes", "test_sets/shoes/outputs", None),
        ("noise", "test_sets/noise/outputs", None),
        ("second-look", "outputs", Manifest.read(results / "dataset/manifest.tsv")),
    ):
        split = Manifest.read(manifests / name / "dataset/manifest.tsv").splits["test"]
        rows = np.arange(len(split.ids))
        if held:
            place = {example: row for row, example in enumerate(held.splits["test"].ids)}
            rows = np.array([place[example] for example in split.ids])
        also = [()] * len(rows) if split.also is None else split.also
        accepted = [{label, *more} for label, more in zip(split.labels, also, strict=True)]
        kept = np.arange(10) if split.kept is None else split.kept

        def holds(values, kept=kept, accepted=accepted):
            top = kept[values[:, kept].argmax(1)]
            return np.array([label in own for label, own in zip(top, accepted, strict=True)])

        logits = {}
        for key in fits.index:
            with h5py.File(results / files / key / "test.h5") as file:
                logits[key] = file["logits"][:][rows].astype(float) / fits[key]
        models = read(manifests / name / "models.tsv").set_index("model")
        for key, values in logits.items():
            assert models.at[key, "accuracy"] == pytest.approx(holds(values).mean())
        pairs = read(manifests / name / "pairs.tsv").query("combination == 'logit'")
        scores = read(manifests / name / "scores.tsv").query(
            "combination == 'logit' and score == 'accuracy'"
        )
        scores = scores.set_index("models")["value"]
        for row in pairs[::3].itertuples():
            first, second = logits[row.model_1], logits[row.model_2]
            right = holds(first), holds(second)
            ensemble = holds(first + second).mean()
            assert row.error_inconsistency == pytest.approx(np.mean(right[0] != right[1]))
            assert row.ensemble_accuracy == pytest.approx(ensemble)
            assert scores[f"{row.model_1} + {row.model_2}"] == pytest.approx(ensemble, abs=1e-8)
    shoes = Manifest.read(manifests / "shoes/dataset/manifest.tsv")
    assert shoes.splits["test"].kept.tolist() == [5, 7, 9]
    assert set(shoes.splits["clean"].labels) == {5, 7, 9}
    noise = read(manifests / "noise/scores.tsv")
    assert {"nll", "accuracy"} <= {*noise["score"]}
    assert "nll" not in {*read(manifests / "second-look/scores.tsv")["score"]}
    run = read(manifests / "noise/cascades.tsv").set_index(["models", "then"])
    own = read(results / "cascades.tsv").query("listed and target == 'accuracy'")
    assert len(run) == len(own) > 0
    table = read(results / "robustness.tsv").set_index("models")
    assert table.at["base", "accuracy_noise"] < table.at["base", "accuracy"]
    assert read(results / "holds.tsv")["test"].unique().tolist() == [
        "shoes",
        "noise",
        "second-look",
    ]
    assert "What holds on other images" in (results / "summary.md").read_text()


def test_every_combination_is_scored_and_every_card_is_there(results):
    scores = read(results / "scores.tsv")
    pairs = read(results / "pairs.tsv").query("combination == 'probability'")
    found = scores.query("combination == 'probability' and score == 'accuracy'").set_index("models")
    for row in pairs.itertuples():
        both = found.loc[f"{row.model_1} + {row.model_2}"]
        assert both["value"] == pytest.approx(row.ensemble_accuracy, abs=1e-8)
    oracle = scores.query("combination == 'oracle'").set_index("models")["value"]
    for row in pairs.itertuples():
        right = row.both_right + row.only_1 + row.only_2
        assert oracle[f"{row.model_1} + {row.model_2}"] == pytest.approx(right, abs=1e-8)
    for name in ("single", "pair", "triple", "cascade"):
        card = json.loads((results / f"deployment/{name}.json").read_text())
        assert "missing" in card or len(card["self_test"]["probabilities"]) == 20
    assert read(results / "recommendations.tsv")["macs"].notna().all()


def test_updates_agree_with_pairs_and_scores(results):
    updates, pairs = read(results / "updates.tsv"), read(results / "pairs.tsv")
    scores = read(results / "scores.tsv").query("score == 'accuracy' and kind == 'pair'")
    scores = scores.set_index(["models", "combination"])["value"]
    assert updates["update"].unique().tolist() == ["base + high", "smoothing + base"]
    for _, rows in updates.groupby("update"):
        rows = rows.set_index("system")
        new, ends = rows.loc["new"], {rows["old"].iloc[0], rows["new"].iloc[0]}
        mine = pairs[
            [{a, b} == ends for a, b in zip(pairs["model_1"], pairs["model_2"], strict=True)]
        ]
        both = new["negative_flips"] + new["positive_flips"]
        assert both == pytest.approx(mine["error_inconsistency"].iloc[0])
        accuracies = dict(zip(mine.iloc[0][["model_1", "model_2"]],
                              mine.iloc[0][["accuracy_1", "accuracy_2"]], strict=True))  # fmt: skip
        assert new["gain"] == pytest.approx(accuracies[new["new"]] - accuracies[new["old"]])
        joint = " + ".join(mine.iloc[0][["model_1", "model_2"]])
        for name in ("probability", "logit", "weighted", "confident", "oracle"):
            assert rows.at[name, "accuracy"] == pytest.approx(scores[joint, name], abs=1e-8)
    for sheet in ("flip_sheets/base--high", "image_sheets/none-right"):
        assert (results / f"{sheet}.png").stat().st_size > 1000


def test_images_and_attributes_are_those_of_the_test_split(results):
    images, manifest = read(results / "images.tsv"), read_manifest(results / "dataset/manifest.tsv")
    test = manifest[manifest["split"] == "test"]
    assert images["id"].tolist() == test["id"].tolist()
    accuracy = read(results / "models.tsv")["accuracy"]
    assert images["right"].sum() == pytest.approx(10_000 * accuracy.sum())
    attributes = read(results / "attributes.tsv")
    assert attributes["id"].tolist() == test["id"].tolist()
    assert list(attributes)[1:] == ["brightness", "contrast", "fill"]
    parts = read(results / "class_specialisation.tsv")
    assert parts["what"].value_counts().to_dict() == {"class": 10, "group": 1, "attribute": 9}


def test_a_table_of_attributes_divides_a_folder(folder_study):
    checkout, _ = folder_study
    parts = read(checkout.path / "results/photos/update_classes.tsv")
    named = parts.loc[parts["what"] == "attribute", "class"].tolist()
    assert named == ["odd", "letter: a", "letter: b", "letter: c"]
    assert (parts.loc[parts["what"] == "attribute", "examples"] >= 18).all()
    assert (checkout.path / "results/photos/flip_sheets/again--base.png").exists()


def test_calibration_never_hurts_the_likelihood(results):
    table = read(results / "calibration.tsv")
    assert (table["nll_after"] <= table["nll_before"] + 1e-12).all()
    assert (table["temperature"] > 0).all()
    assert table["converged"].all()


def test_outputs_say_what_made_them(results):
    with h5py.File(results / "outputs/base/test.h5") as file:
        assert file["logits"].shape == (10000, 10)
        assert file["features"].shape == (10000, 32)
        for name in ("weights", "digest", "model", "preprocessing", "precision", "device", "torch"):
            assert file.attrs[name]
        assert json.loads(file.attrs["preprocessing"])["size"] == 28


def test_a_second_run_from_nothing_gives_the_same_numbers(results, tmp_path):
    again = Checkout.new(tmp_path / "again")
    again.run("results/small/models/simclr-tuned/checkpoint.safetensors")
    name = "models/simclr-tuned/checkpoint.safetensors"
    assert (again.path / "results/small" / name).read_bytes() == (results / name).read_bytes()


def test_killed_training_goes_on_from_its_last_epoch(results, tmp_path):
    checkout = Checkout.new(tmp_path / "killed")
    name = "results/small/models/high/checkpoint.safetensors"
    state = (checkout.path / name).with_name("resume.pt")
    command = [sys.executable, "-m", "snakemake", "--cores", "2", name, "--configfile", SMALL]
    process = subprocess.Popen(
        command, cwd=checkout.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not state.exists():
        assert time.monotonic() < deadline, "no epoch was finished"
        assert process.poll() is None, "finished too soon to be killed"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    checkout.run("--unlock")
    checkout.run(name)
    log = (checkout.path / "results/small/logs/train/high.log").read_text()
    assert "resuming after epoch" in log
    assert "epoch 1 of 3" not in log
    assert (checkout.path / name).read_bytes() == (results.parents[1] / name).read_bytes()
    assert not state.exists()


def test_a_folder_of_ones_own_images(folder_study):
    checkout, _ = folder_study
    models = read(checkout.path / "results/photos/models.tsv").set_index("model")
    assert (models.drop("mine")["accuracy"] > 0.6).all()
    assert (checkout.path / "results/photos/figures/figure7.png").stat().st_size > 0
    with h5py.File(checkout.path / "results/photos/outputs/base/test.h5") as file:
        assert file["ids"].asstr()[0] == "test/blue/00.png"


def test_weights_brought_by_the_user_are_used(folder_study):
    checkout, _ = folder_study
    outputs = checkout.path / "results/photos/outputs"
    with h5py.File(outputs / "base/test.h5") as base, h5py.File(outputs / "mine/test.h5") as mine:
        assert mine["logits"].shape == base["logits"].shape
        assert not np.array_equal(mine["logits"], base["logits"])
    assert Image.open(checkout.path / "photos/train/red/00.png").size == (40, 32)


def test_a_folder_of_pascal_voc_is_a_further_task(folder_study):
    checkout, study = folder_study
    results = checkout.path / "results/photos"
    table = read(results / "figures/figure7.tsv")
    assert table["what"].tolist() == ["model", "pair", "model"]
    # Both have learnt to tell the colours apart.
    assert (table["average_precision"] > 0.8).all()
    with h5py.File(results / "downstream/outputs/base/test.h5") as file:
        assert file["labels"].shape == (40, 3)
        assert file["ids"].asstr()[0] == "JPEGImages/200000.jpg"
    image = checkout.path / "voc/JPEGImages/000000.jpg"
    image.write_bytes((checkout.path / "voc/JPEGImages/000001.jpg").read_bytes())
    assert checkout.planned(study)["task_images"] == 3
