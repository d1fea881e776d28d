"""Scenes: garments that are used once, that hide each other, and boxes of what is seen."""

import numpy as np
import pytest

from workflow.lib.data import scenes
from workflow.lib.run.errors import InputError


def rng(seed=0):
    return np.random.default_rng(seed)


def square(value, size=8, margin=2, channels=1):
    """A bright square on black."""
    image = np.zeros((channels, size, size), dtype=np.uint8)
    image[:, margin : size - margin, margin : size - margin] = value
    return image


@pytest.mark.parametrize("images", [1, 2, 5, 1000])
def test_every_image_is_used_once(images):
    rows = scenes.group(images, rng())
    assert sorted(np.concatenate(rows).tolist()) == list(range(images))
    assert {len(members) for members in rows} <= {1, 2, 3, 4}


def test_each_number_of_garments_is_as_likely():
    counts = np.bincount([len(members) for members in scenes.group(20000, rng())])[1:]
    # Of about 8,000 scenes a quarter each; five standard deviations are 0.024.
    np.testing.assert_allclose(counts / counts.sum(), 0.25, atol=0.024)


def test_scenes_are_divided_by_their_shares():
    parts = scenes.divide(10, {"train": 0.25, "val": 0.25, "test": 0.5})
    assert {split: list(part) for split, part in parts.items()} == {
        "train": [0, 1], "val": [2, 3, 4], "test": [5, 6, 7, 8, 9]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("count", "shares", "message"),
    [
        (10, {"train": 0.5, "test": 0.5}, "not of train, val and test"),
        (10, {"train": 0.5, "val": 0.5, "test": 0.5}, "not together 1"),
        (3, {"train": 0.05, "val": 0.45, "test": 0.5}, "'train' would get none"),
        (10, {"train": -0.1, "val": 0.6, "test": 0.5}, "'train' would get none"),
    ],
)
def test_impossible_shares_are_refused(count, shares, message):
    with pytest.raises(InputError, match=message):
        scenes.divide(count, shares)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_single_garment_is_whole_and_its_box_holds_it(channels):
    pixels, (thing,) = scenes.compose(square(200, channels=channels)[None], ["bag"], rng())
    assert pixels.shape == (channels, 12, 12)
    xmin, ymin, xmax, ymax = thing.box
    # A box of VOC counts pixels from 1 and includes its last.
    assert (pixels[:, ymin - 1 : ymax, xmin - 1 : xmax] == 200).all()
    assert np.count_nonzero(pixels) == channels * 16
    assert (thing.name, thing.difficult, thing.truncated) == ("bag", False, False)


def test_the_later_garment_is_in_front_and_what_it_hides_does_not_count(monkeypatch):
    # No room to move: a canvas as large as an image. Rows and columns counted from 1.
    monkeypatch.setattr(scenes, "CANVAS", 1)
    back = square(100, margin=0)  # 64 pixels
    for rows, difficult, truncated, box in (
        (slice(0, 8), None, None, None),  # wholly hidden: left out
        (slice(0, 5), True, True, (1, 6, 8, 8)),  # 24 of 64 are visible
        (slice(0, 4), False, True, (1, 5, 8, 8)),  # 32, exactly half
        (slice(2, 4), False, False, (1, 1, 8, 8)),  # hidden in the middle, seen all around
    ):
        front = np.zeros((1, 8, 8), dtype=np.uint8)
        front[:, rows] = 200
        pixels, objects = scenes.compose(np.stack([back, front]), ["coat", "bag"], rng())
        assert (pixels[0] == np.where(front[0] > 0, 200, 100)).all()
        seen = {thing.name: thing for thing in objects}
        assert (seen["bag"].difficult, seen["bag"].truncated) == (False, False)
        if box is None:
            assert set(seen) == {"bag"}
        else:
            coat = seen["coat"]
            assert (coat.difficult, coat.truncated, coat.box) == (difficult, truncated, box)


def test_dark_pixels_are_see_through_in_all_channels_only(monkeypatch):
    monkeypatch.setattr(scenes, "CANVAS", 1)
    back = np.full((3, 4, 4), 100, dtype=np.uint8)
    front = np.full((3, 4, 4), scenes.BACKGROUND, dtype=np.uint8)
    front[2, 0] = 90  # blue in the first row
    pixels, _ = scenes.compose(np.stack([back, front]), ["a", "b"], rng())
    assert pixels[:, 0, 0].tolist() == [scenes.BACKGROUND, scenes.BACKGROUND, 90]
    assert (pixels[:, 1:] == 100).all()


def test_a_black_image_is_pasted_whole():
    _, (thing,) = scenes.compose(np.zeros((1, 1, 8, 8), dtype=np.uint8), ["bag"], rng())
    xmin, ymin, xmax, ymax = thing.box
    assert (xmax - xmin + 1, ymax - ymin + 1) == (8, 8)


def test_garments_are_spread_more_than_by_chance(monkeypatch):
    garments = np.concatenate([square(200, margin=1)[None]] * 4)

    def covered():
        draws = [scenes.compose(garments, list("abcd"), rng(seed))[0] for seed in range(100)]
        return np.mean([np.count_nonzero(pixels) for pixels in draws])

    chosen = covered()
    monkeypatch.setattr(scenes, "TRIES", 1)
    assert chosen > 1.15 * covered()
