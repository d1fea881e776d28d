"""A complete study says no more than its results depend on."""

import json
from copy import deepcopy
from dataclasses import astuple

import numpy as np
import pytest

from tests.lib.study.examples import ABSENT, ROOT, complete, edited
from workflow.lib.study.complete import geometry, partners
from workflow.lib.study.load import check, load, read

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
CLIP = {
    "size": 224,
    "crop": 1.0,
    "interpolation": "bicubic",
    "mean": [0.48145466, 0.4578275, 0.40821073],
    "std": [0.26862954, 0.26130258, 0.27577711],
}


def test_preprocessing_and_recipes_of_public_weights(public):
    assert check(public, "public.yaml") == []
    study = complete(public)
    networks = {key: network.recipe for key, network in study.networks.items()}
    at_224 = {"size": 224, "crop": 0.95, "interpolation": "bicubic", **IMAGENET}
    assert networks["base"] == {"head": "pretrained", "timm": "resnet50.a1_in1k", "input": at_224}
    assert networks["own"] == {
        "head": "pretrained",
        "timm": "resnet50",
        "options": {"drop_rate": 0.1},
        "checkpoint": "weights/own.pth",
        "input": networks["own"]["input"],
    }
    assert networks["squashed"]["input"] == at_224 | {"size": [64, 32], "crop_mode": "squash"}
    assert networks["clip"] == {
        "head": "pretraining", "open_clip": "ViT-B-32/openai", "input": CLIP,
    }  # fmt: skip
    assert networks["zero"] == {"head": "zero-shot", "input": CLIP}
    assert networks["clip-linear"] == {
        "head": "lbfgs", "input": CLIP, "data": ["train"], "seed": 0,
        "regularisation": [0.0001, 0.001, 0.01, 0.1, 1.0],
    }  # fmt: skip
    assert networks["mapped"] == {"head": "class-mapping", "input": networks["bit"]["input"]}
    assert networks["table"] == {"head": "logits", "logits": "brought/table.csv"}
    assert study.geometries["64x32-95-bicubic-3-squash"] == {
        "size": [64, 32], "crop": 0.95, "crop_mode": "squash", "interpolation": "bicubic",
        "channels": 3,
    }  # fmt: skip
    assert study.networks["table"].geometry == study.networks["base"].geometry
    assert study.networks["table"].parents == []
    assert json.loads(json.dumps(study.settings)) == study.settings


def test_what_tables_show_of_public_weights(public):
    models = complete(public).models
    shown = {key: (model.objective, model.train_data, model.head) for key, model in models.items()}
    assert shown == {
        "base": ("supervised", "ImageNet", "trained"),
        "own": ("supervised", "", "trained"),
        "squashed": ("supervised", "", "trained"),
        "zero": ("contrastive", "", "zero-shot"),
        "clip-linear": ("contrastive", "", "lbfgs"),
        "mapped": ("supervised", "", "class-mapping"),
        "table": ("masked modelling", "", "fine-tuned"),
        "arrays": ("", "", ""),
    }


def test_a_network_of_timm_is_fine_tuned_as_what_it_is(study):
    changes = {"pretraining.shades": {"timm": "resnet18.a1_in1k"}, "models.mapped": ABSENT}
    config = edited(study, changes)
    assert check(config, "f") == []
    recipe = complete(config).networks["tuned"].recipe
    assert (recipe["architecture"], recipe["options"]) == ("resnet18.a1_in1k", {})
    assert (recipe["input"]["size"], recipe["epochs"], recipe["labels"]) == (224, 3, "classes")


def test_models_without_features_or_weights_are_left_out_by_default(public):
    downstream = {"kind": "voc", "path": "VOC2007"}
    found = complete(edited(public, {"downstream": downstream, "pairs": [["base", "arrays"]]}))
    assert found.features.models == ["arrays"]
    assert found.downstream.models == ["base"]
    assert complete(public).features.models == ["clip-linear"]  # not the .csv file
    found = complete(edited(public, {"models.base": {"category": "base", "logits": "base.csv"}}))
    assert found.features.models == []


