"""studies/imagenet.yaml has each row of the paper's tables once, as what it says it is."""

import re

import pandas as pd
import pytest
import yaml

import workflow.lib.backends  # noqa: F401  (before timm and open_clip)

# isort: split
import open_clip
import timm

from workflow.lib.run.fingerprint import ROOT
from workflow.lib.study.load import load, read

STUDY = read(ROOT / "studies/imagenet.yaml")
MODELS = STUDY["models"]
ROWS = pd.read_csv(ROOT / "resources/paper/models.csv", dtype=str, keep_default_na=False)
BY_ROW = {model["paper"]: model for model in MODELS.values() if "paper" in model}
SETS = {"1": "main", "2": "high", "3": "low", "4": "main"}
OTHER_STAND_INS = {"ViT-B/16": "vit_base_patch32_224.augreg_in1k"}
"""Stand-ins that are nearer than those of the table; the study's comments say why."""


def weights(model: dict) -> tuple[str, str]:
    """Library and checkpoint that a model takes its weights from, as resources/paper has them."""
    source = STUDY["pretraining"][model["from"]] if "from" in model else model
    for library in ("timm", "open_clip"):
        if library in source:
            return library, source[library].replace("/", ":")
    return "", ""


def test_every_row_of_the_paper_is_one_model_and_no_model_but_the_base_is_without_one():
    assert len(ROWS) == 84
    assert sorted(BY_ROW) == sorted(ROWS["model"])
    assert [key for key, model in MODELS.items() if "paper" not in model] == ["base"]
    assert len(MODELS) == 85


@pytest.mark.parametrize("row", ROWS.to_dict("records"), ids=lambda row: row["model"])
def test_a_row_is_what_it_says_it_is(row):
    model = BY_ROW[row["model"]]
    assert model["category"] == row["category"]
    assert model.get("set", "main") == SETS[row["table"]]
    assert model.get("stand_in", False) == (row["public"] == "substitute")
    found = weights(model)
    if row["public"] == "train":
        assert found == ("", "")
        assert model["train_data"] == "ImageNet"
    elif row["model"] in OTHER_STAND_INS:
        assert found == ("timm", OTHER_STAND_INS[row["model"]])
    else:
        assert found == (row["source"], row["checkpoint"])
    if row["public"] != "substitute":
        assert model["name"] == row["model"]
        assert model["train_data"] == row["train_data"]
    by_default = "fine-tuned" if "from" in model else "trained"
    if row["public"] != "substitute" or row["head"] in ("zero-shot", "lbfgs", "class-mapping"):
        assert model.get("head", by_default) == row["head"]


@pytest.mark.parametrize(
    ("pattern", "key"),
    [
        (r"Dropout ([\d.]+)", "drop_rate"),
        (r"Label Smoothing ([\d.]+)", "label_smoothing"),
        (r"(?:Learning Rate|LR) ([\d.]+)", "learning_rate"),
        (r"(?:Weight Decay|WD) ([\d.]+)", "weight_decay"),
        (r"DropBlock \d+, ([\d.]+)", "drop_block_keep"),
    ],
)
def test_the_sweep_has_the_values_that_its_names_tell(pattern, key):
    told = {}
    for name, model in BY_ROW.items():
        value = {**model, **model.get("options", {})}.get(key)
        if match := re.search(pattern, name):
            told[name] = float(match[1])
            assert value == told[name], name
        elif name != "SimCLR":
            assert value is None, name
    assert len(told) == sum(bool(re.search(pattern, name)) for name in ROWS["model"]) > 5
    stages = {name: model["drop_block_stages"] for name, model in BY_ROW.items()
              if "drop_block_stages" in model}  # fmt: skip
    assert {name: re.search(r"DropBlock (\d+)", name)[1] for name in stages} == {
        name: "".join(map(str, each)) for name, each in stages.items()
    }


def test_every_seed_of_the_sweep_is_its_own():
    trained = [key for key, model in MODELS.items() if weights(model) == ("", "")]
    seeds = [
        MODELS[key].get("seed", STUDY["recipe"]["seed"]) for key in trained if key != "simclr-tuned"
    ]
    assert len(set(seeds)) == len(seeds) == 52


def test_the_hubs_have_every_checkpoint():
    networks = [*STUDY["pretraining"].values(), *MODELS.values()]
    ours = {network["timm"] for network in networks if "timm" in network}
    clips = {network["open_clip"] for network in networks if "open_clip" in network}
    assert len(ours) == 26
    assert ours <= set(timm.list_pretrained())
    assert len(clips) == 3
    assert clips <= {"/".join(pair) for pair in open_clip.list_pretrained()}


def test_stand_ins_of_the_main_analyses_are_inside_the_band():
    accuracy = pd.read_csv(ROOT / "resources/accuracy/published.csv").set_index("checkpoint")
    for name in ("ViT-B/16", "ViT-S/16", "ALIGN-ZS"):
        _, checkpoint = weights(BY_ROW[name])
        published = accuracy.loc[checkpoint.replace(":", "/"), "imagenet"]
        assert STUDY["band"][0] <= published <= STUDY["band"][1], name


def test_every_test_set_that_it_names_may_be_taken_in(monkeypatch):
    monkeypatch.chdir(ROOT)
    lines = (ROOT / "studies/imagenet.yaml").read_text().splitlines()
    start = lines.index("#test_sets:")
    block = [line[1:] for line in lines[start : lines.index("", start)]]
    added = yaml.safe_load("\n".join(block))
    assert {"v2", "a", "r", "sketch", "objectnet", "real"} < {*added["test_sets"]}
    study = load(STUDY | added, ["studies/imagenet.yaml"])
    assert list(study.test_sets) == list(added["test_sets"])
    # As it stands, it needs none of them.
    assert "test_sets" not in STUDY
