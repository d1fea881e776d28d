"""Mistakes are all found and named; a complete study says no more than its results depend on."""

import json
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from workflow.lib.study import configuration
from workflow.lib.study.configuration import (
    ConfigurationError,
    check,
    complete,
    geometry,
    load,
    read,
)

ROOT = Path(__file__).parents[3]
STUDY = """
study: small
dataset: {kind: fashion-mnist, path: images, seed: 0, splits: {train: 80, other: rest, calibration: 20}}
band: [0.5, 0.9]
pairs: [[base, seed-1]]
recipe:
  architecture: test_resnet
  options: {drop_rate: 0.1}
  objective: supervised
  data: [train]
  labels: classes
  seed: 0
  epochs: 5
  batch_size: 10
  optimizer: adamw
  learning_rate: 1e-3
  weight_decay: 0.02
  label_smoothing: 0.0
  shift: 2
  flip: true
  input: {size: 28, crop: 1.0, interpolation: bilinear, mean: [0.3], std: [0.4]}
pretraining:
  simclr: {objective: simclr, temperature: 0.2, projection: 64, crop_scale: [0.2, 1], jitter: 0.4}
  clip: {objective: clip, data: [other], projection: 64, templates: ["a {}", "one {}"]}
  shades: {labels: shades, data: [other], input: {size: 32, crop: 0.875}}
models:
  base: {name: The base, category: base}
  seed-1: {category: reinit, seed: 1}
  tuned: {category: fwork, from: shades, epochs: 3}
  linear: {category: fwork, from: simclr, head: lbfgs}
  zero: {category: dataset, from: clip, head: zero-shot}
  mapped: {category: dataset, from: shades, head: class-mapping}
  distilled: {category: fwork, objective: distillation, teacher: strong}
  strong: {category: dataset, set: high, data: [train, other]}
  brought: {category: dataset, checkpoint: weights/brought.pt, train_data: Photographs}
"""  # noqa: E501
PUBLISHED = {
    "study": "print",
    "published": {
        "table": "models.csv",
        "base": {"name": "ResNet-50", "accuracy": 0.76},
        "examples": 50000,
    },
    "band": [0.74, 0.78],
}
ABSENT = object()


def edited(config, changes):
    """Copy a configuration with values at dotted key paths changed, added or taken out."""
    config = deepcopy(config)
    for path, value in changes.items():
        *above, last = path.split(".")
        part = config
        for key in above:
            part = part[key]
        if value is ABSENT:
            del part[last]
        else:
            part[last] = value
    return config


PUBLIC = """
study: public
dataset: {kind: imagenet, path: imagenet, seed: 0, splits: {train: rest, calibration: 10, test: rest}}
band: [0.5, 0.9]
pairs: [[base, clip-linear], [base, table]]
pretraining:
  clip: {open_clip: ViT-B-32/openai}
  bit: {timm: resnetv2_50x1_bit.goog_in21k, objective: supervised}
models:
  base: {category: base, timm: resnet50.a1_in1k, train_data: ImageNet}
  own: {category: hparam, timm: resnet50, checkpoint: weights/own.pth, options: {drop_rate: 0.1}}
  squashed: {category: arch, timm: resnet18.a1_in1k, input: {size: [64, 32], crop_mode: squash}}
  zero: {category: dataset, from: clip, head: zero-shot}
  clip-linear: {category: dataset, from: clip, head: lbfgs, data: [train]}
  mapped: {category: dataset, from: bit, head: class-mapping}
  table: {category: fwork, logits: brought/table.csv, objective: masked modelling, head: fine-tuned}
  arrays: {category: fwork, logits: brought/arrays.h5}
"""  # noqa: E501
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@pytest.fixture
def public(tmp_path):
    path = tmp_path / "public.yaml"
    path.write_text(PUBLIC)
    return read(path)


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(STUDY)
    return read(path)


def test_small_study_is_valid(study):
    assert check(study, "small.yaml") == []


