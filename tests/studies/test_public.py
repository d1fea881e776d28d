"""The numbers of public networks: measured independently, met from the embedded answers."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from workflow.lib.data.kinds import build_manifest
from workflow.lib.ensembles.answers import count_pairs
from workflow.lib.measures.calibration import confidence_error
from workflow.lib.measures.pairs import pair_table
from workflow.lib.outputs.answers import AnswersFile

ROOT = Path(__file__).resolve().parents[2]
STUDY = yaml.safe_load((ROOT / "studies/public.yaml").read_text())
SHARED = ROOT.parent / "shared/imagenet-predictions"
BASE = "inv2-resnet50"


@pytest.fixture(scope="module")
def manifest():
    own = {key: str(ROOT / STUDY["dataset"][key]) for key in ("path", "classes")}
    return build_manifest({"kind": "labels", "seed": 0, "splits": {}} | own)


@pytest.fixture(scope="module")
def answers(manifest):
    file = AnswersFile(str(ROOT / "resources/imagenet-answers/answers.npz"))
    return {
        key: file.of(own["column"], manifest.splits, "test", manifest.classes)
        for key, own in STUDY["models"].items()
    }


@pytest.fixture(scope="module")
def compared(manifest, answers):
    """Accuracy of each model and its error inconsistency with the base, in per cent."""
    labels = manifest.splits["test"].labels
    top = np.stack([own.top for own in answers.values()])
    right = top == labels
    counts = count_pairs(right, top, np.full((len(top), 1), np.nan), "confident")
    table = pair_table(counts, list(answers))
    rows = table[table["model_1"] == BASE].set_index("model_2")
    found = pd.DataFrame(
        {"accuracy": rows["accuracy_2"], "inconsistency": rows["error_inconsistency"]}
    )
    return (100 * found).assign(category=[STUDY["models"][key]["category"] for key in found.index])


def in_band(table, category):
    own = table[(table["category"] == category) & table["accuracy"].between(74, 78)]
    return own["inconsistency"]


def test_there_are_a_hundred_networks_and_their_controls():
    categories = [own["category"] for own in STUDY["models"].values()]
    assert len(categories) - categories.count("control") == 102
    assert next(iter(STUDY["models"])) == BASE


@pytest.mark.parametrize(
    ("category", "models", "mean", "least", "most"),
    [
        ("hparam", 1, 11.07, 11.07, 11.07),
        ("arch", 27, 12.06, 10.28, 14.01),
        ("fwork", 3, 13.23, 12.81, 13.47),  # without one run that may not be used commercially
        ("dataset", 3, 13.24, 12.02, 13.96),
    ],
)
def test_means_of_categories_in_the_band(compared, category, models, mean, least, most):
    own = in_band(compared, category)
    assert len(own) == models
    assert [own.mean(), own.min(), own.max()] == pytest.approx([mean, least, most], abs=0.0051)


def test_clip_and_the_noise_floor(compared):
    clip = compared.loc["kb-clip-vit-b16"]
    assert clip[["accuracy", "inconsistency"]].tolist() == pytest.approx([68.34, 24.37], abs=0.0051)
    floor = compared["inconsistency"][["kb-resnet50", "cn-pt-resnet50"]]
    assert floor.tolist() == pytest.approx([0.08, 8.59], abs=0.0051)


def test_clip_is_relatively_better_at_what_people_made(manifest, answers):
    labels = manifest.splits["test"].labels
    gaps = {}
    for name, (first, last) in STUDY["groups"].items():
        own = (labels >= first) & (labels <= last)
        accuracies = [
            (answers[key].top[own] == labels[own]).mean() for key in (BASE, "kb-clip-vit-b16")
        ]
        gaps[name] = accuracies[0] - accuracies[1]
    assert gaps["nature"] > gaps["anthropogenic"] + 0.04


def test_paper_rows_are_of_the_same_weights(compared):
    with open(ROOT / "resources/paper/models.csv", newline="", encoding="utf-8") as file:
        paper = {row["model"]: float(row["accuracy"]) for row in csv.DictReader(file)}
    rows = {key: own["paper"] for key, own in STUDY["models"].items() if "paper" in own}
    assert len(rows) == 8
    for key, row in rows.items():  # the paper's were run anew: preprocessing differs a little
        assert compared.loc[key, "accuracy"] == pytest.approx(paper[row], abs=0.5)


def test_all_that_is_embedded_is_used_and_says_where_it_is_from():
    with np.load(ROOT / "resources/imagenet-answers/answers.npz") as file:
        columns = file["models"].tolist()
    assert sorted(columns) == sorted(own["column"] for own in STUDY["models"].values())
    table = pd.read_csv(ROOT / "resources/imagenet-answers/models.csv", keep_default_na=False)
    assert table["key"].tolist() == columns
    assert set(table["licence"].str.split(" ").str[0]) == {"MIT", "Apache-2.0"}
    assert sum(p.stat().st_size for p in (ROOT / "resources/imagenet-answers").iterdir()) < 5e6


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs all runs, those for no commercial use too")
def test_all_numbers_measured_independently(manifest, answers):
    known = pd.read_csv(SHARED / "models.csv", keep_default_na=False).set_index("key")
    labels = manifest.splits["test"].labels
    base = answers[BASE].top == labels
    found, errors = {}, {}
    for part in ("", "nc-"):
        with np.load(SHARED / f"{part}predictions.npz") as file:
            tops = dict(zip(file["keys"].tolist(), file["predictions"].T, strict=True))
        with np.load(SHARED / f"{part}confidences.npz") as file:
            sure = dict(zip(file["keys"].tolist(), file["confidences"].T, strict=True))
        for key, top in tops.items():
            found[key] = 100 * ((top == labels) != base).mean()
            if key in sure:
                errors[key] = 100 * confidence_error(sure[key] / 65535, top == labels, bins=10)
    exact = known["error_inconsistency"].astype(float)
    assert pd.Series(found)[known.index].to_numpy() == pytest.approx(exact.to_numpy(), abs=6e-4)
    published = known.loc[list(errors), "ece10"].astype(float)
    assert list(errors.values()) == pytest.approx(published.to_numpy(), abs=6e-3)
    chosen = {own["column"] for own in STUDY["models"].values() if own["category"] != "control"}
    chosen |= {"ix-SimCLR", "ix-DINO"}
    own = known[known.index.isin(chosen) & (known.index != BASE)]
    own = own.assign(inconsistency=pd.Series(found), accuracy=own["accuracy"].astype(float))
    expected = {
        "hparam": (1, 11.07),
        "arch": (27, 12.06),
        "dataset": (3, 13.24),
        "fwork": (4, 13.41),
    }
    for category, (models, mean) in expected.items():
        values = in_band(own, category)
        assert len(values) == models
        assert values.mean() == pytest.approx(mean, abs=0.0051)
