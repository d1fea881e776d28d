"""Corruptions: what each does to pixels by hand, and that image, id and seed alone matter."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from workflow.lib.data.corruptions import CORRUPTIONS, SEVERITIES, Corrupted
from workflow.lib.data.kinds import Decoder

IDS = [f"test/{i:05d}" for i in range(12)]
GREY = Decoder("fashion-mnist", "resources/fashion-mnist", "L")
COLOUR = Decoder("fashion-mnist", "resources/fashion-mnist", "RGB")


def image(values):
    return Image.fromarray(np.array(values, np.uint8))


def corrupt(values, kind, severity, example="a", seed=0):
    return np.array(Corrupted(lambda _: image(values), kind, severity, seed)(example)).astype(int)


def photograph(size=(120, 90), seed=0):
    """Give an image with edges, smooth areas and colours, and larger than those of CIFAR."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.BILINEAR)


def test_contrast_is_about_the_mean_of_each_channel():
    assert corrupt([[0, 255]], "contrast", 2).tolist() == [[64, 191]]  # 0.25 and 0.75 of 255
    found = corrupt([[[0, 10, 9], [255, 10, 9]]], "contrast", 2)
    assert found.tolist() == [[[64, 10, 9], [191, 10, 9]]]


def test_brightness_is_a_shift_of_value_that_keeps_hue_and_saturation():
    assert corrupt([[0, 100, 250]], "brightness", 2).tolist() == [[26, 126, 255]]
    found = corrupt([[[100, 50, 0], [0, 0, 0], [250, 125, 250]]], "brightness", 5)
    assert found.tolist() == [[[176, 88, 0], [76, 76, 76], [255, 128, 255]]]  # 100 + 76.5, …


def test_blur_is_a_gaussian():
    values = np.zeros((7, 7))
    values[3, 3] = 255
    found = corrupt(values, "blur", 1)  # a standard deviation of 0.4 pixels
    weights = [math.exp(-(x**2) / 0.32) for x in (0, 1, 2)]
    line = [weight / (weights[0] + 2 * sum(weights[1:])) for weight in weights]
    for x, y in ((3, 3), (3, 4), (4, 4), (3, 5)):
        expected = 255 * line[abs(x - 3)] * line[abs(y - 3)]
        assert found[x, y] == pytest.approx(expected, abs=0.51)
    assert found[3, 3] == 215
    assert corrupt(np.full((9, 9, 3), [10, 20, 30]), "blur", 5)[0, 0].tolist() == [10, 20, 30]


def test_pixelate_takes_means_over_boxes():
    assert corrupt([[0, 100], [40, 60]], "pixelate", 5).tolist() == [[50, 50], [50, 50]]
    values = np.arange(16).reshape(4, 4)
    values = corrupt(np.kron(values, np.ones((16, 16))), "pixelate", 5)  # 64 pixels become 41
    assert values[20, 20] == 5


def test_jpeg_leaves_what_is_even_and_blocks_the_rest():
    assert np.abs(corrupt(np.full((16, 16), 77), "jpeg", 5) - 77).max() <= 1
    rough = np.random.default_rng(0).integers(0, 256, (16, 16))
    assert np.abs(corrupt(rough, "jpeg", 5) - rough).mean() > 10


@pytest.mark.parametrize(
    ("kind", "size", "expected"),
    [("gaussian-noise", 64, 0.04), ("gaussian-noise", 100, 0.08),
     ("shot-noise", 64, math.sqrt(0.4 / 500)), ("shot-noise", 100, math.sqrt(0.4 / 60))],
)  # fmt: skip
def test_noise_is_as_strong_as_the_constants_of_small_and_large_images_say(kind, size, expected):
    found = corrupt(np.full((size, size), 102), kind, 1) / 255
    assert found.mean() == pytest.approx(0.4, abs=0.006)
    assert found.std() == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("kind", CORRUPTIONS)
@pytest.mark.parametrize(
    "clean", [GREY(IDS[0]), GREY(IDS[1]), photograph(), photograph((300, 280))]
)
def test_each_severity_changes_more(kind, clean):
    corrupted = [Corrupted(lambda _: clean, kind, s)("a") for s in range(1, SEVERITIES + 1)]
    assert {(c.mode, c.size) for c in corrupted} == {(clean.mode, corrupted[0].size)}
    same = clean.resize(corrupted[0].size, Image.Resampling.BILINEAR)
    changes = [np.abs(np.array(c).astype(float) - np.array(same)).mean() for c in corrupted]
    if kind == "pixelate" and clean.size == (28, 28):
        changes = changes[::4]  # 26, 25, 23 and 21 pixels fall on 28 in ways that no order has
    assert changes == sorted(set(changes))


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_neither_order_nor_threads_nor_the_mode_of_a_grey_image_matter(kind):
    grey, colour = Corrupted(GREY, kind, 3, 5), Corrupted(COLOUR, kind, 3, 5)
    expected = [np.array(grey(example)) for example in IDS]
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(colour, IDS[::-1]))[::-1]
    for one, other in zip(expected, again, strict=True):
        assert other.mode == "RGB"
        assert (np.array(other) == one[..., None]).all()


@pytest.mark.parametrize("kind", ["gaussian-noise", "shot-noise"])
def test_noise_depends_on_the_seed_and_the_id(kind):
    values = np.full((28, 28), 100)
    drawn = [corrupt(values, kind, 3, example, seed) for example in "ab" for seed in (0, 1)]
    assert all((a != b).any() for i, a in enumerate(drawn) for b in drawn[:i])
    assert (corrupt(values, kind, 3, "a", 1) == drawn[1]).all()


def test_large_images_are_brought_to_the_scale_of_imagenet_c():
    for size, expected in (((64, 200), (64, 200)), ((65, 130), (256, 512)),
                           ((500, 375), (341, 256)), ((256, 256), (256, 256))):  # fmt: skip
        clean = photograph(size)
        assert Corrupted(lambda _, clean=clean: clean, "contrast", 1)("a").size == expected


def test_severities_are_one_to_five():
    for severity in (0, 6):
        with pytest.raises(ValueError, match=f"severity must be 1 to 5, not {severity}"):
            Corrupted(GREY, "blur", severity)
