"""Whatever is wrong with a single value is named in plain English, and nothing else."""

import pytest

from tests.lib.study.examples import ABSENT, NONSENSE, PUBLISHED, SECTIONS, edited
from workflow.lib.study.fields import A_SLUG
from workflow.lib.study.load import check
from workflow.lib.study.parse import _in_words, parse

MISTAKES = [
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
    ({"updates": [["base", "seed-1", "tuned"]]}, "updates[0]: must have exactly 2 items, not 3"),
    (
        {"attributes": "a.xlsx"},
        'attributes: "a.xlsx" is not "pixels" or a table (.csv or .tsv, perhaps with .gz)',
    ),
    (
        {"models.seed-1.category": "reinitt"},
        "models.seed-1.category: must be one of base, reinit, hparam, arch, fwork, dataset, "
        'control, unknown, not "reinitt"; did you mean "reinit"?',
    ),
    (
        {"models.linear.head": "lbgfs"},
        "models.linear.head: must be one of trained, fine-tuned, distilled, lbfgs, zero-shot, "
        'class-mapping, not "lbgfs"; did you mean "lbfgs"?',
    ),
    (
        {"study": "mine\n"},
        f'study: "mine\\n" is not {A_SLUG}',
    ),
    (
        {"models.reinit\n": {"category": "arch", "seed": 30}},
        f'models.reinit\n: "reinit\\n" is not {A_SLUG}',
    ),
    (
        {f"models.{'a' * 101}": {"category": "arch", "seed": 30}},
        f'models.{"a" * 101}: "{"a" * 56}... is not {A_SLUG}',
    ),
    (
        {"study": "My study"},
        f'study: "My study" is not {A_SLUG}',
    ),
    (
        {"models.ResNet": {"category": "arch", "seed": 30}},
        f'models.ResNet: "ResNet" is not {A_SLUG}',
    ),
    (
        {"pretraining.big_one": {"seed": 30}},
        f'pretraining.big_one: "big_one" is not {A_SLUG}',
    ),
    (
        {"dataset.splits.A": 1},
        f'dataset.splits.A: "A" is not {A_SLUG}',
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
]


@pytest.mark.parametrize(("changes", "mistake"), MISTAKES, ids=[text for _, text in MISTAKES])
def test_each_mistake_is_named_and_nothing_else(study, changes, mistake):
    assert check(edited(study, changes), "small.yaml") == [f"small.yaml: {mistake}"]


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


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("value", NONSENSE)
def test_any_nonsense_is_a_mistake_and_no_crash(study, section, value):
    valid = (section, value) in [("pairs", []), ("recipe", study["recipe"])]
    assert bool(check(edited(study, {section: value}), "f")) is not valid


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


def test_whatever_else_pydantic_finds_is_told_in_our_words():
    error = {"type": "new_in_pydantic_3", "input": "Tuesday", "msg": "Input should be a valid day"}
    assert _in_words(error) == ((), 'must not be "Tuesday"')


@pytest.mark.parametrize(
    ("value", "kept"), [("1e-3", 0.001), ("2E5", 2e5), (1, 1), (0.5, 0.5), ("1.0e-3", 0.001)]
)
def test_a_number_may_be_written_as_yaml_does_not_know_it(study, value, kept):
    found, mistakes = parse(edited(study, {"recipe.weight_decay": value}))
    assert mistakes == []
    assert repr(found.recipe.weight_decay) == repr(kept)


def test_text_stays_text(study):
    changes = {"models.base.name": "1e-3", "groups": {"g": ["1e3", "2e3"]}}
    found, mistakes = parse(edited(study, changes))
    assert mistakes == []
    assert found.models["base"].name == "1e-3"
    assert found.groups == {"g": ["1e3", "2e3"]}


def test_options_of_timm_hold_numbers(study):
    found, _ = parse(edited(study, {"recipe.options": {"a": "1e-3", "b": ["1e3", "x"], "c": True}}))
    assert found.recipe.options == {"a": 0.001, "b": [1000.0, "x"], "c": True}


def test_the_rest_of_a_section_with_a_mistake_is_kept(study):
    found, _ = parse(edited(study, {"dataset.seed": -1, "greedy": {"size": 1, "pool": ["tuned"]}}))
    assert (found.dataset.seed, found.dataset.path) == (None, "images")
    assert (found.greedy.size, found.greedy.pool) == (10, ["tuned"])