def test_the_order_of_outputs_is_part_of_a_recipe(study, public, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("dog\ncat\n")
    found = complete(edited(public, {"models.own.label_names": str(names)}))
    assert found.networks["own"].recipe["label_names"] == ["dog", "cat"]
    found = complete(edited(study, {"models.brought.label_names": ["emu", "ant"]}))
    assert found.networks["brought"].recipe["label_names"] == ["emu", "ant"]
    (mistake,) = check(edited(study, {"models.brought.label_names": ["a", "a"]}), "small.yaml")
    assert mistake == (
        "small.yaml: models.brought.label_names: 'a' is given twice; write the name of each output "
        "once"
    )
    (mistake,) = check(edited(study, {"models.brought.label_names": "none.txt"}), "small.yaml")
    assert "models.brought.label_names: cannot read none.txt" in mistake


def test_a_file_that_is_there_and_has_no_features_is_left_out(public, tmp_path):
    path = tmp_path / "arrays.npz"
    changes = {"models.arrays.logits": str(path), "pairs": [["base", "arrays"]]}
    assert complete(edited(public, changes)).features.models == ["arrays"]  # what is not there yet
    np.savez(path, logits=np.zeros((2, 2)))
    found = complete(edited(public, changes))
    assert found.features.models == [] and "figure6" not in found.figures
    changes["models.base"] = {"category": "base", "logits": str(path)}
    changes["pairs"] = [["base", "own"]]
    assert complete(edited(public, changes)).features.models == []


@pytest.mark.parametrize(
    ("recipe", "name"), [(False, "224-100-bicubic-3"), (True, "28-100-bilinear-1")]
)
def test_images_can_be_shown_where_all_logits_are_brought(study, recipe, name):
    brought = {
        key: {"category": own["category"], "logits": f"{key}.h5"}
        for key, own in study["models"].items()
    }
    changes = {"models": brought, "pretraining": ABSENT}
    config = edited(study, changes if recipe else changes | {"recipe": ABSENT})
    assert check(config, "f") == []
    found = complete(config)
    assert {network.geometry for network in found.networks.values()} == {name}
    assert list(found.geometries) == [name]


def test_a_training_is_completed_with_what_it_reads(study):
    chosen = {
        "schedule": "step", "warmup": 1, "milestones": [2, 4],
        "augmentation": "random-resized-crop", "crop_scale": [0.1, 1.0], "crop_ratio": [0.5, 2.0],
    }  # fmt: skip
    blocks = {"drop_block_stages": [3, 4], "drop_block_keep": 0.9}
    config = edited(study, {f"recipe.{key}": value for key, value in chosen.items()})
    config["pretraining"]["shades"]["augmentation"] = "shift-and-flip"
    config["models"]["seed-1"] |= {"schedule": "cosine", **blocks}
    assert check(config, "f") == []
    networks = complete(config).networks

    def optional(key):
        return {k: v for k, v in networks[key].recipe.items() if k in {*chosen, *blocks}}

    assert optional("base") == chosen
    assert optional("seed-1") == {
        **{key: value for key, value in chosen.items() if key != "milestones"},
        "schedule": "cosine",
        **blocks,
    }
    schedule = {key: chosen[key] for key in ("schedule", "warmup", "milestones")}
    assert optional("shades") == {**schedule, "augmentation": "shift-and-flip"}
    assert {key: optional("clip")[key] for key in schedule} == schedule
    assert "augmentation" not in optional("clip")
    assert networks["simclr"].recipe["crop_scale"] == [0.2, 1]
    assert optional("simclr")["crop_ratio"] == [0.5, 2.0]


def test_a_stand_in_is_named_as_one(study):
    study["models"]["strong"] |= {"stand_in": True, "paper": "ViT-G/14"}
    study["models"]["seed-1"] |= {"stand_in": True, "name": "Another"}
    models = complete(study).models
    assert models["strong"].name == "strong (stand-in for ViT-G/14)"
    assert (models["strong"].paper, models["strong"].stand_in) == ("ViT-G/14", True)
    assert models["seed-1"].name == "Another (stand-in)"


def test_groups_and_splits_of_imagenet_are_valid(study):
    changes = {
        "dataset.kind": "imagenet",
        "dataset.splits": {"train": "rest", "other": 9, "calibration": 10, "test": "rest"},
        "dataset.skip_corrupt": True,
        "groups": {"nature": [0, 300], "one": [7, 7], "tops": ["Shirt"]},
    }
    config = edited(study, changes)
    assert check(config, "f") == []
    found = complete(config)
    assert found.dataset.settings["skip_corrupt"]
    assert found.groups == changes["groups"]
    assert found.extraction == {"precision": "float32", "batch_size": 256, "compile": False}
    assert found.accuracy_tolerance == 0.01


def test_complete_recipes(study):
    networks = complete(study).networks
    recipe, image = study["recipe"] | {"learning_rate": 0.001}, study["recipe"]["input"]
    larger = image | {"size": 32, "crop": 0.875}
    assert networks["seed-1"].recipe == recipe | {"head": "trained", "seed": 1}
    assert networks["tuned"].recipe == recipe | {
        "head": "fine-tuned",
        "seed": 13,
        "epochs": 3,
        "input": larger,
    }
    assert networks["linear"].recipe == {
        "head": "lbfgs",
        "input": image,
        "data": ["train"],
        "seed": 0,
        "regularisation": [0.0001, 0.001, 0.01, 0.1, 1.0],
    }
    assert networks["zero"].recipe == {
        "head": "zero-shot",
        "input": image,
        "templates": ["a {}", "one {}"],
    }
    assert networks["mapped"].recipe == {
        "head": "class-mapping",
        "input": larger,
        "labels": "shades",
    }
    assert networks["brought"].recipe == {
        "head": "checkpoint",
        "architecture": "test_resnet",
        "options": {"drop_rate": 0.1},
        "input": image,
        "checkpoint": "weights/brought.pt",
    }
    distilled = networks["distilled"].recipe
    assert (distilled["head"], distilled["objective"]) == ("distilled", "distillation")
    assert distilled["temperature"] == 4.0
    assert "labels" not in distilled
    clip = networks["clip"].recipe
    assert (clip["head"], clip["objective"], clip["text_width"]) == ("pretraining", "clip", 64)
    assert "shift" not in networks["simclr"].recipe


def test_parents_geometries_and_display(study):
    study = complete(study)
    parents = {key: network.parents for key, network in study.networks.items()}
    assert {key: parent for key, parent in parents.items() if parent} == {
        "tuned": ["shades"],
        "linear": ["simclr"],
        "zero": ["clip"],
        "mapped": ["shades"],
        "distilled": ["strong"],
    }
    assert study.geometries == {
        "28-100-bilinear-1": _geometry(28, 1.0),
        "32-87p5-bilinear-1": _geometry(32, 0.875),
    }
    assert study.networks["mapped"].geometry == "32-87p5-bilinear-1"
    shown = {key: astuple(model)[:6] for key, model in study.models.items()}
    assert shown == {
        "base": ("The base", "base", "main", "supervised", "train", "trained"),
        "seed-1": ("seed-1", "reinit", "main", "supervised", "train", "trained"),
        "tuned": ("tuned", "fwork", "main", "supervised", "train", "fine-tuned"),
        "linear": ("linear", "fwork", "main", "contrastive", "train", "lbfgs"),
        "zero": ("zero", "dataset", "main", "contrastive", "other", "zero-shot"),
        "mapped": ("mapped", "dataset", "main", "supervised", "other", "class-mapping"),
        "distilled": ("distilled", "fwork", "main", "distillation", "train", "distilled"),
        "strong": ("strong", "dataset", "high", "supervised", "train + other", "trained"),
        "brought": ("brought", "dataset", "main", "supervised", "Photographs", "trained"),
    }


def _geometry(size, crop):
    return {"size": size, "crop": crop, "interpolation": "bilinear", "channels": 1}


def test_geometries_of_near_crops_differ():
    image = {"size": 224, "interpolation": "bicubic", "mean": [0, 0, 0]}
    assert geometry(image | {"crop": 0.875}) == "224-87p5-bicubic-3"
    assert geometry(image | {"crop": 0.88}) == "224-88-bicubic-3"
    border = {"crop": 1.0, "crop_mode": "border", "fill": [124, 116, 104]}
    assert geometry(image | border) == "224-100-bicubic-3-border-124-116-104"
    squashed = {"size": [1024, 768], "crop": 1.0, "crop_mode": "squash"}
    assert geometry(image | squashed) == "1024x768-100-bicubic-3-squash"


def changed(study, changes):
    """Networks whose recipes a change of the configuration changes."""
    before, after = complete(study).networks, complete(edited(study, changes)).networks
    return {key for key in before if before[key].recipe != after[key].recipe}


LEARNERS = {"base", "seed-1", "tuned", "distilled", "strong", "simclr", "clip", "shades"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"models.base.name": "Another"}, set()),
        ({"models.seed-1.category": "hparam", "models.seed-1.set": "low"}, set()),
        ({"models.brought.train_data": "Drawings", "title": "T", "band": [0, 1]}, set()),
        ({"dataset.splits.train": 60, "pairs": []}, set()),
        ({"models.base.epochs": 6}, {"base"}),
        ({"recipe.epochs": 6}, LEARNERS - {"tuned"}),
        ({"recipe.weight_decay": 0.1}, LEARNERS),
        ({"recipe.label_smoothing": 0.1}, {"base", "seed-1", "tuned", "strong", "shades"}),
        ({"recipe.shift": 0}, LEARNERS - {"simclr"}),
        ({"recipe.seed": 9}, {"base", "linear"}),
        ({"seed": 1000}, LEARNERS | {"linear"}),
        ({"recipe.architecture": "test_vit"}, LEARNERS | {"brought"}),
        ({"pretraining.shades.epochs": 9}, {"shades"}),
        ({"pretraining.clip.templates": ["{}"]}, {"clip", "zero"}),
        ({"models.zero.class_names": ["a", "b"]}, {"zero"}),
    ],
)
def test_a_change_changes_the_recipes_that_depend_on_it(study, changes, expected):
    assert check(edited(study, changes), "f") == []
    assert changed(study, changes) == expected


