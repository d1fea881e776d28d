"""`make study` writes a study of one's own images and models of timm, which runs as it is."""

import subprocess
import sys

import pandas as pd
import pytest

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import timm

from tests.run.conftest import Checkout
from tests.run.photographs import LITE, PHOTOGRAPHS, open_photograph, views, write_weights

HUB = ["resnet50.a1_in1k", "resnet50.a2_in1k", "vit_small_patch16_224.augreg_in21k_ft_in1k"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    """A checkout with photographs by class, and two folders of real weights as timm writes them."""
    made = Checkout.new(tmp_path_factory.mktemp("own"))
    for name in PHOTOGRAPHS:
        folder = made.path / "photos" / name
        folder.mkdir(parents=True)
        for split in ("train", "val"):
            for number, view in enumerate(views(open_photograph(name), split)):
                view.save(folder / f"{split}_{number}.jpg")
    for architecture in LITE[:2]:
        weights = made.path / f"{architecture}.safetensors"
        write_weights(architecture, weights)
        model = timm.create_model(architecture, checkpoint_path=weights)
        timm.models.save_for_hf(model, made.path / architecture, safe_serialization=True)
    return made


def write(checkout, name, models) -> str:
    """Run what `make study` runs."""
    command = [
        sys.executable,
        "-m",
        "workflow.lib.study.new",
        "--name",
        name,
        "--images",
        "photos",
        *models,
    ]
    done = subprocess.run(command, cwd=checkout.path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"snakemake --cores all --configfile studies/{name}.yaml" in done.stdout
    return f"studies/{name}.yaml"


def test_a_study_of_hub_models_is_planned_as_it_is_written(checkout):
    jobs = checkout.planned(write(checkout, "hub", HUB))
    assert jobs["extract"] == 3
    assert jobs["head"] == jobs["pretrained"] == 3
    assert "train" not in jobs


def test_a_study_of_folders_of_weights_runs_as_it_is_written(checkout):
    study = write(checkout, "local", [f"local-dir:{name}" for name in LITE[:2]])
    checkout.run(study=study)
    results = checkout.path / "results/local"
    models = pd.read_csv(results / "models.tsv", sep="\t").set_index("model")
    # A fitted head has learnt from other views of the same photographs.
    assert list(models.index) == ["tf-efficientnet-lite0", "tf-efficientnet-lite1"]
    assert (models["accuracy"] > 0.9).all()
    assert models["category"].tolist() == ["base", "arch"]
    for number in (3, 4, 5, 6):  # those over models need more of them
        assert (results / f"figures/figure{number}.pdf").stat().st_size > 1000
    assert "tf-efficientnet-lite1" in (results / "recommendations.tsv").read_text()
