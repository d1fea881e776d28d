"""Studies to make mistakes in."""

from copy import deepcopy
from pathlib import Path

from workflow.lib.study import complete as completed
from workflow.lib.study.parse import parse

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
  simclr: {objective: simclr, seed: 10, temperature: 0.2, projection: 64, crop_scale: [0.2, 1], jitter: 0.4}
  clip: {objective: clip, seed: 11, data: [other], projection: 64, templates: ["a {}", "one {}"]}
  shades: {labels: shades, seed: 12, data: [other], input: {size: 32, crop: 0.875}}
models:
  base: {name: The base, category: base}
  seed-1: {category: reinit, seed: 1}
  tuned: {category: fwork, from: shades, seed: 13, epochs: 3}
  linear: {category: fwork, from: simclr, head: lbfgs}
  zero: {category: dataset, from: clip, head: zero-shot}
  mapped: {category: dataset, from: shades, head: class-mapping}
  distilled: {category: fwork, objective: distillation, teacher: strong, seed: 14}
  strong: {category: dataset, set: high, seed: 15, data: [train, other]}
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
ANSWERS = """
study: answers
dataset: {kind: labels, path: labels.csv}
band: [0, 1]
pairs: [[a, b]]
models:
  a: {category: base, answers: a.csv}
  b: {category: arch, answers: b.csv}
  again: {category: control, weights_of: a, answers: again.csv}
"""
ABSENT = object()

SECTIONS = ["dataset", "band", "pairs", "recipe", "pretraining", "models"]
NONSENSE = [None, 3, "text", [], [3], {}, {"a": None}]


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


def complete(values):
    """Complete a study without mistakes, as `read` gives it."""
    study, mistakes = parse(values)
    assert mistakes == []
    return completed.complete(study)