def test_one_seed_shifts_all_others(study):
    downstream = {"downstream": {"kind": "scenes", "split": "unseen", "seed": 3}}
    own, shifted = (complete(edited(study, downstream | more)) for more in ({}, {"seed": 1000}))
    for key, network in own.networks.items():
        seeds = [each.recipe.get("seed") for each in (network, shifted.networks[key])]
        assert seeds[0] is None or seeds[1] == seeds[0] + 1000
    for section in ("dataset", "features", "downstream"):
        assert getattr(shifted, section).seed == getattr(own, section).seed + 1000


def test_bases_are_the_base_and_reinitialised_models_unless_others_are_named(study):
    assert complete(study).bases == ["base", "seed-1"]
    assert complete(edited(study, {"bases": ["strong"]})).bases == ["base", "strong"]
    assert complete(edited(study, {"models.seed-1.set": "low"})).bases == ["base"]


def test_complete_study_is_plain_shares_nothing_and_is_deterministic(study):
    def containers(value):
        if isinstance(value, dict | list):
            yield value
            for item in value.values() if isinstance(value, dict) else value:
                yield from containers(item)

    before = deepcopy(study)
    once = complete(study).settings
    assert study == before
    found = [id(value) for value in [*containers(once), *containers(study)]]
    assert len(found) == len(set(found))
    assert json.dumps(complete(study).settings) == json.dumps(once)
    assert json.loads(json.dumps(once)) == once


