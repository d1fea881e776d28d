"""Extraction: features are those that the head takes, and memory that runs out is coped with."""

import numpy as np
import pytest
import torch

from workflow.lib import networks
from workflow.lib.images import Images
from workflow.lib.jobs import InputError
from workflow.scripts.extract import Compute

RECIPE = {
    "architecture": "test_resnet",
    "options": {"channels": [8, 8, 8, 16]},
    "input": {"size": 28, "mean": [0.3], "std": [0.3]},
}


@pytest.fixture
def compute(tmp_path):
    torch.manual_seed(0)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 1, 28, 28), dtype=np.uint8)
    np.save(tmp_path / "a.npy", pixels)
    images = Images([tmp_path / "a.npy"], [0.3], [0.3], torch.device("cpu"))
    return Compute(networks.Classifier(networks.create(RECIPE, 4)).eval(), images, "mine")


def test_logits_are_those_of_the_network_and_features_those_of_its_head(compute):
    rows = np.arange(5, 25)
    logits, features = compute(rows)
    network = compute.classifier.network
    with torch.inference_mode():
        expected = network(compute.images[rows])
    np.testing.assert_allclose(logits, expected.numpy(), atol=1e-6)
    head = network.fc
    np.testing.assert_allclose(
        features @ head.weight.detach().numpy().T + head.bias.detach().numpy(), logits, atol=1e-5
    )


def test_features_of_the_wrong_layer_are_noticed(compute, monkeypatch):
    network = compute.classifier.network
    real = network.forward_head

    def other(maps, pre_logits=False):
        return real(maps, pre_logits=pre_logits) * (0.9 if pre_logits else 1)

    monkeypatch.setattr(network, "forward_head", other)
    with pytest.raises(InputError, match="head of 'mine' does not turn its features"):
        compute(np.arange(10))


def test_batches_shrink_when_memory_runs_out(compute, monkeypatch):
    expected = compute(np.arange(40))
    real, sizes = compute.classifier.forward, []

    def small(images):
        sizes.append(len(images))
        if len(images) > 10:
            raise torch.OutOfMemoryError
        return real(images)

    monkeypatch.setattr(compute.classifier, "forward", small)
    logits, features = compute(np.arange(40))
    assert sizes[-1] <= 10 < sizes[0]
    np.testing.assert_allclose(logits, expected[0], atol=1e-5)
    np.testing.assert_allclose(features, expected[1], atol=1e-5)
