"""ImageNet: three real models through the whole path, and the paper's study planned and reduced."""

import re
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import timm
from timm.data import ImageNetInfo, create_transform, resolve_model_data_config

from tests.close import assert_same_to_scale
from tests.run.conftest import Checkout, write_voc
from tests.run.photographs import CATS, LITE, PHOTOGRAPHS, write_imagenet, write_weights

STUDY = "tests/run/photographs.yaml"
REDUCED = "tests/run/reduced.yaml"
IMAGENET = "studies/imagenet.yaml"
PUBLIC = "studies/imagenet-public.yaml"
SYNSETS = [ImageNetInfo().index_to_label_name(index) for index in range(1000)]
LABELS = {name: SYNSETS.index(synset) for name, (_, _, synset) in PHOTOGRAPHS.items()}
PAPER_ACCURACY, PAPER_INCONSISTENCY = 0.7688, 0.1136  # of EfficientNet-B0, table 1


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """A small folder in the layout of ImageNet, one of VOC, and three files of real weights."""
    folder = tmp_path_factory.mktemp("stand-in")
    for split in ("train", "val"):
        write_imagenet(folder / "imagenet", split)
    write_voc(folder / "VOCdevkit/VOC2007", np.random.default_rng(0))
    (folder / "weights").mkdir()
    for architecture in LITE:
        write_weights(architecture, folder / f"weights/{architecture}.safetensors")
    return folder


def with_images(stand_in, path) -> Checkout:
    """A fresh checkout with the stand-in folder's content in it."""
    checkout = Checkout.new(path)
    shutil.copytree(stand_in, path, dirs_exist_ok=True)
    return checkout


@pytest.fixture(scope="module")
def photographs(stand_in, tmp_path_factory) -> Checkout:
    """A finished study of three real models on the photographs, and one head fitted to them."""
    checkout = with_images(stand_in, tmp_path_factory.mktemp("photographs"))
    checkout.run(study=STUDY)
    return checkout


def read(checkout, name) -> pd.DataFrame:
    return pd.read_csv(checkout.path / "results/photographs" / name, sep="\t")


