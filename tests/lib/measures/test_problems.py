"""Outputs that are none of these classes', of another order or kind, are told."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax

from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.measures.problems import (
    find_answer_problems,
    find_problems,
    permuted_accuracy,
)
from workflow.lib.outputs.store import write
from workflow.lib.show.findings import told_problems
from workflow.scripts.calibration import calibration

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 5, 400)


def outputs(labels=LABELS, classes=5, signal=3.0):
    logits = np.random.default_rng(1).normal(size=(len(labels), classes)).astype(np.float32)
    logits[np.arange(len(labels)), labels] += signal
    return logits


def test_a_classifier_has_no_problem():
    assert find_problems(outputs(), LABELS) == []
    assert find_problems(outputs(signal=0.6), LABELS) == []  # right on 4 of 10


def test_another_order_of_outputs_is_told():
    # A checkpoint whose classes were sorted by another reader, as right as can be by itself.
    (found,) = find_problems(outputs()[:, [1, 0, 2, 3, 4]], LABELS)
    assert found.startswith("in another order its outputs would be right on 9")
    (chance, order) = find_problems(outputs()[:, [1, 2, 3, 4, 0]], LABELS)
    assert "no better than chance" in chance and "in another order" in order


def test_few_images_of_a_class_are_enough_to_see_the_order():
    labels = np.arange(10) % 5
    assert permuted_accuracy((labels + 1) % 5, labels, 5) == 1.0
    assert find_problems(np.eye(5)[(labels + 1) % 5], labels)


@pytest.mark.parametrize("classes", [2, 10, 300])
def test_chance_is_told_and_no_order_of_it(classes):
    labels = RNG.integers(0, classes, 600)
    (found,) = find_problems(RNG.normal(size=(600, classes)), labels)
    assert "no better than chance" in found
    constant = np.zeros((600, classes))
    constant[:, 1] = 1
    assert any("no better than chance" in text for text in find_problems(constant, labels))


def test_the_wrong_sign_is_told():
    found = find_problems(-outputs(), LABELS)
    assert any("turn the sign of what is a distance" in text for text in found)


def test_logarithms_of_probabilities_and_distances_are_told():
    (found,) = find_problems(log_softmax(outputs(), axis=1), LABELS)
    assert found.startswith("its outputs are logarithms of probabilities")
    (found,) = find_problems(outputs() - 100, LABELS)
    assert found.startswith("none of its outputs is above 0")


def test_the_table_tells_problems_of_each_model(tmp_path):
    split = Split(np.array([f"{i:03d}" for i in range(400)]), LABELS)
    Manifest(tuple("abcde"), {"calibration": split}).write(tmp_path / "m.tsv")
    given = {"good": outputs(), "bad": outputs()[:, ::-1]}
    for model, logits in given.items():
        write(tmp_path / f"{model}.h5", split, lambda rows, x=logits: (x[rows], None), {})
    calibration(
        manifest=str(tmp_path / "m.tsv"),
        outputs=[str(tmp_path / f"{m}.h5") for m in given],
        table=str(tmp_path / "calibration.tsv"),
        models=list(given),
        split="calibration",
    )
    table = pd.read_csv(tmp_path / "calibration.tsv", sep="\t", keep_default_na=False)
    assert table["problem"][0] == "" and "in another order" in table["problem"][1]
    (told,) = told_problems(tmp_path / "calibration.tsv")
    assert told.startswith("bad: ") and "in another order" in told
    assert told_problems(tmp_path / "none.tsv") == []


def test_answers_in_another_order_are_told():
    labels = np.repeat(np.arange(10), 20)
    top = np.where(np.arange(200) % 5 == 0, 3, labels)
    found = find_answer_problems(["a", "b"], np.stack([top, (top + 1) % 10]), labels, {})
    assert list(found) == ["b"]
    assert found["b"].startswith("in another order of the classes its answers would be right on 8")


def test_answers_of_the_same_weights_are_told_unless_one_is_a_control():
    labels = np.repeat(np.arange(10), 20)
    rng = np.random.default_rng(0)
    one = np.where(rng.random(200) < 0.7, labels, rng.integers(0, 10, 200))
    other = np.where(rng.random(200) < 0.7, labels, rng.integers(0, 10, 200))
    again = one.copy()
    again[:2] = -1
    top = np.stack([one, other, again])
    found = find_answer_problems(list("abc"), top, labels, {})
    assert list(found) == ["c"]
    assert "it answers as 'a' on 9" in found["c"] and "weights_of: a" in found["c"]
    assert find_answer_problems(list("abc"), top, labels, {"c": "a"}) == {}
    both = np.concatenate([top, again[None]])
    assert find_answer_problems(list("abcd"), both, labels, {"c": "a", "d": "a"}) == {}


def test_few_mistakes_are_not_enough_to_tell_models_apart():
    labels = np.repeat(np.arange(10), 20)
    top = np.stack([labels, labels])
    top[:, :5] = 9
    assert find_answer_problems(["a", "b"], top, labels, {}) == {}
