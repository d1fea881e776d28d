"""Published accuracies: looked up as published, and compared as samples of what they are of."""

import json
import math
import os
from types import SimpleNamespace

import numpy as np
import pytest

from workflow.lib.data import files
from workflow.lib.data.splits import Split
from workflow.lib.measures import accuracy
from workflow.lib.measures.accuracy import (
    POPULATION,
    allowed_difference,
    claims,
    claims_on,
    count_right,
    further_test_set,
    gated,
    test_set,
)
from workflow.lib.outputs.store import write

IMAGE = {"size": 224, "crop": 0.875, "interpolation": "bicubic"}
VALIDATION = {"kind": "imagenet", "path": "imagenet"}
V2 = {"kind": "imagenet", "path": "data/imagenetv2-matched-frequency-format-val"}

test_set.__test__ = False  # a function of the library, and no test


def timm(name, **changes):
    own = {key: value for key, value in changes.items() if key not in IMAGE}
    image = IMAGE | {key: value for key, value in changes.items() if key in IMAGE}
    recipe = {"head": "trained", "timm": name, "input": image, **own}
    return {"recipe": recipe, "parent": None}


def study(dataset=VALIDATION, pretraining=None, **models):
    networks = {**(pretraining or {}), **models}
    return SimpleNamespace(
        dataset=SimpleNamespace(**dataset),
        models={key: {} for key in models},
        networks={
            key: SimpleNamespace(
                recipe=own["recipe"], parents=[own["parent"]] if own["parent"] else []
            )
            for key, own in networks.items()
        },
    )


def clip(name, **own):
    """Give a pretraining of open_clip and a zero-shot model of it."""
    parent = {"recipe": {"head": "pretraining", "open_clip": name, "input": IMAGE, **own},
              "parent": None}  # fmt: skip
    return {"pretraining": {"clip": parent},
            "zs": {"recipe": {"head": "zero-shot", "input": IMAGE}, "parent": "clip"}}  # fmt: skip


# Read off the tables at https://github.com/huggingface/pytorch-image-models/tree/main/results
@pytest.mark.parametrize(
    ("name", "image", "on_validation", "on_v2"),
    [
        ("tf_efficientnet_lite0.in1k", {}, 0.74846, 0.62650),
        ("tf_efficientnet_lite1.in1k", {"size": 240, "crop": 0.882}, 0.76674, None),
        ("tf_efficientnet_lite2.in1k", {"size": 260, "crop": 0.89}, 0.77470, None),
        ("resnet50.a1_in1k", {"crop": 0.95}, None, None),
        ("resnet50.a1_in1k", {"size": 288, "crop": 1.0}, None, None),
        ("eva02_large_patch14_448.mim_m38m_ft_in22k_in1k", {"size": 448, "crop": 1.0},
         0.90056, 0.82710),
    ],
)  # fmt: skip
def test_timms_numbers_are_found_by_name_and_size(name, image, on_validation, on_v2):
    for dataset, expected in ((VALIDATION, on_validation), (V2, on_v2)):
        [(model, claim)] = claims(study(dataset, m=timm(name, **image))).items()
        assert (model, claim["source"], claim["checkpoint"], claim["note"]) == (
            "m",
            "timm",
            name,
            "",
        )
        assert expected in (None, claim["published"])
        assert 0.5 < claim["published"] < 1


def test_sizes_of_a_checkpoint_have_numbers_of_their_own():
    small, large = (
        claims(study(m=timm("resnet50.a1_in1k", **image)))["m"]["published"]
        for image in ({"crop": 0.95}, {"size": 288, "crop": 1.0})
    )
    assert large - small > 0.005


@pytest.mark.parametrize(
    ("name", "expected"),
    [("ViT-B-32/openai", 0.6332), ("ViT-L-14-336-quickgelu/openai", 0.7656),
     ("RN50-quickgelu/yfcc15m", 0.3275), ("RN50/yfcc15m", 0.3238)],
)  # fmt: skip
def test_open_clips_numbers_are_of_zero_shot_heads(name, expected):
    found = claims(study(**clip(name)))
    assert found["zs"]["published"] == expected
    assert found["zs"]["source"] == "open_clip"
    probe = clip(name)
    probe["zs"]["recipe"]["head"] = "lbfgs"
    assert claims(study(**probe)) == {}


def test_preprocessing_that_differs_is_noted():
    claim = claims(study(m=timm("tf_efficientnet_lite0.in1k", crop=1.0, interpolation="bilinear")))
    assert claim["m"]["note"] == (
        "published with crop 0.875, and taken with 1.0 here; "
        "published with interpolation bicubic, and taken with bilinear here"
    )
    assert claim["m"]["published"] == 0.74846