@pytest.mark.parametrize("file", ["config.yaml", "studies/paper.yaml", "studies/imagenet.yaml"])
def test_studies_of_the_repository_are_valid(file, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert "paper" in load(read(file), [file])


MISTAKES = [
    # the schema's
    ({"recipe.epoch": 5}, 'recipe.epoch: unknown key; did you mean "epochs"?'),
    ({"modles": {}}, 'modles: unknown key; did you mean "models"?'),
    ({"models.base.sead": 5}, 'models.base.sead: unknown key; did you mean "seed"?'),
    ({"pretraining.clip.name": "CLIP"}, "pretraining.clip.name: unknown key"),
    ({"recipe.input.sise": 5}, 'recipe.input.sise: unknown key; did you mean "size"?'),
    ({"recipe.epochs": ABSENT}, "recipe.epochs: the key is missing"),
    ({"recipe.input.std": ABSENT}, "recipe.input.std: the key is missing"),
    ({"models": ABSENT}, "models: the key is missing"),
    ({"models.base.category": ABSENT}, "models.base.category: the key is missing"),
    ({"dataset.splits": ABSENT}, "dataset.splits: the key is missing"),
    ({"dataset.splits.calibration": ABSENT}, "dataset.splits.calibration: the key is missing"),
    ({"recipe.epochs": "five"}, 'recipe.epochs: must be a whole number, not "five"'),
    ({"recipe.epochs": 5.0}, "recipe.epochs: must be a whole number, not 5.0"),
    ({"recipe.epochs": True}, "recipe.epochs: must be a whole number, not true"),
    ({"recipe.epochs": 0}, "recipe.epochs: must be at least 1, not 0"),
    ({"recipe.options": None}, "recipe.options: must be a mapping, not nothing"),
    ({"models.base": 3}, "models.base: must be a mapping, not 3"),
    ({"recipe.learning_rate": 0}, "recipe.learning_rate: must be above 0, not 0"),
    (
        {"recipe.learning_rate": float("inf")},
        "recipe.learning_rate: must be a number, not Infinity",
    ),
    ({"recipe.label_smoothing": 1}, "recipe.label_smoothing: must be below 1, not 1"),
    ({"recipe.input.crop": 1.5}, "recipe.input.crop: must be at most 1, not 1.5"),
    ({"recipe.data": []}, "recipe.data: must have at least 1 item, not 0"),
    ({"recipe.data": ["train", "train"]}, 'recipe.data: gives an item twice: ["train", "train"]'),
    ({"band": [0.5]}, "band: must have exactly 2 items, not 1"),
    ({"pairs": [["base"]]}, "pairs[0]: must have exactly 2 items, not 1"),
    (
        {"models.seed-1.category": "reinitt"},
        "models.seed-1.category: must be one of base, reinit, hparam, arch, fwork, dataset, "
        'not "reinitt"; did you mean "reinit"?',
    ),
    (
        {"models.linear.head": "lbgfs"},
        "models.linear.head: must be one of trained, fine-tuned, distilled, lbfgs, zero-shot, "
        'class-mapping, not "lbgfs"; did you mean "lbfgs"?',
    ),
    (
        {"study": "My study"},
        'study: "My study" is not a slug (small letters, digits and single hyphens, such as '
        '"resnet-50")',
    ),
    (
        {"models.ResNet": {"category": "arch"}},
        'models.ResNet: "ResNet" is not a slug (small letters, digits and single hyphens, such as '
        '"resnet-50")',
    ),
    (
        {"pretraining.big_one": {}},
        'pretraining.big_one: "big_one" is not a slug (small letters, digits and single hyphens, '
        'such as "resnet-50")',
    ),
    (
        {"dataset.splits.A": 1},
        'dataset.splits.A: "A" is not a slug (small letters, digits and single hyphens, such as '
        '"resnet-50")',
    ),
    (
        {"dataset.splits.other": 0},
        'dataset.splits.other: 0 is not a positive whole number or "rest"',
    ),
    (
        {"models.zero.templates": ["a {}", "a photo"]},
        'models.zero.templates[1]: "a photo" is not a template with exactly one {}',
    ),
    (
        {"models.brought.checkpoint": "weights.zip"},
        'models.brought.checkpoint: "weights.zip" is not a file of weights '
        "(.safetensors, .pth, .pt or .bin)",
    ),
    (
        {"recipe.input.size": 2.5},
        "recipe.input.size: 2.5 is not a positive whole number of pixels, or two of them, height "
        "and width",
    ),
    (
        {"groups": {"tops": ["Shirt", 3]}},
        'groups.tops: ["Shirt", 3] is not a list of different class names, or the first and the '
        "last index of a range of classes",
    ),
    (
        {"extraction": {"precision": "bf16"}},
        'extraction.precision: must be one of float32, bfloat16, float16, not "bf16"; '
        'did you mean "bfloat16"?',
    ),
    ({"extraction": {"batch_size": 513}}, "extraction.batch_size: must be at most 512, not 513"),
    ({"accuracy_tolerance": 2}, "accuracy_tolerance: must be at most 1, not 2"),
    (
        {"models.brought.sha256": "12ab"},
        'models.brought.sha256: "12ab" is not a SHA-256 (64 digits of 0 to 9 and a to f)',
    ),
    (
        {"models.zero": {"category": "dataset", "logits": "zero.txt"}},
        'models.zero.logits: "zero.txt" is not a file of logits (.npy, .npz, .h5, .hdf5 or .csv)',
    ),
    # between keys
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
        "models.distilled.teacher: the logits of strong are brought: there are no weights to learn "
        "from",
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
    ({"models.base.set": "high"}, "models.base.set: the base must be in the set main"),
    (
        {"models.simclr": {"category": "fwork"}},
        "pretraining.simclr: a model has the same key; each network needs its own",
    ),
    (
        {"pairs": [["base", "sead-1"]]},
        'pairs[0]: there is no model "sead-1"; did you mean "seed-1"?',
    ),
    ({"pairs": [["base", "base"]]}, 'pairs[0]: pairs the model "base" with itself'),
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
        {"models.strong": {"category": "fwork", "head": "distilled", "teacher": "distilled"}},
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
        "features.models[1]: brought/table.csv holds no features; bring .npz or .h5 with "
        "`features`, or leave the model out of features.models",
    ),
    (
        {
            "models.base": {"category": "base", "logits": "base.npy"},
            "features": {"models": ["own"]},
        },
        "models.base.logits: base.npy holds no features, with which others' are combined; bring "
        ".npz or .h5 with `features`, or leave the model out of features.models",
    ),
    (
        {"downstream": {"kind": "voc", "path": "VOC2007", "models": ["base", "arrays"]}},
        "downstream.models[1]: the logits of arrays are brought: there are no weights to run on "
        "other images",
    ),
    (
        {
            "models.base": {"category": "base", "logits": "base.npy"},
            "downstream": {"kind": "voc", "path": "VOC2007"},
        },
        "downstream.models: name models with weights: of the base and those of features only "
        "logits are there",
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


def test_preprocessing_and_recipes_of_public_weights(public):
    assert check(public, "public.yaml") == []
    study = complete(public)
    networks = {key: network["recipe"] for key, network in study["networks"].items()}
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
    clip = {
        "size": 224, "crop": 1.0, "interpolation": "bicubic",
        "mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711],
    }  # fmt: skip
    assert networks["clip"] == {
        "head": "pretraining", "open_clip": "ViT-B-32/openai", "input": clip,
    }  # fmt: skip
    assert networks["zero"] == {"head": "zero-shot", "input": clip}
    assert networks["clip-linear"] == {
        "head": "lbfgs", "input": clip, "data": ["train"], "seed": 0,
        "regularisation": [0.0001, 0.001, 0.01, 0.1, 1.0],
    }  # fmt: skip
    assert networks["mapped"] == {"head": "class-mapping", "input": networks["bit"]["input"]}
    assert networks["table"] == {"head": "logits", "logits": "brought/table.csv"}
    assert study["geometries"]["64x32-95-bicubic-3-squash"] == {
        "size": [64, 32], "crop": 0.95, "crop_mode": "squash", "interpolation": "bicubic",
        "channels": 3,
    }  # fmt: skip
    assert study["networks"]["table"]["geometry"] == study["networks"]["base"]["geometry"]
    assert study["networks"]["table"]["parent"] is None
    assert "recipe" not in study
    assert json.loads(json.dumps(study)) == study


def test_what_tables_show_of_public_weights(public):
    models = complete(public)["models"]
    shown = {
        key: (model["objective"], model["train_data"], model["head"])
        for key, model in models.items()
    }
    assert shown == {
        "base": ("supervised", "ImageNet", "trained"),
        "own": ("supervised", "", "trained"),
        "squashed": ("supervised", "", "trained"),
        "zero": ("contrastive", "", "zero-shot"),
        "clip-linear": ("contrastive", "", "lbfgs"),
        "mapped": ("supervised", "", "class-mapping"),
        "table": ("masked modelling", "", "fine-tuned"),
        "arrays": ("supervised", "", "trained"),
    }


def test_preprocessing_is_looked_up_once_for_all_processes(public, monkeypatch):
    monkeypatch.setenv(configuration.FOUND, "{}")
    configuration._preprocessing.cache_clear()
    before = complete(public)
    configuration._preprocessing.cache_clear()
    monkeypatch.setattr(configuration.preprocessing, "preprocessing", None)
    assert complete(public) == before
    configuration._preprocessing.cache_clear()


def test_a_network_of_timm_is_fine_tuned_as_what_it_is(study):
    changes = {"pretraining.shades": {"timm": "resnet18.a1_in1k"}, "models.mapped": ABSENT}
    config = edited(study, changes)
    assert check(config, "f") == []
    recipe = complete(config)["networks"]["tuned"]["recipe"]
    assert (recipe["architecture"], recipe["options"]) == ("resnet18.a1_in1k", {})
    assert (recipe["input"]["size"], recipe["epochs"], recipe["labels"]) == (224, 3, "classes")


def test_models_without_features_or_weights_are_left_out_by_default(public):
    downstream = {"kind": "voc", "path": "VOC2007"}
    found = complete(edited(public, {"downstream": downstream, "pairs": [["base", "arrays"]]}))
    assert found["features"]["models"] == ["arrays"]
    assert found["downstream"]["models"] == ["base"]
    assert complete(public)["features"]["models"] == ["clip-linear"]  # not the .csv file
    found = complete(edited(public, {"models.base": {"category": "base", "logits": "base.csv"}}))
    assert found["features"]["models"] == []


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
    assert {network["geometry"] for network in found["networks"].values()} == {name}
    assert list(found["geometries"]) == [name]


def test_a_training_is_completed_with_what_it_reads(study):
    chosen = {
        "schedule": "step", "warmup": 1, "milestones": [2, 4],
        "augmentation": "random-resized-crop", "crop_scale": [0.1, 1.0], "crop_ratio": [0.5, 2.0],
    }  # fmt: skip
    config = edited(study, {f"recipe.{key}": value for key, value in chosen.items()})
    config["pretraining"]["shades"]["augmentation"] = "shift-and-flip"
    config["models"]["seed-1"] |= {"schedule": "cosine", "drop_block_stages": [3, 4],
                                   "drop_block_keep": 0.9}  # fmt: skip
    assert check(config, "f") == []
    networks = complete(config)["networks"]

    def optional(key):
        keys = {key for keys in configuration.OPTIONAL.values() for key in keys}
        mine = networks[key]["recipe"].items()
        return {name: value for name, value in mine if name in keys - {"input", "options"}}

    assert optional("base") == chosen
    assert optional("seed-1") == {
        **{key: value for key, value in chosen.items() if key != "milestones"},
        "schedule": "cosine", "drop_block_stages": [3, 4], "drop_block_keep": 0.9,
    }  # fmt: skip
    schedule = {key: chosen[key] for key in ("schedule", "warmup", "milestones")}
    assert optional("shades") == {**schedule, "augmentation": "shift-and-flip"}
    assert {key: optional("clip")[key] for key in schedule} == schedule
    assert "augmentation" not in optional("clip")
    assert networks["simclr"]["recipe"]["crop_scale"] == [0.2, 1]
    assert optional("simclr")["crop_ratio"] == [0.5, 2.0]


def test_a_stand_in_is_named_as_one(study):
    study["models"]["strong"] |= {"stand_in": True, "paper": "ViT-G/14"}
    study["models"]["seed-1"] |= {"stand_in": True, "name": "Another"}
    models = complete(study)["models"]
    assert models["strong"]["name"] == "strong (stand-in for ViT-G/14)"
    assert (models["strong"]["paper"], models["strong"]["stand_in"]) == ("ViT-G/14", True)
    assert models["seed-1"]["name"] == "Another (stand-in)"


@pytest.mark.parametrize(
    ("alongside", "mistake"),
    [
        ([], "there is no published study to compare with; name its file under alongside"),
        (["studies/paper.yaml"], 'no published study has a model "ResNet-50 (Reinit"; did you '
                                 'mean "ResNet-50 (Reinit)"?'),
    ],
)  # fmt: skip
def test_the_row_beside_a_model_must_be_published(study, monkeypatch, alongside, mistake):
    monkeypatch.chdir(ROOT)
    study["alongside"] = alongside
    study["models"]["seed-1"]["paper"] = "ResNet-50 (Reinit"
    with pytest.raises(ConfigurationError) as error:
        load(study, [])
    assert str(error.value) == f"configuration: models.seed-1.paper: {mistake}"


def test_only_some_models_are_kept_and_what_they_need(study):
    study |= {
        "only": ["distilled", "linear"],
        "pairs": [["base", "seed-1"], ["base", "linear"]],
        "greedy": {"bases": ["zero"], "pool": ["tuned", "linear"]},
        "features": {"models": ["seed-1"]},
    }
    found = load(study, [])["small"]
    # The base, and the teacher of one that is named.
    assert list(found["models"]) == ["base", "linear", "distilled", "strong"]
    assert list(found["networks"]) == ["simclr", *found["models"]]
    assert found["pairs"] == [["base", "linear"]]
    assert (found["greedy"]["bases"], found["greedy"]["pool"]) == (["strong"], ["linear"])
    assert found["features"]["models"] == ["linear"]  # as if no list had been given
    assert "only" not in found

    study["only"] = ["liner"]
    with pytest.raises(ConfigurationError) as error:
        load(study, [])
    assert error.value.mistakes == [
        'configuration: only[0]: there is no model "liner"; did you mean "linear"?'
    ]


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
    assert found["dataset"]["skip_corrupt"]
    assert found["groups"] == changes["groups"]
    assert found["extraction"] == {"precision": "float32", "batch_size": 256, "compile": False}
    assert found["accuracy_tolerance"] == 0.01


def test_mistakes_are_reported_together(study):
    changes = {
        "recipe.epoch": 5,
        "band": [0.9, 0.5],
        "models.linear.from": "simcrl",
        "dataset": 3,
        "models.base.seed": -1,
    }
    places = [line.split(": ")[1] for line in check(edited(study, changes), "small.yaml")]
    assert sorted(places) == sorted(
        ["recipe.epoch", "band", "models.linear.from", "dataset", "models.base.seed"]
    )


SECTIONS = ["dataset", "band", "pairs", "recipe", "pretraining", "models"]
NONSENSE = [None, 3, "text", [], [3], {}, {"a": None}]


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("value", NONSENSE)
def test_any_nonsense_is_a_mistake_and_no_crash(study, section, value):
    valid = (section, value) in [("pairs", []), ("recipe", study["recipe"])]
    assert bool(check(edited(study, {section: value}), "f")) is not valid


@pytest.mark.parametrize("section", [*SECTIONS, "only", "greedy", "features", "downstream"])
@pytest.mark.parametrize("value", [*NONSENSE, [["base"]], {"models": [[]]}, {"base": {"from": []}}])
def test_any_nonsense_beside_only_is_a_mistake_and_no_crash(study, section, value):
    study["only"] = ["base"]
    valid = [("pairs", []), ("greedy", {}), ("features", {})]
    # No model that is kept starts from another network, so that none is looked at.
    valid = (section, value) in valid or (section == "pretraining" and isinstance(value, dict))
    try:
        load(edited(study, {section: value}), [])
    except ConfigurationError:
        assert not valid
    else:
        assert valid


def test_splits_of_a_folder_may_be_folders(study):
    study["dataset"] = {"kind": "folder", "path": "images", "seed": 0}
    assert check(study, "small.yaml") == []
    assert complete(study)["dataset"]["splits"] == {}


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        ({"published.exmples": 1}, 'published.exmples: unknown key; did you mean "examples"?'),
        ({"recipe": {}}, "recipe: unknown key"),
        ({"published.base.accuracy": 76}, "published.base.accuracy: must be at most 1, not 76"),
        ({"band": [1, 0]}, "band: must go from the lower to the higher accuracy, not [1, 0]"),
    ],
)
def test_mistakes_of_published_studies(changes, mistake):
    assert check(PUBLISHED, "print.yaml") == []
    assert check(edited(PUBLISHED, changes), "print.yaml") == [f"print.yaml: {mistake}"]


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("a: 1\nb: 2\na: 3", ["line 3: a: the key is given twice, first in line 1"]),
        (
            "models:\n  x: {seed: 1, seed: 2}\n  x: {}\n",
            [
                "line 2: models.x.seed: the key is given twice, first in line 2",
                "line 3: models.x: the key is given twice, first in line 2",
            ],
        ),
        ("no: 1", ['line 1: no: YAML does not read this key as text; write "no"']),
        ("a: 1\nb: [1\nc: 2", ["line 3: not valid YAML: expected ',' or ']', but got ':'"]),
        ("a: *b", ["line 1: not valid YAML: found undefined alias 'b'"]),
        (
            "a: &b\n  c: *b",
            ["line 1: a.c: holds an alias of what it stands in; write out what is meant"],
        ),
        ("- 1", ["must hold keys and values"]),
        ("", ["must hold keys and values"]),
    ],
)
def test_reading_refuses_what_yaml_would_drop(tmp_path, text, mistakes):
    path = tmp_path / "f.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as error:
        read(path)
    assert str(error.value).splitlines() == [f"{path}: {mistake}" for mistake in mistakes]