def outputs(checkout, model) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Ids, logits and labels of a model on the test images."""
    with h5py.File(checkout.path / f"results/photographs/outputs/{model}/test.h5") as file:
        return file["ids"].asstr()[:].tolist(), file["logits"][:], file["labels"][:]


def test_the_manifest_has_the_official_classes(photographs):
    path = photographs.path / "results/photographs/dataset/manifest.tsv"
    rows = pd.read_csv(path, sep="\t", comment="#")
    assert rows["split"].value_counts().to_dict() == {"train": 56, "test": 42, "calibration": 14}
    of = rows["id"].str.extract(r"/(n\d+)/(\w+)_\d")
    assert (rows["label"] == of[1].map(LABELS)).all()
    assert [SYNSETS[label] for label in rows["label"]] == of[0].tolist()
    _, logits, _ = outputs(photographs, "lite0")
    assert logits.shape == (42, 1000)


@pytest.mark.parametrize("architecture", LITE)
def test_logits_are_those_of_timms_own_evaluation(photographs, architecture):
    checkpoint = photographs.path / f"weights/{architecture}.safetensors"
    model = timm.create_model(architecture, checkpoint_path=checkpoint).eval()
    transform = create_transform(**resolve_model_data_config(model), is_training=False)
    ids, ours, labels = outputs(
        photographs, architecture.rpartition("_")[2].removeprefix("efficientnet-")
    )
    folder = photographs.path / "imagenet"
    with torch.inference_mode():
        images = [transform(Image.open(folder / name).convert("RGB")) for name in ids]
        theirs = model(torch.stack(images)).numpy()
    assert_same_to_scale(ours, theirs)
    assert (ours.argmax(1) == theirs.argmax(1)).all()
    assert [LABELS[name.split("/")[-1].split("_")[0]] for name in ids] == labels.tolist()


def test_real_models_are_right_on_photographs(photographs):
    models = read(photographs, "models.tsv").set_index("model")
    for key in ("lite0", "lite1", "lite2"):
        ids, logits, labels = outputs(photographs, key)
        top = logits.argmax(1)
        shown = np.array([name.split("/")[-1].split("_")[0] for name in ids])
        assert models.at[key, "accuracy"] == (top == labels).mean() > 0.5
        for name in ("camera", "coffee", "china"):
            assert (top[shown == name] == LABELS[name]).all(), name
        assert set(top[shown == "chelsea"]) <= set(CATS)
    assert models.at["linear", "accuracy"] > 0.5


def test_pairs_are_counted_from_these_logits(photographs):
    pairs = read(photographs, "pairs.tsv")
    row = pairs[(pairs["model_1"] == "lite0") & (pairs["model_2"] == "lite1")].iloc[0]
    right = {}
    for key in ("lite0", "lite1"):
        _, logits, labels = outputs(photographs, key)
        right[key] = logits.argmax(1) == labels
    assert row["error_inconsistency"] == (right["lite0"] != right["lite1"]).mean() > 0
    assert row["examples"] == 42


def test_groups_are_ranges_of_the_official_indices(photographs):
    table = read(photographs, "class_specialisation.tsv")
    groups = table[table["what"] == "group"].set_index("class")["examples"]
    # Of each photograph six of its eight views are test images; the cat alone is nature, and coffee
    # is of neither.
    assert groups.to_dict() == {"nature": 6, "anthropogenic": 30}
    classes = table[table["what"] == "class"]
    assert len(classes) == 1000
    assert classes["examples"].sum() == 42


def test_the_papers_row_stands_beside_ours_and_a_stand_in_is_named(photographs):
    rows = read(photographs, "tables/table1.tsv").set_index("model")
    assert rows.at["lite1", "paper_accuracy"] == pytest.approx(PAPER_ACCURACY)
    assert rows.at["lite1", "paper_error_inconsistency"] == pytest.approx(PAPER_INCONSISTENCY)
    assert rows["paper_accuracy"].count() == 1
    results = photographs.path / "results/photographs"
    for place in ("tables/table1.md", "tables/table1.tex", "figures/figure1.tsv", "report.html"):
        assert "stand-in" in (results / place).read_text(), place
    assert "76.88" in (results / "tables/table1.md").read_text()


def test_every_figure_is_there(photographs):
    figures = photographs.path / "results/photographs/figures"
    for name in ("figure1", "figure2", "figure3", "figure4", "figure5", "figure6", "figure8"):
        assert (figures / f"{name}.pdf").stat().st_size > 1000
    page = (photographs.path / "results/photographs/report.html").read_text()
    assert page.count("<img") >= 9


def plan(checkout, *studies: str) -> dict[str, int]:
    """Count the jobs that Snakemake would run for studies merged, by rule."""
    output = checkout.run("--dry-run", "--configfile", *studies, study=None)
    table = output.rpartition("Job stats:")[2].partition("\n\n")[0]
    return {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


def test_the_papers_study_is_planned_in_full(stand_in, tmp_path):
    checkout = with_images(stand_in, tmp_path / "checkout")
    jobs = plan(checkout, IMAGENET)
    # ResNet-50 and its sweep of 51; SimCLR, and its fine-tuning.
    assert jobs["train"] + jobs.get("train_parent", 0) == 54
    assert jobs["pretrained"] == 29  # 25 models as they are, and four networks for seven heads
    assert jobs["head"] == 7
    assert jobs["extract"] == 85
    public = plan(checkout, IMAGENET, PUBLIC)
    assert public["extract"] == 33
    assert public["pretrained"] == 30  # the base too
    assert public["head"] == 7
    assert not {"train", "train_parent"} & public.keys()


def test_the_papers_study_runs_reduced(stand_in, tmp_path):
    checkout = with_images(stand_in, tmp_path / "checkout")
    checkout.run("--configfile", IMAGENET, REDUCED, study=None)
    results = checkout.path / "results/reduced"
    table = pd.concat(
        pd.read_csv(results / f"tables/table{number}.tsv", sep="\t") for number in (1, 2, 3, 4)
    ).set_index("model")
    assert list(table.index) == [
        "base", "reinit", "smoothing-01", "efficientnet-b0", "efficientnet-b3",
    ]  # fmt: skip
    assert table["paper_accuracy"].tolist()[1:] == pytest.approx([0.7620, 0.7622, 0.7688, 0.8089])
    assert (table["accuracy"][["efficientnet-b0", "efficientnet-b3"]] > 0.5).all()
    greedy = pd.read_csv(results / "greedy.tsv", sep="\t")
    assert set(greedy["base"]) == {"efficientnet-b3"}
    downstream = sorted(path.stem for path in (results / "downstream/probes").glob("[!.]*.tsv"))
    assert downstream == sorted(table.index)
    for number in range(1, 9):
        assert (results / f"figures/figure{number}.pdf").stat().st_size > 1000
