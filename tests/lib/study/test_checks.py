"""Whatever is wrong between keys is named, and nothing else."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.lib.study.examples import ABSENT, ROOT, edited
from workflow.lib.study.load import check, read

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def test_small_study_is_valid(study):
    assert check(study, "small.yaml") == []


def test_seeds_may_be_shared_where_the_study_says_so(study):
    shared = {"models.strong.seed": 13, "pretraining.clip.seed": ABSENT, "shared_seeds": True}
    assert check(edited(study, shared), "small.yaml") == []


MISTAKES = [
    (
        {"ensembles": {"mine": ["base", "sed-1"]}},
        'ensembles.mine[1]: there is no model "sed-1"; did you mean "seed-1"?',
    ),
    (
        {"ensembles": {"mine": ["base"]}},
        "ensembles.mine: an ensemble has at least two models",
    ),
    (
        {"ensembles": {"pair": ["base", "seed-1"]}},
        "ensembles.pair: the name is that of a recommended one; choose another",
    ),
    (
        {"ensembles": {"My pair": ["base", "seed-1"]}},
        'ensembles.My pair: "My pair" is not a slug (up to 100 small letters, digits and single '
        'hyphens, such as "resnet-50")',
    ),
    (
        {"models.strong.macs": 1e9},
        "models.strong.macs: has no effect with the head trained",
    ),
    (
        {"models.zero": {"category": "dataset", "logits": "zero.h5", "macs": 0}},
        "models.zero.macs: must be above 0, not 0",
    ),
    (
        {"test_sets": {"v2": {}}},
        "test_sets.v2: must have one of kind, labels, answers, corruption: what this test set is; "
        "the key is missing",
    ),
    (
        {"test_sets": {"v2": {"kind": "imagenet", "path": "v2", "labels": "real.json"}}},
        "test_sets.v2: must have one of kind, labels, answers, corruption: what this test set is; "
        "not kind and labels",
    ),
    (
        {"test_sets": {"v2": {"kind": "imagenet"}}},
        "test_sets.v2.path: the key is missing; kind needs it",
    ),
    (
        {"test_sets": {"noise": {"corruption": "gaussian-noise"}}},
        "test_sets.noise.severity: the key is missing; corruption needs it",
    ),
    (
        {"test_sets": {"noise": {"corruption": "gausian-noise", "severity": 1}}},
        "test_sets.noise.corruption: must be one of gaussian-noise, shot-noise, blur, contrast, "
        'brightness, pixelate, jpeg, not "gausian-noise"; did you mean "gaussian-noise"?',
    ),
    (
        {"test_sets": {"noise": {"corruption": "jpeg", "severity": 6}}},
        "test_sets.noise.severity: must be at most 5, not 6",
    ),
    (
        {"recipe.batch_size": ABSENT, "recipe.batchsize": 100},
        'recipe.batchsize: unknown key; did you mean "batch_size"?',
    ),
    (
        {"test_sets": {"noise": {"corruption": "jpeg", "severity": 1, "sevrity": 2}}},
        'test_sets.noise.sevrity: unknown key; did you mean "severity"?',
    ),
    (
        {"test_sets": {"real": {"labels": "real.json", "images": 100}}},
        "test_sets.real.images: has no effect beside labels",
    ),
    (
        {"test_sets": {"v2": {"answers": "v2.npz"}}},
        "test_sets.v2.answers: is for studies of answers alone, and here are models of which more "
        "is known; name the images by `kind` and `path`",
    ),
    (
        {"test_sets": {"clean": {"labels": "real.json"}}},
        "test_sets.clean: the name is that of the study's own images; choose another",
    ),
    (
        {"test_sets": {"My set": {"labels": "real.json"}}},
        'test_sets.My set: "My set" is not a slug (up to 100 small letters, digits and single '
        'hyphens, such as "resnet-50")',
    ),
    (
        {"groups": {"few": [9, 2]}},
        "groups.few: must go from the first to the last class, not [9, 2]",
    ),
    (
        {"dataset.skip_corrupt": True},
        "dataset.skip_corrupt: has no effect with the kind fashion-mnist",
    ),
    (
        {"dataset.kind": "folder", "dataset.splits.train": "rest"},
        'dataset.splits: only one split can be "rest"',
    ),
    (
        {
            "dataset.kind": "imagenet",
            "dataset.splits": {"train": "rest", "other": 9, "calibration": "rest", "test": "rest"},
        },
        'dataset.splits: only one split among calibration and test can be "rest"',
    ),
    (
        {"models.brought.timm": "resnet50.a1_in1k", "models.brought.architecture": "resnet50"},
        "models.brought.architecture: has no effect with the weights of timm",
    ),
    (
        {"models.zero.logits": "zero.h5", "models.zero.head": ABSENT},
        "models.zero.from: has no effect with logits from a file",
    ),
    (
        {"models.zero": {"category": "dataset", "logits": "zero.h5", "timm": "resnet50.a1_in1k"}},
        "models.zero.timm: has no effect with logits from a file",
    ),
    (
        {"models.zero": {"category": "dataset", "logits": "zero.h5", "seed": 1}},
        "models.zero.seed: has no effect with logits from a file",
    ),
    (
        {"models.strong.sha256": "a" * 64},
        "models.strong.sha256: has no effect with the head trained",
    ),
    (
        {"models.strong": {"category": "dataset", "set": "high", "logits": "strong.h5"}},
        "models.distilled.teacher: strong has only logits: there are no weights to learn from",
    ),
    (
        {"models.strong.objective": "superwised"},
        "models.strong.objective: must be one of supervised, distillation, simclr, clip, not "
        '"superwised"; did you mean "supervised"?',
    ),
    (
        {"pretraining.simclr.objective": "simcrl"},
        "pretraining.simclr.objective: must be one of supervised, distillation, simclr, clip, not "
        '"simcrl"; did you mean "simclr"?',
    ),
    (
        {"recipe.objective": "superwised"},
        "recipe.objective: must be one of supervised, distillation, simclr, clip, not "
        '"superwised"; did you mean "supervised"?',
    ),
    (
        {"pretraining.shades.checkpoint": "weights/shades.pt"},
        "pretraining.shades.checkpoint: needs `timm` or `open_clip` beside it, which says what "
        "network the file is of",
    ),
    (
        {"models.base.paper": "ResNet-50", "models.base.stand_in": 1},
        "models.base.stand_in: must be true or false, not 1",
    ),
    # of trainings
    ({"models.base.warmup": 2}, "models.base.warmup: has no effect with the schedule one-cycle"),
    ({"recipe.warmup": 2}, "recipe.warmup: has no effect with the schedule one-cycle"),
    (
        {"models.base.schedule": "cosine", "models.base.milestones": [2]},
        "models.base.milestones: has no effect with the schedule cosine",
    ),
    (
        {"models.base.schedule": "step"},
        "models.base.milestones: the key is missing; the schedule step needs it",
    ),
    (
        {"models.base.schedule": "step", "models.base.milestones": [3, 2]},
        "models.base.milestones: must grow, unlike [3, 2]",
    ),
    (
        {"models.base.schedule": "cosine", "models.base.warmup": 5},
        "models.base.warmup: the warm-up of 5 epochs is not shorter than the training of 5",
    ),
    (
        {"recipe.schedule": "cosine", "recipe.warmup": 3},
        "models.tuned.epochs: the warm-up of 3 epochs is not shorter than the training of 3",
    ),
    (
        {"models.base.crop_ratio": [1, 2]},
        "models.base.crop_ratio: has no effect with the augmentation shift-and-flip",
    ),
    (
        {"models.base.augmentation": "random-resized-crop", "models.base.crop_ratio": [2, 1]},
        "models.base.crop_ratio: must go from the least to the greatest, not [2, 1]",
    ),
    (
        {"pretraining.simclr.crop_scale": [1, 0.2]},
        "pretraining.simclr.crop_scale: must go from the least to the greatest, not [1, 0.2]",
    ),
    (
        {"models.base.augmentation": "random-resized-crop", "models.base.shift": 1},
        "models.base.shift: has no effect with the augmentation random-resized-crop",
    ),
    (
        {"pretraining.shades.augmentation": "random-resized-crop"},
        "pretraining.shades.labels: shades are told apart in decoded images, and "
        "random-resized-crop decodes none; give it the augmentation shift-and-flip",
    ),
    (
        {"pretraining.clip.augmentation": "random-resized-crop"},
        "pretraining.clip.augmentation: has no effect with the objective clip",
    ),
    (
        {"models.base.drop_block_keep": 0.9},
        "models.base.drop_block_stages: the key is missing; drop_block_keep needs it",
    ),
    (
        {"models.base.drop_block_stages": [3, 4]},
        "models.base.drop_block_keep: the key is missing; drop_block_stages needs it",
    ),
    (
        {"models.base.input": {"crop_mode": "border"}},
        "models.base.input: the crop mode border needs `fill`, a value for each of 1 channels",
    ),
    (
        {"models.base.input": {"fill": [0]}},
        "models.base.input.fill: has no effect unless the crop_mode is border",
    ),
    ({"band": [0.9, 0.5]}, "band: must go from the lower to the higher accuracy, not [0.9, 0.5]"),
    (
        {"dataset.splits.test": 10},
        "dataset.splits.test: the name is that of the dataset's own test images",
    ),
    ({"dataset.splits.train": "rest"}, 'dataset.splits: only one split can be "rest"'),
    (
        {"models.base.category": "arch"},
        "models: exactly one model must be of the category base, not none",
    ),
    (
        {"models.seed-1.category": "base"},
        "models: exactly one model must be of the category base, not base and seed-1",
    ),
    (
        {"models.strong.seed": 13},
        'models.strong.seed: 13 is also the seed of "tuned"; give each network that is trained a '
        "seed of its own, or set shared_seeds: true if it is meant",
    ),
    (
        {"pretraining.clip.seed": ABSENT},
        'pretraining.clip.seed: 0 is also the seed of "base"; give each network that is trained a '
        "seed of its own, or set shared_seeds: true if it is meant",
    ),
    ({"bases": ["sead-1"]}, 'bases[0]: there is no model "sead-1"; did you mean "seed-1"?'),
    ({"models.base.set": "high"}, "models.base.set: the base must be in the set main"),
    (
        {"models.simclr": {"category": "fwork", "seed": 30}},
        "pretraining.simclr: a model has the same key; each network needs its own",
    ),
    (
        {"pairs": [["base", "sead-1"]]},
        'pairs[0]: there is no model "sead-1"; did you mean "seed-1"?',
    ),
    ({"pairs": [["base", "base"]]}, 'pairs[0]: pairs the model "base" with itself'),
    (
        {"updates": [["base", "stong"]]},
        'updates[0]: there is no model "stong"; did you mean "strong"?',
    ),
    (
        {"updates": [["base", "strong"], ["base", "base"]]},
        'updates[1]: updates the model "base" to itself; name the old model, then the new one',
    ),
    (
        {"updates": [["base", "strong"], ["strong", "base"], ["base", "strong"]]},
        "updates[2]: gives the update of base to strong twice",
    ),
    (
        {"pairs": [["base", "seed-1"], ["seed-1", "base"]]},
        "pairs[1]: gives the pair of seed-1 and base twice",
    ),
    (
        {"greedy": {"bases": ["strung"]}},
        'greedy.bases[0]: there is no model "strung"; did you mean "strong"?',
    ),
    (
        {"greedy": {"pool": ["tunned"]}},
        'greedy.pool[0]: there is no model "tunned"; did you mean "tuned"?',
    ),
    ({"greedy": {"pool": []}}, "greedy.pool: must have at least 1 item, not 0"),
    (
        {"greedy": {"bases": ["base"], "pool": ["base"]}},
        'greedy.pool: the pool holds only the base "base" itself',
    ),
    (
        {"models.strong.set": "main", "greedy": {"pool": ["tuned"]}},
        "greedy.bases: no model is of the set high; name some to begin with",
    ),
    ({"greedy": {"size": 1}}, "greedy.size: must be at least 2, not 1"),
    (
        {"features": {"models": ["liner"]}},
        'features.models[0]: there is no model "liner"; did you mean "linear"?',
    ),
    (
        {"features": {"models": ["linear"], "bases": ["bace"]}},
        'features.bases[0]: there is no model "bace"; did you mean "base"?',
    ),
    (
        {"features": {"models": ["linear"], "bases": ["base", "linear"], "seeds": 1}},
        "features.seeds: 2 bases, and 1 draws: each needs one",
    ),
    (
        {"features": {"models": ["linear"], "bases": ["linear"]}},
        "features.bases: linear is combined with itself alone; name another base",
    ),
    ({"features": {"data": "test"}}, "features.data: the split test must not be learnt from"),
    (
        {"features": {"data": "trane"}},
        'features.data: there is no split "trane"; did you mean "train"?',
    ),
    ({"downstream": {"kind": "voc"}}, "downstream.path: the key is missing"),
    ({"downstream": {"kind": "scenes"}}, "downstream.split: the key is missing"),
    (
        {"downstream": {"kind": "voc", "path": "VOC2007", "split": "other"}},
        "downstream.split: has no effect with the kind voc",
    ),
    (
        {"downstream": {"kind": "scenes", "split": "other"}},
        'downstream.split: the split other is learnt from by "clip"',
    ),
    (
        {"downstream": {"kind": "scenes", "split": "test"}},
        "downstream.split: the split test must not be learnt from",
    ),
    (
        {"models.linear.from": "simcrl"},
        'models.linear.from: there is no "simcrl" under pretraining; did you mean "simclr"?',
    ),
    (
        {"models.linear.from": ABSENT},
        "models.linear.from: the key is missing; the head lbfgs needs it",
    ),
    (
        {"models.distilled.teacher": "strang"},
        'models.distilled.teacher: there is no "strang" under models; did you mean "strong"?',
    ),
    (
        {"models.distilled.teacher": ABSENT},
        "models.distilled.teacher: the key is missing; the head distilled needs it",
    ),
    (
        {"models.distilled.teacher": "distilled"},
        "models.distilled.teacher: a model cannot teach itself: distilled learns from distilled",
    ),
    (
        {
            "models.strong.head": "distilled",
            "models.strong.teacher": "distilled",
        },
        "models.distilled.teacher: a model cannot teach itself: "
        "distilled learns from strong learns from distilled",
    ),
    (
        {"models.zero.from": "simclr", "models.zero.templates": ["{}"]},
        "models.zero.from: the head zero-shot needs a clip, and simclr is simclr",
    ),
    (
        {"models.mapped.from": "clip"},
        "models.mapped.from: the head class-mapping needs supervised pretraining on shades, "
        "or a network of timm, and clip is none",
    ),
    (
        {"pretraining.clip.templates": ABSENT},
        "pretraining.clip.templates: the key is missing; the objective clip needs it",
    ),
    (
        {"pretraining.simclr.temperature": ABSENT},
        "pretraining.simclr.temperature: the key is missing; the objective simclr needs it",
    ),
    (
        {"pretraining.clip.objective": "distillation", "models.zero.head": "lbfgs"},
        "pretraining.clip.objective: distillation is for models, not pretraining",
    ),
    ({"models.linear.epochs": 3}, "models.linear.epochs: has no effect with the head lbfgs"),
    ({"models.base.teacher": "strong"}, "models.base.teacher: has no effect with the head trained"),
    (
        {"models.base.templates": ["{}"]},
        "models.base.templates: has no effect with the head trained",
    ),
    (
        {"models.linear.class_names": ["a", "b"]},
        "models.linear.class_names: has no effect with the head lbfgs",
    ),
    (
        {"models.tuned.architecture": "test_vit"},
        "models.tuned.architecture: has no effect with the head fine-tuned",
    ),
    ({"models.brought.seed": 1}, "models.brought.seed: has no effect with a checkpoint"),
    (
        {"pretraining.simclr.labels": "shades"},
        "pretraining.simclr.labels: has no effect with the objective simclr",
    ),
    (
        {"models.seed-1.objective": "simclr"},
        "models.seed-1.objective: simclr gives no classifier; move it to pretraining, "
        "and name it with `from`",
    ),
    (
        {"models.distilled.head": "trained", "models.distilled.teacher": ABSENT},
        "models.distilled.objective: must be supervised with the head trained, not distillation",
    ),
    (
        {"models.strong.data": ["train", "othr"]},
        'models.strong.data: there is no split "othr"; did you mean "other"?',
    ),
    ({"recipe.data": ["trian"]}, 'recipe.data: there is no split "trian"; did you mean "train"?'),
    (
        {"recipe.data": ["calibration"]},
        "recipe.data: the split calibration must not be learnt from",
    ),
    (
        {"models.linear.data": ["test"]},
        "models.linear.data: the split test must not be learnt from",
    ),
    (
        {"recipe.input.mean": [0.3, 0.3]},
        "recipe.input: mean and std must have one value each, or three each, not 2 and 1",
    ),
    (
        {"pretraining.shades.input": {"mean": [0.3, 0.3]}},
        "pretraining.shades.input: mean and std must have one value each, or three each, "
        "not 2 and 1",
    ),
    (
        {"models.base.labels": "shades"},
        "models.base.labels: a model must learn classes; shades are for pretraining",
    ),
    (
        {"recipe.labels": "shades"},
        "recipe.labels: a model must learn classes; shades are for pretraining",
    ),
]


@pytest.mark.parametrize(("changes", "mistake"), MISTAKES, ids=[text for _, text in MISTAKES])
def test_each_mistake_is_named_and_nothing_else(study, changes, mistake):
    assert check(edited(study, changes), "small.yaml") == [f"small.yaml: {mistake}"]


PUBLIC_MISTAKES = [
    (
        {"models.base.timm": "resnt50.a1_in1k"},
        "models.base.timm: timm knows no 'resnt50.a1_in1k'; did you mean ",
    ),
    (
        {"models.base.timm": "resnet50"},
        "models.base.timm: 'resnet50' does not say which weights; timm has weights of resnet50 as ",
    ),
    (
        {"pretraining.clip.open_clip": "ViT-B-32/openia"},
        "pretraining.clip.open_clip: there is no 'ViT-B-32/openia'; open_clip has weights of ",
    ),
    (
        {"models.base.timm": "local-dir:nowhere"},
        "models.base.timm: local-dir:nowhere holds no config.json, as timm writes it",
    ),
    (
        {"models.arrays": {"category": "arch", "open_clip": "ViT-B-32/openai"}},
        "models.arrays.open_clip: is no classifier by itself; move it to pretraining, and name it "
        "with `from` and the head zero-shot or lbfgs",
    ),
    (
        {"models.base.head": "lbfgs"},
        "models.base.head: the head lbfgs needs a network under pretraining; move `timm` there, "
        "and name it with `from`",
    ),
    ({"models.base.seed": 1}, "models.base.seed: has no effect with the weights of timm"),
    (
        {"models.base.open_clip": "ViT-B-32/openai"},
        "models.base.open_clip: has no effect with the weights of timm",
    ),
    (
        {"models.zero.from": "bit"},
        "models.zero.from: the head zero-shot needs a clip, and bit is of timm, without texts",
    ),
    (
        {"models.mapped.from": "clip"},
        "models.mapped.from: the head class-mapping needs supervised pretraining on shades, or a "
        "network of timm, and clip is none",
    ),
    (
        {"dataset.kind": "folder"},
        "models.zero.templates: the key is missing; open_clip's own templates are for ImageNet's "
        "classes",
    ),
    (
        {"models.clip-linear.data": ABSENT},
        "models.clip-linear.data: the key is missing; the head lbfgs needs it",
    ),
    (
        {"models.own": {"category": "hparam"}},
        "recipe: the key is missing; models.own is trained here, and needs it",
    ),
    (
        {"models.own": {"category": "hparam", "architecture": "resnet18", "checkpoint": "a.pt",
                        "input": {"size": 32, "crop": 1.0, "interpolation": "bilinear"}}},
        "models.own.input: must say mean, std, since there is no `recipe` to take them from",
    ),
    (
        {"models.own": {"category": "hparam", "checkpoint": "a.pt",
                        "input": {"size": 9, "crop": 1.0, "interpolation": "nearest", **IMAGENET}}},
        "models.own.architecture: the key is missing; a checkpoint needs it",
    ),
    (
        {"models.zero.class_names": ["", "dog"]},
        "models.zero.class_names[0]: must not be empty",
    ),
    (
        {"pretraining.bit": {"checkpoint": "my.pth"}},
        "pretraining.bit.objective: the key is missing; say it, or `timm` or `open_clip`: what",
    ),
    (
        {"pretraining.bit": {"options": {"drop_rate": 0.1}}},
        "pretraining.bit.objective: the key is missing; say it, or `timm` or `open_clip`: what",
    ),
    (
        {"features": {"models": ["clip-linear", "table"]}},
        "features.models[1]: brought/table.csv holds no features; give an .npz or .h5 file "
        "with `features`, or leave the model out of features.models",
    ),
    (
        {
            "models.base": {"category": "base", "logits": "base.npy"},
            "features": {"models": ["own"]},
        },
        "models.base.logits: base.npy holds no features, with which others' are combined; give "
        "an .npz or .h5 file with `features`, or leave the model out of features.models",
    ),
    (
        {"downstream": {"kind": "voc", "path": "VOC2007", "models": ["base", "arrays"]}},
        "downstream.models[1]: arrays has only logits: there are no weights to run on other images",
    ),
    (
        {
            "models.base": {"category": "base", "logits": "base.npy"},
            "downstream": {"kind": "voc", "path": "VOC2007"},
        },
        "downstream.models: name models with weights: the base and those of features have only "
        "logits",
    ),
    (
        {"dataset.splits": {"calibration": 10, "test": "rest"},
         "models.clip-linear": {"category": "dataset", "from": "clip", "head": "zero-shot"}},
        'features.data: there is no split "train", from which the probes of figure 6 learn; draw '
        "one, or name another here",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "mistake"), PUBLIC_MISTAKES, ids=[text for _, text in PUBLIC_MISTAKES]
)
def test_each_mistake_about_public_weights_is_named_and_nothing_else(public, changes, mistake):
    (found,) = check(edited(public, changes), "public.yaml")
    assert found.startswith(f"public.yaml: {mistake}")


def test_unknown_names_come_with_the_nearest(public):
    (found,) = check(edited(public, {"models.base.timm": "resnt50.a1_in1k"}), "f")
    assert "resnet50.a1_in1k" in found
    (found,) = check(edited(public, {"pretraining.clip.open_clip": "VIT-B-32/openai"}), "f")
    assert "ViT-B-32/openai" in found


@pytest.mark.parametrize(
    ("source", "of"),
    [("open_clip: ViT-B-32/openai", "open_clip"), ("timm: 'local-dir:mine'", "local-dir:<folder>")],
)
def test_what_cannot_be_fine_tuned_is_told(study, tmp_path, monkeypatch, source, of):
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    config = {"architecture": "test_resnet", "num_classes": 10, "pretrained_cfg": {}}
    Path("mine/config.json").write_text(json.dumps(config))
    changes = {"pretraining.shades": yaml.safe_load(source), "models.mapped": ABSENT}
    assert check(edited(study, changes), "f") == [
        f"f: models.tuned.from: shades is of {of}, which cannot be fine-tuned here; choose the "
        f"head lbfgs"
    ]


def test_splits_of_a_folder_may_be_folders(study):
    study["dataset"] = {"kind": "folder", "path": "images", "seed": 0}
    assert check(study, "small.yaml") == []


@pytest.mark.parametrize(
    ("kind", "folders", "mistake"),
    [
        ("folder", ["train", "test"], 'there is no split "trian"; did you mean "train"?'),
        ("folder", ["train", "trian"], None),
        ("folder", [], None),  # not there, which is told when it is read
        ("parquet", [], 'there is no split "trian"; did you mean "train"?'),
    ],
)
def test_a_split_of_ones_own_images_is_missed_if_that_is_known(
    public, tmp_path, kind, folders, mistake
):
    for name in folders:
        (tmp_path / "photos" / name).mkdir(parents=True)
    changes = {"dataset.kind": kind, "dataset.path": str(tmp_path / "photos"),
               "models.zero.templates": ["a {}"]}  # fmt: skip
    study = edited(public, changes)
    assert check(study, "f") == []
    study["models"]["clip-linear"]["data"] = ["trian"]
    wanted = [f"f: models.clip-linear.data: {mistake}"] if mistake else []
    assert check(study, "f") == wanted
    study["models"]["clip-linear"]["data"] = ["calibration"]
    study["dataset"]["splits"] = {"calibration": 10, "test": "rest"}
    (missing, _) = check(study, "f")
    assert missing.startswith('f: features.data: there is no split "train", from which')


def places(value, path=()):
    for key, item in value.items():
        yield (*path, key)
        if isinstance(item, dict):
            yield from places(item, (*path, key))


@pytest.mark.parametrize(
    "value", [ABSENT, None, "base", [3], {}], ids=["absent", "none", "text", "list", "mapping"]
)
def test_no_key_that_is_wrong_is_a_crash(value):
    study = read(ROOT / "tests/run/small.yaml")
    assert check(study, "f") == []
    for place in places(study):
        found = check(edited(study, {".".join(place): value}), "f")
        assert all(line.startswith("f: ") for line in found)
        assert not any("nput should" in line for line in found)


def test_a_split_may_be_one_that_a_parquet_file_names(study, tmp_path):
    (tmp_path / "extra-00000-of-00001.parquet").touch()
    dataset = {"kind": "parquet", "path": str(tmp_path), "splits": {"train": 80}}
    changes = {f"dataset.{key}": value for key, value in dataset.items()}
    changes |= {"models.tuned.data": ["extra"], "pretraining.clip.data": ["train"]}
    changes |= {"pretraining.shades.data": ["train"], "models.strong.data": ["train"]}
    assert check(edited(study, changes), "small.yaml") == []
    changes["models.tuned.data"] = ["extras"]
    (mistake,) = check(edited(study, changes), "small.yaml")
    assert 'there is no split "extras"' in mistake


LOGITS = {"category": "arch", "logits": "b.npy"}
ANSWERS_MISTAKES = [
    ({"models.a.answers": "a.pkl"}, 'models.a.answers: "a.pkl" is not a file of answers'),
    ({"models.again.weights_of": ABSENT},
     "models.again.weights_of: the key is missing; a control has the weights of another model"),
    ({"models.again.weights_of": "c"}, 'models.again.weights_of: there is no model "c"'),
    ({"models.again.weights_of": "again"}, 'models.again.weights_of: "again" is a control itself'),
    ({"models.b.weights_of": "a"}, "models.b.weights_of: has no effect with the category arch"),
    ({"models.b": LOGITS},
     "models.a.answers: b has more than answers; a study has answers of all its models, or none"),
    ({"models.b.column": 3}, "models.b.column: must be text, not 3"),
    ({"greedy": {"size": 3}}, "greedy: needs logits or networks, and all models have answers"),
    ({"ensemble": "logit"}, "ensemble: needs logits or networks"),
    ({"dataset.splits": {"calibration": 9}},
     "dataset.splits: must name calibration and test and no other, with the kind labels"),
    ({"dataset.skip_corrupt": True}, "dataset.skip_corrupt: has no effect with the kind labels"),
    ({"attributes": "pixels"}, "attributes: the dataset is of the kind labels, without pixels"),
    ({"updates": [["a", "a"]]}, 'updates[0]: updates the model "a" to itself'),
    ({"models.b.seed": 1}, "models.b.seed: has no effect with answers from a file"),
]  # fmt: skip


def test_answers_alone_need_no_more_than_labels(answers):
    assert check(answers, "answers.yaml") == []


@pytest.mark.parametrize(
    ("changes", "mistake"), ANSWERS_MISTAKES, ids=[text for _, text in ANSWERS_MISTAKES]
)
def test_each_mistake_about_answers_is_named_and_nothing_else(answers, changes, mistake):
    (found,) = check(edited(answers, changes), "answers.yaml")
    assert found.startswith(f"answers.yaml: {mistake}")


def test_downstream_is_refused_once_for_each_reason(answers):
    changes = {"downstream": {"kind": "voc", "path": "VOC2007"}}
    found = check(edited(answers, changes), "f")
    assert "f: downstream: needs logits or networks, and all models have answers alone" in found


def test_a_column_is_one_of_the_file(answers, tmp_path):
    path = str(tmp_path / "all.npz")
    np.savez(path, answers=np.zeros((3, 2), int), models=["resnet", "vit"])
    changes = {"models.a.answers": path, "models.a.column": "resnet", "models.b.answers": path}
    (mistake,) = check(edited(answers, changes), "f")
    assert mistake.startswith(f"f: models.b.column: the key is missing; {path} is of 2 models")
    (mistake,) = check(edited(answers, changes | {"models.b.column": "vitt"}), "f")
    assert mistake == f'f: models.b.column: {path} has no model "vitt"; did you mean "vit"?'
    assert check(edited(answers, changes | {"models.b.column": "vit"}), "f") == []


def test_labels_without_images_take_outputs_and_nothing_else(answers, tmp_path):
    brought = {f"models.{key}": own | LOGITS for key, own in (
        ("a", {}), ("b", {}), ("again", {}))}  # fmt: skip
    brought["models.a"] = {"category": "base", "logits": "a.npy"}
    splits = {"dataset.splits": {"calibration": 9, "test": "rest"}}
    assert check(edited(answers, brought | splits), "f") == []
    trained = {"models.b": {"category": "arch", "timm": "resnet18.a1_in1k"}}
    (mistake,) = check(edited(answers, brought | splits | trained), "f")
    assert mistake.startswith("f: models.b: the dataset is of the kind labels, without images")
    path = tmp_path / "labels.csv"
    path.write_text("id,label\na,0\n")
    here = brought | {"dataset.path": str(path)}
    (mistake,) = check(edited(answers, here), "f")
    assert mistake.startswith("f: dataset.splits: temperatures are fitted on images of their own")
    path.write_text("id,label,split\na,0,test\nb,0,calibration\n")
    assert check(edited(answers, here), "f") == []