def test_reading_takes_numbers_for_numbers_and_allows_merged_keys(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_text("a: &a {x: 1e-3, y: [2E5, 1.0e-3], z: e-3}\nb: {<<: *a, x: 1}")
    merged = read(path)
    assert merged["a"] == {"x": 0.001, "y": [2e5, 0.001], "z": "e-3"}
    assert merged["b"] == merged["a"] | {"x": 1}


def test_reading_leaves_quoted_text_alone(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_text("a: '1e-3'\nb: [\"1e3\", 1e3, 1e3x]")
    assert read(path) == {"a": "1e-3", "b": ["1e3", 1000.0, "1e3x"]}


def test_loading_tells_quoted_text_from_numbers(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = STUDY.replace("name: The base", "name: '1e-3'") + "groups: {g: ['1e3', '2e3']}\n"
    Path("small.yaml").write_text(text)
    config = yaml.safe_load(text)  # as Snakemake reads it
    config["recipe"]["weight_decay"] = "2e-2"  # as it reads --config recipe='{weight_decay: 2e-2}'
    loaded = load(config, ["small.yaml"])["small"]
    assert loaded["models"]["base"]["name"] == "1e-3"
    assert loaded["groups"] == {"g": ["1e3", "2e3"]}
    recipe = loaded["networks"]["base"]["recipe"]
    assert (recipe["learning_rate"], recipe["weight_decay"]) == (0.001, 0.02)


def test_loading_refuses_what_stands_in_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = STUDY + "groups: &g {g: *g}\n"
    Path("small.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"small.yaml: line \d+: groups.g: holds an alias"):
        load(yaml.safe_load(text), ["small.yaml"])
    with pytest.raises(ConfigurationError, match=r"configuration: something stands in itself"):
        load(yaml.safe_load(text), [])


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


def test_any_other_rule_of_the_schema_is_told_and_no_crash(study, monkeypatch):
    schema = configuration._validator_of("study").schema
    monkeypatch.setitem(schema["properties"]["study"], "maxLength", 3)
    (found,) = check(study, "f")
    assert found == "f: study: 'small' is too long"


def test_loading_reports_the_mistakes_of_all_files(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("print.yaml").write_text(yaml.safe_dump(edited(PUBLISHED, {"band": [1, 0]})))
    Path("small.yaml").write_text(STUDY + "study: small\n")
    study["alongside"] = ["print.yaml", "nowhere.yaml", "other.yaml"]
    study["recipe"]["epoch"] = 3
    Path("other.yaml").write_text("study: other")
    with pytest.raises(ConfigurationError) as error:
        load(study, [tmp_path / "small.yaml"])
    lines = STUDY.count("\n")
    assert str(error.value).splitlines() == [
        f"small.yaml: line {lines + 1}: study: the key is given twice, first in line 2",
        "nowhere.yaml: cannot be read: No such file or directory",
        "other.yaml: not a published study, so it cannot stand alongside another",
        'small.yaml: recipe.epoch: unknown key; did you mean "epochs"?',
        "print.yaml: band: must go from the lower to the higher accuracy, not [1, 0]",
    ]


def test_two_studies_need_two_names(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(STUDY)
    Path("print.yaml").write_text(yaml.safe_dump(PUBLISHED | {"study": "small"}))
    study["alongside"] = ["print.yaml"]
    with pytest.raises(ConfigurationError, match=r'the name "small" is also that of small\.yaml'):
        load(study, ["small.yaml"])


def test_loading_takes_what_the_command_line_changed(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(STUDY)
    Path("print.yaml").write_text(yaml.safe_dump(PUBLISHED))
    study["alongside"], study["recipe"]["learning_rate"] = ["print.yaml"], "5e-4"
    studies = load(study, ["small.yaml"])
    assert list(studies) == ["small", "print"]
    assert studies["small"]["networks"]["base"]["recipe"]["learning_rate"] == 0.0005
    assert not studies["small"]["published"]
    assert studies["print"]["published"]["corrections"] == []


def test_complete_recipes(study):
    networks = complete(study)["networks"]
    image = study["recipe"]["input"]
    larger = image | {"size": 32, "crop": 0.875}
    assert networks["seed-1"]["recipe"] == study["recipe"] | {"head": "trained", "seed": 1}
    assert networks["tuned"]["recipe"] == study["recipe"] | {
        "head": "fine-tuned",
        "epochs": 3,
        "input": larger,
    }
    assert networks["linear"]["recipe"] == {
        "head": "lbfgs",
        "input": image,
        "data": ["train"],
        "seed": 0,
        "regularisation": [0.0001, 0.001, 0.01, 0.1, 1.0],
    }
    assert networks["zero"]["recipe"] == {
        "head": "zero-shot",
        "input": image,
        "templates": ["a {}", "one {}"],
    }
    assert networks["mapped"]["recipe"] == {
        "head": "class-mapping",
        "input": larger,
        "labels": "shades",
    }
    assert networks["brought"]["recipe"] == {
        "head": "checkpoint",
        "architecture": "test_resnet",
        "options": {"drop_rate": 0.1},
        "input": image,
        "checkpoint": "weights/brought.pt",
    }
    distilled = networks["distilled"]["recipe"]
    assert (distilled["head"], distilled["objective"]) == ("distilled", "distillation")
    assert distilled["temperature"] == 4.0
    assert "labels" not in distilled
    clip = networks["clip"]["recipe"]
    assert (clip["head"], clip["objective"], clip["text_width"]) == ("pretraining", "clip", 64)
    assert "shift" not in networks["simclr"]["recipe"]


def test_parents_geometries_and_display(study):
    study = complete(study)
    parents = {key: network["parent"] for key, network in study["networks"].items()}
    assert {key: parent for key, parent in parents.items() if parent} == {
        "tuned": "shades",
        "linear": "simclr",
        "zero": "clip",
        "mapped": "shades",
        "distilled": "strong",
    }
    assert study["geometries"] == {
        "28-100-bilinear-1": _geometry(28, 1.0),
        "32-87p5-bilinear-1": _geometry(32, 0.875),
    }
    assert study["networks"]["mapped"]["geometry"] == "32-87p5-bilinear-1"
    shown = {key: tuple(model.values())[:6] for key, model in study["models"].items()}
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
    before, after = complete(study)["networks"], complete(edited(study, changes))["networks"]
    return {key for key in before if before[key]["recipe"] != after[key]["recipe"]}


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
        ({"recipe.seed": 9}, LEARNERS - {"seed-1"} | {"linear"}),
        ({"recipe.architecture": "test_vit"}, LEARNERS | {"brought"}),
        ({"pretraining.shades.epochs": 9}, {"shades"}),
        ({"pretraining.clip.templates": ["{}"]}, {"clip", "zero"}),
        ({"models.zero.class_names": ["a", "b"]}, {"zero"}),
    ],
)
def test_a_change_changes_the_recipes_that_depend_on_it(study, changes, expected):
    assert check(edited(study, changes), "f") == []
    assert changed(study, changes) == expected


def test_complete_study_is_plain_shares_nothing_and_is_deterministic(study):
    def containers(value):
        if isinstance(value, dict | list):
            yield value
            for item in value.values() if isinstance(value, dict) else value:
                yield from containers(item)

    before = deepcopy(study)
    once = complete(study)
    assert study == before
    found = [id(value) for value in [*containers(once), *containers(study)]]
    assert len(found) == len(set(found))
    assert json.dumps(complete(study)) == json.dumps(once)
    assert json.loads(json.dumps(once)) == once


def schema(name):
    path = ROOT / "workflow" / "schemas" / f"{name}.schema.yaml"
    return yaml.safe_load(path.read_text())


def parts(value, path=""):
    if isinstance(value, dict):
        yield path, value
        for key, item in value.items():
            yield from parts(item, f"{path}/{key}")
    elif isinstance(value, list):
        for item in value:
            yield from parts(item, path)


@pytest.mark.parametrize("name", ["study", "published"])
def test_every_key_is_described_and_no_other_is_let_in(name):
    whole = schema(name)
    assert whole["$schema"]
    configuration.Draft202012Validator.check_schema(whole)
    for path, part in parts(whole):
        conditional = "/if" in path or "/then" in path
        if path.endswith("/properties") and not conditional:
            missing = [key for key, value in part.items() if not value.get("description")]
            assert not missing, f"{path}: {missing}"
        used_by_reference = path in ("/$defs/recipe", "/$defs/network")
        if isinstance(part.get("properties"), dict) and not conditional and not used_by_reference:
            closed = {part.get("additionalProperties"), part.get("unevaluatedProperties")}
            assert False in closed, path


def test_tables_of_the_code_know_the_schema_and_the_schema_quotes_its_defaults():
    whole = schema("study")
    keys = configuration._properties(whole["$defs"]["model"], whole)
    tables = (configuration.READS, configuration.OPTIONAL)
    read = {key for table in tables for reads in table.values() for key in reads}
    assert read | set(configuration.SHOWN) == set(keys)
    assert set(whole["properties"]["recipe"]["required"]) == set(configuration.RECIPE)
    for defaults in configuration.DEFAULTS.values():
        for key, value in defaults.items():
            assert f"default {value}" in " ".join(keys[key]["description"].split())


def test_analyses_are_of_the_models_that_suit_unless_others_are_named(study):
    config = study
    found = complete(config)
    everything = list(config["models"])
    assert found["greedy"]["bases"] == ["strong"]
    assert found["greedy"]["pool"] == [key for key in everything if key != "strong"]
    assert found["features"]["models"] == ["seed-1"]
    assert found["features"]["base"] == "base"
    assert len(found["features"]["regularisation"]) == 45
    assert found["features"]["regularisation"][::44] == [1e-6, 1e5]
    assert found["downstream"] is None
    assert "figure6" in found["figures"]
    assert "figure7" not in found["figures"]

    downstream = {"kind": "voc", "path": "VOC2007", "models": ["zero", "base"]}
    named = edited(config, {"downstream": downstream, "greedy": {"pool": ["zero", "tuned"]}})
    found = complete(named)
    assert found["greedy"]["pool"] == ["tuned", "zero"]  # ties go to the earlier model
    assert found["downstream"]["models"] == ["base", "zero"]
    assert "figure7" in found["figures"]


def test_a_study_without_pairs_or_strong_models_draws_what_is_left(study):
    config = edited(study, {"pairs": [], "models.strong.set": "main"})
    figures = ["figure1", "figure2", "figure8", "pareto", "sensitivity"]
    assert complete(config)["figures"] == figures


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7])
def test_every_pair_is_given_to_one_model_and_all_have_about_as_many(count):
    keys = [f"m{i}" for i in range(count)]
    partners = configuration._partners(keys)
    assert [first for first, *_ in partners.values()] == keys
    pairs = [frozenset((key, other)) for key, own in partners.items() for other in own[1:]]
    assert len(pairs) == len(set(pairs)) == count * (count - 1) // 2
    sizes = [len(own) for own in partners.values()]
    assert max(sizes) - min(sizes) <= 1