def test_checkpoints_without_a_number_pass_with_a_note():
    found = claims(study(known=timm("tf_efficientnet_lite0.in1k"),
                         huge=timm("tf_efficientnet_lite0.in1k", size=512),
                         new=timm("resnet50.never_published")))  # fmt: skip
    assert found["huge"]["published"] is None
    assert found["huge"]["note"] == "published at 224 pixels, and taken at 512 here"
    assert found["new"] == {
        "source": "timm",
        "checkpoint": "resnet50.never_published",
        "published": None,
        "note": "timm publishes no accuracy of it",
    }
    assert gated(study(known=timm("tf_efficientnet_lite0.in1k"))) == ["known"]


def test_a_local_file_of_a_named_checkpoint_is_held_to_its_name():
    named = timm("tf_efficientnet_lite0.in1k", checkpoint="lite0.pth")
    own = timm("tf_efficientnet_lite0", checkpoint="lite0.pth")
    assert list(claims(study(named=named, own=own))) == ["named"]


def test_a_local_folder_says_which_checkpoint_it_is(tmp_path):
    settings = {"architecture": "tf_efficientnet_lite0", "pretrained_cfg": {"tag": "in1k"}}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    claim = claims(study(m=timm(f"local-dir:{tmp_path}")))["m"]
    assert (claim["checkpoint"], claim["published"]) == ("tf_efficientnet_lite0.in1k", 0.74846)


@pytest.mark.parametrize(
    "dataset",
    [{"kind": "fashion-mnist", "path": "x"}, {"kind": "folder", "path": "imagenet"},
     {"kind": "imagenet", "path": "imagenetv2-top-images-format-val"}],
)  # fmt: skip
def test_other_images_have_no_published_accuracy(dataset):
    assert claims(study(dataset, m=timm("tf_efficientnet_lite0.in1k"))) == {}


def test_a_study_of_none_but_unknown_checkpoints_has_nothing_to_compare():
    assert claims(study(m=timm("resnet50.never_published"))) == {}
    trained = {"recipe": {"head": "trained", "architecture": "resnet50"}, "parent": None}
    assert claims(study(m=trained)) == {}


def test_the_table_is_whole():
    rows = [row for sizes in accuracy._published().values() for row in sizes.values()]
    assert sum(row["source"] == "timm" for row in rows) == 1556
    assert sum(row["source"] == "open_clip" for row in rows) == 121
    for row in rows:
        assert 0 < float(row["imagenet_v2"]) < 1
        assert 0 < float(row["imagenet"]) < 1
        others = {"timm": ["a", "r", "sketch", "real"], "open_clip": ["a", "r", "sketch"]}
        known = [row[f"imagenet_{name}"] for name in others[row["source"]]]
        known += [row["objectnet"]] if row["source"] == "open_clip" else []
        missing = ["imagenet_a"] if row["checkpoint"] == "resnet50.tv_in1k" else []
        assert known.count("") == len(missing)
        assert all(0 < float(value) < 1 for value in known if value)
    assert accuracy.TABLE.stat().st_size < 400_000


NUMBERS = {
    "v2": {"timm": 0.68470, "clip": 0.5592},
    "a": {"timm": 0.09973, "clip": 0.3155},
    "r": {"timm": 0.40417, "clip": 0.6933},
    "sketch": {"timm": 0.29641, "clip": 0.4229},
    "real": {"timm": 0.85712, "clip": None},
    "objectnet": {"timm": None, "clip": 0.4431},
}
"""Of resnet50.a1_in1k at 224 pixels and of ViT-B-32 of OpenAI, read off the makers' tables."""


