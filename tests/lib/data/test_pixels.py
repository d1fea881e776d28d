"""Attributes of pixels: by hand, and thirds of all."""

import numpy as np
import pytest

from workflow.lib.data.arrays import Array
from workflow.lib.data.pixels import LEVELS, in_thirds, measure_pixels, pixel_attributes


def test_measures_by_hand():
    image = np.zeros((1, 1, 4, 4), np.uint8)
    image[0, 0, 1:3, 1:3] = 255  # a quarter is white, before a black frame
    found = measure_pixels(image)
    assert found["brightness"][0] == pytest.approx(0.25)
    assert found["contrast"][0] == pytest.approx(np.sqrt(0.25 * 0.75))
    assert found["fill"][0] == pytest.approx(0.25)
    # Negatives have the same contrast and fill; colours are grey by their mean.
    other = measure_pixels(255 - image)
    assert other["brightness"][0] == pytest.approx(0.75)
    assert (other["contrast"][0], other["fill"][0]) == pytest.approx((np.sqrt(3) / 4, 0.25))
    colour = np.concatenate([image, image, image], axis=1) // np.array([1, 1, 1])[:, None, None]
    for name, values in measure_pixels(colour.astype(np.uint8)).items():
        assert values[0] == pytest.approx(found[name][0])


def test_a_pixel_nearly_like_the_frame_fills_nothing():
    image = np.full((1, 1, 5, 5), 100, np.uint8)
    image[0, 0, 2, 1:4] = 100 + 16, 100 + 17, 100 - 17
    assert measure_pixels(image)["fill"][0] == pytest.approx(2 / 25)


def test_thirds_are_thirds_and_keep_equal_values_together():
    values = np.random.default_rng(0).permutation(300) / 300.0
    levels = in_thirds(values)
    assert [int((levels == level).sum()) for level in LEVELS] == [100, 100, 100]
    assert values[levels == "low"].max() < values[levels == "middle"].min()
    assert values[levels == "middle"].max() < values[levels == "high"].min()
    assert in_thirds(np.array([0, 0, 0, 0, 1, 2])).tolist() == ["low"] * 4 + ["high"] * 2
    assert {*in_thirds(np.ones(5))} == {"low"}


def test_what_is_the_same_for_all_images_is_left_out(tmp_path, monkeypatch):
    pixels = np.zeros((90, 1, 4, 4), np.uint8)
    pixels[:, 0] = np.arange(90, dtype=np.uint8)[:, None, None]  # each of one grey
    np.save(tmp_path / "images.npy", pixels)
    found = pixel_attributes(Array(tmp_path / "images.npy"))
    assert list(found) == ["brightness"]
    assert found["brightness"].tolist() == ["low"] * 30 + ["middle"] * 30 + ["high"] * 30
    monkeypatch.setattr("workflow.lib.data.arrays.BLOCK", 16 * 7)
    again = pixel_attributes(Array(tmp_path / "images.npy"))
    assert again["brightness"].tolist() == found["brightness"].tolist()
