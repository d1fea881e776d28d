"""Temperatures: the maximum of the likelihood, always positive, never silently off."""

import gc
import weakref

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from workflow.lib.measures import calibration
from workflow.lib.measures.calibration import (
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
)

pytestmark = pytest.mark.numeric


def drawn(temperature, examples=20000, classes=5, seed=0):
    """Logits whose labels are drawn from softmax(logits / temperature)."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(examples, classes))
    chances = softmax(logits / temperature, axis=1).cumsum(axis=1)
    labels = (rng.random((examples, 1)) > chances).sum(axis=1).clip(max=classes - 1)
    return logits.astype(np.float32), labels


def test_likelihood_and_error_worked_out_by_hand():
    logits, labels = np.log([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 1])
    nll = -(np.log(0.9) + np.log(0.4)) / 2
    assert negative_log_likelihood(logits, labels) == pytest.approx(nll)
    # Confidence 0.9, right, and 0.6, wrong, each alone in its bin: (0.1 + 0.6) / 2.
    assert expected_calibration_error(logits, labels) == pytest.approx(0.35)
    # In one bin: |accuracy 0.5 - confidence 0.75|.
    assert expected_calibration_error(logits, labels, bins=1) == pytest.approx(0.25)
    # Halved logits: 0.9 becomes 3 / (3 + 1).
    half = negative_log_likelihood(logits[:1], labels[:1], temperature=2)
    assert half == pytest.approx(-np.log(0.75))


def test_two_examples_worked_out_by_hand():
    # One logit ahead by 2, right three times in four: e^(2 / T) = 3.
    logits, labels = np.tile([2.0, 0.0], (4, 1)), np.array([0, 0, 0, 1])
    fit = fit_temperature(logits, labels)
    assert fit.temperature == pytest.approx(2 / np.log(3), rel=1e-9)
    assert fit.nll_after == pytest.approx(-(3 * np.log(0.75) + np.log(0.25)) / 4)
    assert fit.ece_after == pytest.approx(0, abs=1e-9)
    assert fit.converged
    assert not fit.problem


@pytest.mark.parametrize("temperature", [0.05, 0.7, 1.0, 3.0, 40.0])
def test_finds_the_temperature_that_labels_were_drawn_with(temperature):
    fit = fit_temperature(*drawn(temperature))
    assert fit.converged
    assert fit.temperature == pytest.approx(temperature, rel=0.1)


def test_no_other_temperature_is_more_likely():
    logits, labels = drawn(1.7, examples=500)
    best = minimize_scalar(
        lambda b: negative_log_likelihood(logits, labels, 1 / b),
        bounds=(0.01, 10), method="bounded",
        options={"xatol": 1e-10},
    )  # fmt: skip
    fit = fit_temperature(logits, labels)
    assert fit.temperature == pytest.approx(1 / best.x, rel=1e-5)
    assert fit.nll_after <= best.fun + 1e-12
    assert fit.nll_after <= fit.nll_before


def test_logits_are_given_back_to_the_memory_at_once():
    """A study's calibration would else hold all models' logits."""
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(60, 3)), rng.integers(0, 3, 60)
    kept = weakref.ref(logits)
    gc.disable()
    try:
        assert calibration.fit_temperature(logits, labels).converged
        del logits
        assert kept() is None
    finally:
        gc.enable()


def test_scaled_logits_give_a_scaled_temperature():
    logits, labels = drawn(1.5, examples=800)
    one, three = fit_temperature(logits, labels), fit_temperature(3 * logits, labels)
    assert three.temperature == pytest.approx(3 * one.temperature, rel=1e-6)
    assert three.nll_after == pytest.approx(one.nll_after)


def test_order_of_rows_and_names_of_classes_do_not_matter(monkeypatch):
    logits, labels = drawn(1.5, examples=800)
    rng = np.random.default_rng(0)
    rows, classes = rng.permutation(800), rng.permutation(5)
    moved = logits[rows][:, classes], np.argsort(classes)[labels[rows]]
    whole = fit_temperature(logits, labels)
    monkeypatch.setattr(calibration, "ROWS", 64)
    assert fit_temperature(*moved).temperature == pytest.approx(whole.temperature, rel=1e-9)
    assert fit_temperature(*moved).ece_after == pytest.approx(whole.ece_after, rel=1e-6)


def test_a_model_that_is_always_right_is_marked():
    fit = fit_temperature(np.eye(3) * 5, np.arange(3))
    assert not fit.converged
    assert "right on all calibration images" in fit.problem
    assert fit.temperature == pytest.approx(1e-3)


@pytest.mark.parametrize("labels", [[1, 0], [0, 0]])
def test_a_model_no_better_than_chance_is_marked_and_its_temperature_is_positive(labels):
    fit = fit_temperature(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array(labels))
    assert not fit.converged
    assert "no better than chance" in fit.problem
    assert fit.temperature > 0


@pytest.mark.parametrize(
    ("scale", "bound", "message"), [(1e-5, 1e-3, "so small"), (1e6, 1e3, "so large")]
)
def test_logits_on_a_scale_beyond_all_temperatures_are_marked_as_such(scale, bound, message):
    logits, labels = drawn(1.0, examples=500)
    fit = fit_temperature(scale * logits, labels)
    assert not fit.converged
    assert fit.temperature == pytest.approx(bound)
    assert message in fit.problem


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([[np.nan, 0.0]], [0], "NaN"),
        ([[np.inf, 0.0]], [0], "infinity"),
        ([[1.0, 0.0]], [2], "between 0 and 1"),
        ([[1.0, 0.0]], [-1], "between 0 and 1"),
        ([[1.0, 0.0]], [0, 1], "do not fit"),
        (np.zeros((0, 2)), [], "do not fit"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        fit_temperature(np.array(logits), np.array(labels, dtype=int))