@pytest.fixture
def known(tmp_path, monkeypatch):
    """All known test sets as they are downloaded, as far as names and numbers go."""
    looked = accuracy.imagenet.look
    numbers = {"imagenetv2-matched-frequency-format-val": (10_000, 1000), "imagenet-a": (7500, 200),
               "imagenet-r": (30_000, 200), "ImageNet-Sketch": (50_889, 1000)}  # fmt: skip
    numbers["imagenetv2-top-images-format-val"] = numbers["imagenetv2-matched-frequency-format-val"]

    def look(path, place="."):
        name = os.path.basename(os.path.realpath(path))
        if name not in numbers:
            return looked(path, place)
        images, classes = numbers[name]
        found = [(f"{i % classes}/{i}.jpg", 1) for i in range(images)]
        return files.Found(tuple(found), (), ())

    monkeypatch.setattr(accuracy.imagenet, "look", look)
    monkeypatch.setattr(accuracy.objectnet, "count", lambda path: 18_574)
    for name in numbers:
        (tmp_path / name).mkdir()
    lists = [[1]] * 46_837 + [[]] * 3_163
    (tmp_path / "real.json").write_text(json.dumps(lists))
    (tmp_path / "mine.json").write_text(json.dumps([[1]] * 50_000))
    (tmp_path / "v2").symlink_to(tmp_path / "imagenetv2-matched-frequency-format-val")
    return {
        "v2": {"kind": "imagenet", "path": str(tmp_path / "v2")},
        "a": {"kind": "imagenet", "path": str(tmp_path / "imagenet-a")},
        "r": {"kind": "imagenet", "path": str(tmp_path / "imagenet-r")},
        "sketch": {"kind": "imagenet", "path": str(tmp_path / "ImageNet-Sketch")},
        "real": {"labels": str(tmp_path / "real.json")},
        "objectnet": {"kind": "objectnet", "path": str(tmp_path / "objectnet-1.0")},
    }


@pytest.mark.parametrize("name", NUMBERS)
def test_further_test_sets_are_known_by_what_they_hold(known, name):
    models = clip("ViT-B-32/openai") | {"net": timm("resnet50.a1_in1k", crop=0.95)}
    for size, expected in ((224, NUMBERS[name]["timm"]), (288, None)):
        models["net"]["recipe"]["input"] = IMAGE | {"crop": 0.95, "size": size}
        found = claims_on(study(**models), known[name])
        assert found["zs"]["published"] == NUMBERS[name]["clip"]
        if expected is not None:
            assert found["net"]["published"] == expected
        assert found["zs"].get("judged", True) == (name != "objectnet")
    assert 7_000 < POPULATION[further_test_set(study(), known[name])] < 51_000


def test_published_accuracies_are_of_their_image_size(known):
    # The larger size is better on the photographs, and worse on renditions and sketches.
    model = {"net": timm("resnet50.a1_in1k", size=288, crop=1.0)}
    found = {name: claims_on(study(**model), known[name])["net"]["published"] for name in "ar"}
    assert found == {"a": 0.15840, "r": 0.38993}
    assert claims_on(study(**model), known["sketch"])["net"]["published"] == 0.28189


def test_other_test_sets_have_no_published_accuracy(known, tmp_path):
    models = {"net": timm("resnet50.a1_in1k", crop=0.95)}
    (tmp_path / "imagenet-r" / "n01440764").mkdir(parents=True, exist_ok=True)
    for settings in (
        {"corruption": "blur", "severity": 1},
        {"labels": str(tmp_path / "mine.json")},
        {"labels": "labels.csv"},
        {"labels": str(tmp_path / "missing.json")},
        {"kind": "imagenet", "path": str(tmp_path / "imagenetv2-top-images-format-val")},
        {"kind": "imagenet", "path": str(tmp_path / "missing")},
        {"kind": "folder", "path": known["a"]["path"]},
    ):
        assert claims_on(study(**models), settings) == {}
    assert claims_on(study(V2, **models), known["real"]) == {}
    assert claims_on(study({"kind": "folder", "path": "x"}, **models), known["a"]) == {}


def test_all_images_are_allowed_the_tolerance_and_a_sample_its_error():
    assert allowed_difference(0.75, 50_000, 50_000, 0.01) == 0.01
    # Of a quarter of four images: variance 0.25 / 2 * (4 - 2) / 3 = 1 / 12.
    assert allowed_difference(0.5, 2, 4, 0.0) == pytest.approx(3 * math.sqrt(1 / 12))
    assert allowed_difference(0.8, 40_000, 50_000, 0.01) == pytest.approx(
        0.01 + 0.0026834, abs=1e-6
    )


def test_three_standard_errors_cover_nearly_all_samples():
    rng = np.random.default_rng(0)
    right = rng.hypergeometric(37_423, 50_000 - 37_423, 1_000, size=20_000) / 1_000
    outside = np.abs(right - 0.74846) > allowed_difference(0.74846, 1_000, 50_000, 0.0)
    assert 0.001 < outside.mean() < 0.006  # 0.0027 by the normal approximation


def test_of_equal_logits_the_first_class_counts(tmp_path):
    split = Split(np.array(["a", "b", "c"]), np.array([0, 1, 2]))
    logits = np.array([[1, 1, 0], [1, 1, 0], [0, 1, 2]], np.float32)
    write(tmp_path / "m" / "test.h5", split, lambda rows: (logits[rows], None), {})
    assert count_right(tmp_path / "m" / "test.h5", split) == 2