def test_analyses_are_of_the_models_that_suit_unless_others_are_named(study):
    config = study
    found = complete(config)
    everything = list(config["models"])
    assert found.greedy.bases == ["strong"]
    assert found.greedy.pool == [key for key in everything if key != "strong"]
    assert found.features.models == ["seed-1"]
    assert found.features.base == "base"
    assert len(found.features.regularisation) == 45
    assert found.features.regularisation[::44] == [1e-6, 1e5]
    assert found.downstream is None
    assert "figure6" in found.figures
    assert "figure7" not in found.figures

    downstream = {"kind": "voc", "path": "VOC2007", "models": ["zero", "base"]}
    named = edited(config, {"downstream": downstream, "greedy": {"pool": ["zero", "tuned"]}})
    found = complete(named)
    assert found.greedy.pool == ["tuned", "zero"]  # ties go to the earlier model
    assert found.downstream.models == ["base", "zero"]
    assert "figure7" in found.figures


def test_a_study_without_pairs_or_strong_models_draws_what_is_left(study):
    config = edited(study, {"pairs": [], "models.strong.set": "main"})
    figures = ["pareto", "risk", "map", "clusters", "nats", "figure1", "figure2", "figure8"]
    assert complete(config).figures == [*figures, "sensitivity"]


def test_cards_are_of_what_is_recommended_and_of_named_ensembles(study):
    found = complete(edited(study, {"ensembles": {"mine": ["strong", "base"]}}))
    assert found.cards == ["single", "pair", "triple", "cascade", "mine"]
    own = found.deployed["base"]
    assert own["file"] == "results/small/models/base/checkpoint.safetensors"
    assert own["recipe"]["architecture"] == "test_resnet"
    external = {"category": "fwork", "logits": "other.csv", "macs": 4.1e9}
    found = complete(edited(study, {"models.tuned": external}))
    assert found.deployed["tuned"]["file"] == "other.csv"
    assert found.networks["tuned"].recipe["macs"] == 4.1e9


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7])
def test_every_pair_is_given_to_one_model_and_all_have_about_as_many(count):
    keys = [f"m{i}" for i in range(count)]
    found = partners(keys)
    assert [first for first, *_ in found.values()] == keys
    pairs = [frozenset((key, other)) for key, own in found.items() for other in own[1:]]
    assert len(pairs) == len(set(pairs)) == count * (count - 1) // 2
    sizes = [len(own) for own in found.values()]
    assert max(sizes) - min(sizes) <= 1


