"""Multiply-adds by hand, and those that are published."""

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import pytest
import timm
import torch
from torch import nn

from workflow.lib.models.macs import count_macs


def test_a_network_worked_out_by_hand():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(8 * 4 * 5, 10))
    # A product for each of 3 x 3 x 3 weights, 8 maps and 4 x 5 pixels; then 160 x 10.
    assert count_macs(network, 3, [4, 5]) == 27 * 8 * 20 + 1600


@pytest.mark.parametrize(
    ("name", "size", "published"),
    [
        ("resnet50", 224, 4.11e9),
        ("resnet50", 160, 2.1e9),
        ("vit_small_patch16_224", 224, 4.61e9),
        ("mobilenetv3_large_100", 224, 0.23e9),
    ],
)
def test_published_counts(name, size, published):
    with torch.device("meta"):
        network = timm.create_model(name).eval()
    assert count_macs(network, 3, size) == pytest.approx(published, rel=0.06)
