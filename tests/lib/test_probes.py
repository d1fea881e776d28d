"""Linear probes find scikit-learn's solution and say when they have not converged."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from workflow.lib import probes


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 3
    centres = rng.normal(size=(3, 8))
    features = centres[labels] + rng.normal(size=(600, 8))
    features = features * np.array([1, 10, 0.1, 1, 1, 5, 1, 0]) + np.array([0, 3, 0, 0, 9, 0, 0, 2])
    return torch.from_numpy(features), torch.from_numpy(labels)


@pytest.mark.parametrize("l2", [1e-3, 1e-1])
def test_the_solution_is_that_of_scikit_learn(data, l2):
    features, labels = data
    (probe,) = probes.fit_path(features, labels, 3, [l2], tolerance=1e-8)
    scale = features.std(0, correction=0)
    standard = (features - features.mean(0)) / torch.where(scale > 0, scale, 1)
    reference = LogisticRegression(C=1 / (600 * l2), tol=1e-10, max_iter=5000)
    reference.fit(standard.numpy(), labels.numpy())
    probabilities = probe(features).softmax(1)
    np.testing.assert_allclose(
        probabilities.numpy(), reference.predict_proba(standard.numpy()), atol=1e-6
    )
    assert probe.converged


def test_a_path_gives_what_single_fits_give_in_the_order_asked_for(data):
    strengths = [1e-3, 1.0, 1e-2]
    path = probes.fit_path(*data, 3, strengths, tolerance=1e-8)
    assert [probe.l2 for probe in path] == strengths
    for probe in path:
        (single,) = probes.fit_path(*data, 3, [probe.l2], tolerance=1e-8)
        torch.testing.assert_close(probe.weight, single.weight, atol=1e-5, rtol=1e-4)


def test_a_stronger_penalty_gives_smaller_weights(data):
    features = (data[0] - data[0].mean(0)) / data[0].std(0).clamp(min=1e-9)
    norms = [p.weight.norm() for p in probes.fit_path(features, data[1], 3, [1e-3, 1e-1, 10])]
    assert norms[0] > norms[1] > norms[2]


def test_too_few_iterations_are_reported(data, caplog):
    (probe,) = probes.fit_path(*data, 3, [1e-6], iterations=2)
    assert not probe.converged
    assert "did not converge" in caplog.text


def test_the_strength_is_chosen_on_held_out_examples(data):
    features, labels = data
    noise = torch.from_numpy(np.random.default_rng(1).normal(size=(600, 400)))
    both = torch.cat([features, noise], 1)
    # Hundreds of useless dimensions can only be ignored under a penalty.
    assert probes.fit(both, labels, 3, [1e-6, 1e-1]).l2 == 1e-1
