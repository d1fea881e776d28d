"""Logits brought as files give the numbers that the very networks gave."""

import csv
import re

import h5py
import numpy as np
import pandas as pd
import pytest

from tests.run.conftest import SMALL

BROUGHT = {
    "  efficientnet: {category: arch, architecture: test_efficientnet, options: {}, seed: 3}":
        "  efficientnet: {category: arch, logits: brought/efficientnet.h5}",
    "  clip-linear: {category: dataset, from: clip, head: lbfgs}":
        "  clip-linear: {category: dataset, logits: brought/clip-linear.npz}",
    "  low: {category: hparam, set: low, epochs: 1, seed: 7}":
        "  low: {category: hparam, set: low, logits: brought/low.csv}",
}  # fmt: skip
RULES = ("template", "external", "external_features")


def export(checkout, model, splits):
    """Take ids, logits and features of a model from its outputs, one split after the other."""
    arrays = {"ids": [], "logits": [], "features": []}
    for split in splits:
        path = checkout.path / f"results/small/outputs/{model}/{split}.h5"
        with h5py.File(path) as file:
            arrays["ids"].append(file["ids"].asstr()[:].astype(str))
            arrays["logits"].append(file["logits"][:])
            arrays["features"].append(file["features"][:])
    return {name: np.concatenate(parts) for name, parts in arrays.items()}


@pytest.fixture
def bringing(checkout):
    """The small study, with logits of three of its networks in files instead."""
    folder = checkout.path / "brought"
    folder.mkdir()
    outputs = export(checkout, "efficientnet", ["calibration", "test"])
    with h5py.File(folder / "efficientnet.h5", "w") as file:
        # Neither ids nor features, and rows of train as well, of which nothing needs this model's.
        file["logits"] = np.pad(outputs["logits"], ((0, 1_500), (0, 0)))
    outputs = export(checkout, "clip-linear", ["test", "train", "calibration"])
    np.savez(folder / "clip-linear.npz", **outputs)
    outputs = export(checkout, "low", ["calibration", "test"])
    with open(folder / "low.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([*range(outputs["logits"].shape[1]), "id"])
        rows = zip(outputs["logits"], outputs["ids"], strict=True)
        table.writerows([*map(str, values), example] for values, example in rows)
    for old, new in BROUGHT.items():
        checkout.edit(SMALL, old, new)
    return checkout


def numbers(checkout):
    folder = checkout.path / "results/small"
    tables = ["pairs", "models", "greedy", "features/clip-linear"]
    return [
        pd.read_csv(folder / f"{name}.tsv", sep="\t").select_dtypes(["number", "bool"])
        for name in tables
    ]


def test_brought_logits_give_the_same_numbers(bringing):
    before = numbers(bringing)
    planned = bringing.planned()
    assert {rule: planned.get(rule, 0) for rule in RULES} == {
        "template": 0, "external": 3, "external_features": 1,
    }  # fmt: skip
    assert not {"train", "head", "images", "dataset"} & set(planned)
    bringing.run()
    for old, new in zip(before, numbers(bringing), strict=True):
        pd.testing.assert_frame_equal(old, new, check_exact=True)
    assert bringing.planned() == {}


def test_a_file_that_is_not_there_is_told_and_the_template_can_still_be_had(bringing):
    (bringing.path / "brought/low.csv").unlink()
    output = bringing.snakemake("--dry-run")
    assert output.returncode != 0
    assert re.search(
        r"models\.low\.logits: there is no file brought/low\.csv; the command `snakemake "
        r"--cores 1 --configfile <yours> -- results/small/template/images\.csv`", output.stdout,
    )  # fmt: skip
    bringing.run("results/small/template/images.csv")
    folder = bringing.path / "results/small/template"
    images = pd.read_csv(folder / "images.csv")
    assert images["split"].value_counts().to_dict() == {
        "test": 10_000, "train": 1_500, "calibration": 500,
    }  # fmt: skip
    assert pd.read_csv(folder / "classes.csv")["class"][9] == "ankle boot"


def test_a_bad_file_is_named_and_leaves_nothing(bringing):
    path = bringing.path / "brought/efficientnet.h5"
    with h5py.File(path, "r+") as file:
        file["logits"][7, 3] = np.nan
    output = bringing.snakemake("--until", "external")
    assert output.returncode != 0
    assert "brought/efficientnet.h5: the logits of image 'train/" in output.stdout
    folder = bringing.path / "results/small/outputs/efficientnet"
    assert not list(folder.glob("*.part"))
    assert not (folder / "test.h5").exists()


def test_rows_without_ids_are_not_given_to_images_that_are_drawn_anew(bringing):
    target = "results/small/outputs/efficientnet/test.h5"
    bringing.run(target)
    record = bringing.path / "results/small/models/efficientnet/order.sha256"
    before = record.read_text()
    drawn = "  path: resources/fashion-mnist\n  seed: "
    bringing.edit(SMALL, f"{drawn}0", f"{drawn}1")
    output = bringing.snakemake(target)
    assert output.returncode != 0
    assert "brought/efficientnet.h5 names no images, and the study's images or" in output.stdout
    assert f"delete {record.relative_to(bringing.path)}" in output.stdout
    assert record.read_text() == before
    record.unlink()
    bringing.run(target)
    assert record.read_text() != before
