"""The shades: another label space, from the brightness of images."""

import numpy as np

from workflow.lib import networks
from workflow.scripts.train import shades


def test_each_class_is_divided_into_thirds_from_dark_to_light():
    brightness = np.array([10.0, 5, 20, 200, 100, 150, 15, 1, 2])
    labels = np.array([0, 0, 0, 1, 1, 1, 0, 0, 0])
    # Class 0 from dark to light: 1, 2, 5, 10, 15, 20.
    assert shades(brightness, labels, 2).tolist() == [1, 1, 2, 5, 3, 4, 2, 0, 0]


def test_every_shade_maps_back_to_its_class():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 500)
    fine = shades(rng.random(500), labels, 7)
    assert (networks.class_of_label("shades", 7).numpy()[fine] == labels).all()
    sizes = np.bincount(fine, minlength=21).reshape(7, 3)
    assert (np.ptp(sizes, axis=1) <= 1).all()