ON_IMAGENET = {
    "architecture": "resnet50",
    "augmentation": "random-resized-crop",
    "batch_size": 256,
    "crop_ratio": [0.75, 1.3333333333333333],
    "crop_scale": [0.08, 1.0],
    "data": ["train", "probe"],
    "flip": True,
    "input": {"crop": 0.875, "interpolation": "bicubic", "size": 224, **IMAGENET},
    "label_smoothing": 0.0,
    "labels": "classes",
    "objective": "supervised",
    "optimizer": "sgd",
    "options": {},
    "seed": 0,
    "shift": 0,
}
GREY = {"crop": 1.0, "interpolation": "bilinear", "mean": [0.286], "size": 28, "std": [0.353]}
PINNED = {
    "config.yaml": {
        "clip": {
            "head": "pretraining",
            "architecture": "test_resnet",
            "batch_size": 250,
            "context": 16,
            "data": ["other"],
            "epochs": 2,
            "flip": True,
            "input": GREY,
            "learning_rate": 0.006,
            "objective": "clip",
            "optimizer": "adamw",
            "options": {},
            "projection": 64,
            "seed": 32,
            "shift": 1,
            "templates": [
                "a photo of a {}",
                "a picture of a {}",
                "a small grey photo of a {}",
                "a product photo of a {}",
                "a {} for sale",
                "a {} on a dark background",
            ],
            "text_layers": 2,
            "text_width": 64,
            "weight_decay": 0.02,
        },
        "distilled": {
            "head": "distilled",
            "architecture": "test_resnet",
            "batch_size": 100,
            "data": ["train"],
            "epochs": 4,
            "flip": True,
            "input": GREY,
            "learning_rate": 0.006,
            "objective": "distillation",
            "optimizer": "adamw",
            "options": {},
            "seed": 26,
            "shift": 1,
            "temperature": 4.0,
            "weight_decay": 0.02,
        },
        "shades-mapped": {"head": "class-mapping", "input": GREY, "labels": "shades"},
    },
    "tests/run/small.yaml": {
        "simclr": {
            "head": "pretraining",
            "architecture": "test_resnet",
            "batch_size": 50,
            "crop_scale": [0.3, 1.0],
            "data": ["train"],
            "epochs": 2,
            "input": GREY,
            "jitter": 0.4,
            "learning_rate": 0.01,
            "objective": "simclr",
            "optimizer": "adamw",
            "options": {"channels": [16, 24, 24, 32]},
            "projection": 16,
            "seed": 11,
            "temperature": 0.2,
            "weight_decay": 0.02,
        },
    },
    "studies/imagenet.yaml": {
        "dropblock-34-09": {
            "head": "trained",
            **ON_IMAGENET,
            "drop_block_keep": 0.9,
            "drop_block_stages": [3, 4],
            "epochs": 90,
            "learning_rate": 0.1,
            "milestones": [30, 60, 80],
            "schedule": "step",
            "seed": 118,
            "warmup": 5,
            "weight_decay": 0.0001,
        },
        "simclr-tuned": {
            "head": "fine-tuned",
            **ON_IMAGENET,
            "epochs": 30,
            "learning_rate": 0.05,
            "schedule": "cosine",
            "seed": 202,
            "warmup": 0,
            "weight_decay": 0.0,
        },
        "clip-l-zs": {"head": "zero-shot", "input": CLIP | {"size": 336}},
        "deit-tiny": {
            "head": "pretrained",
            "timm": "deit_tiny_distilled_patch16_224.fb_in1k",
            "input": {"crop": 0.9, "interpolation": "bicubic", "size": 224, **IMAGENET},
        },
    },
}


@pytest.mark.parametrize("file", PINNED)
def test_recipes_of_the_repositorys_studies_are_what_they_were(file, monkeypatch):
    monkeypatch.chdir(ROOT)
    made = load(read(file), [file]).networks
    for key, recipe in PINNED[file].items():
        assert json.dumps(made[key].recipe, sort_keys=True) == json.dumps(recipe, sort_keys=True)
