"""Corruptions of images, in five severities, each the same whenever and wherever it is made.

Constants are those of Hendrycks and Dietterich (2019), *Benchmarking Neural Network Robustness to
Common Corruptions and Perturbations* (https://github.com/hendrycks/robustness, commit 8190fe3): of
ImageNet-C (`create_c/make_imagenet_c.py`); and of CIFAR-10-C (`create_c/make_cifar_c.py`) for
images whose shorter side has at most 64 pixels. What has no constants there can be added here.

They are not the published images: noise is drawn by another generator, results are rounded and
not cut off to whole numbers, and not compressed (as ImageNet-C's, to JPEG of quality 85).
"""

import functools
import hashlib
import io
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

SEVERITIES = 5
SMALL = 64  # shorter side, in pixels, up to which the constants are CIFAR-10-C's
SCALE = 256  # shorter side that ImageNet-C brings its images to

Draw = Callable[[], np.random.Generator]


def _gaussian_noise(image: Image.Image, scale: float, rng: Draw) -> Image.Image:
    x = _floats(image)
    return _image(x + scale * rng().standard_normal(x.shape))


def _shot_noise(image: Image.Image, photons: float, rng: Draw) -> Image.Image:
    return _image(rng().poisson(_floats(image) * photons) / photons)


def _blur(image: Image.Image, sigma: float, rng: Draw) -> Image.Image:
    # Only here: what a study may be asked for is read from this module in every job. Pillow's blur
    # is three means over a box, which at these widths is no Gaussian.
    from scipy.ndimage import gaussian_filter

    x = _floats(image)
    return _image(gaussian_filter(x, (sigma, sigma, 0)[: x.ndim], mode="nearest"))


def _contrast(image: Image.Image, factor: float, rng: Draw) -> Image.Image:
    x = _floats(image)
    means = x.mean(axis=(0, 1), keepdims=True)  # of each channel
    return _image((x - means) * factor + means)


def _brightness(image: Image.Image, shift: float, rng: Draw) -> Image.Image:
    """Add to the value of hue, saturation and value: the largest channel, to which others keep."""
    x = _floats(image)
    if x.ndim == 2:
        return _image(x + shift)
    value = x.max(axis=2, keepdims=True)
    brighter = np.minimum(value + shift, 1)
    share = np.divide(x, value, out=np.ones_like(x), where=value > 0)
    return _image(share * brighter)


def _pixelate(image: Image.Image, share: float, rng: Draw) -> Image.Image:
    width, height = image.size
    few = max(int(width * share), 1), max(int(height * share), 1)
    return image.resize(few, Image.Resampling.BOX).resize(image.size, Image.Resampling.BOX)


def _jpeg(image: Image.Image, quality: int, rng: Draw) -> Image.Image:
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=quality)
    return Image.open(packed, formats=["JPEG"]).convert(image.mode)


CORRUPTIONS: Mapping[str, tuple[Callable, tuple[float, ...], tuple[float, ...]]] = {
    "gaussian-noise": (_gaussian_noise, (0.08, 0.12, 0.18, 0.26, 0.38),
                       (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot-noise": (_shot_noise, (60, 25, 12, 5, 3), (500, 250, 100, 75, 50)),
    "blur": (_blur, (1, 2, 3, 4, 6), (0.4, 0.6, 0.7, 0.8, 1)),
    "contrast": (_contrast, (0.4, 0.3, 0.2, 0.1, 0.05), (0.75, 0.5, 0.4, 0.3, 0.15)),
    "brightness": (_brightness, (0.1, 0.2, 0.3, 0.4, 0.5), (0.05, 0.1, 0.15, 0.2, 0.3)),
    "pixelate": (_pixelate, (0.6, 0.5, 0.4, 0.3, 0.25), (0.95, 0.9, 0.85, 0.75, 0.65)),
    "jpeg": (_jpeg, (25, 18, 15, 10, 7), (80, 65, 58, 50, 40)),
}  # fmt: skip
"""What makes each, and its constants by severity: ImageNet-C's, then CIFAR-10-C's.

Standard deviation of the noise, of pixel values in [0, 1]; photons of a white pixel; standard
deviation of the Gaussian in pixels; factor of the contrast about each channel's mean; shift of the
value of hue, saturation and value; share of the pixels that are left along each side; JPEG's
quality.
"""


class Corrupted:
    """Gives corrupted images of a dataset by their ids; from any thread.

    What comes out depends on the image, its id, and what is said here alone: not on the order of
    the images, on threads, or on what they are resized to later. An image whose channels are all
    alike is corrupted as the grey one that it is, so networks of one channel and of three see the
    same.

    Images with a shorter side above 64 pixels are first resized so that it has 256, as ImageNet-C's
    are: a corruption is then as strong to networks, whatever camera took the image. ImageNet-C then
    crops to 224 pixels; here the crop is left to each network's own geometry, since a second crop
    would be a shift of its own beside the corruption.

    Parameters
    ----------
    decode : callable
        Gives the image of an id, in mode L or RGB; such as a `Decoder`.
    kind : str
        Of `CORRUPTIONS`.
    severity : int
        1 to 5.
    seed : int
    """

    def __init__(
        self, decode: Callable[[str], Image.Image], kind: str, severity: int, seed: int = 0
    ):
        self.decode, self.severity, self.seed = decode, severity, seed
        self.corrupt, *self.constants = CORRUPTIONS[kind]
        if not 1 <= severity <= SEVERITIES:
            raise ValueError(f"severity must be 1 to {SEVERITIES}, not {severity}")

    def __call__(self, example: str) -> Image.Image:
        """Decode and corrupt one image; it has the mode of what was decoded."""
        image = self.decode(example)
        mode = image.mode
        if mode == "RGB" and _is_grey(image):
            image = image.getchannel(0)
        of_large, of_small = self.constants
        constants = of_small
        if min(image.size) > SMALL:
            constants, image = of_large, _to_scale(image)
        rng = functools.partial(_generator, self.seed, example)
        return self.corrupt(image, constants[self.severity - 1], rng).convert(mode)


def _generator(seed: int, example: str) -> np.random.Generator:
    own = hashlib.sha256(example.encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(own[:16], "<u4").tolist()])


def _is_grey(image: Image.Image) -> bool:
    pixels = np.asarray(image)
    return bool((pixels[..., :1] == pixels[..., 1:]).all())


def _to_scale(image: Image.Image) -> Image.Image:
    """Resize so that the shorter side has 256 pixels, as torchvision's `Resize(256)` does."""
    width, height = image.size
    shorter = min(width, height)
    size = int(SCALE * width / shorter), int(SCALE * height / shorter)
    return image.resize(size, Image.Resampling.BILINEAR)


def _floats(image: Image.Image) -> np.ndarray:
    """Pixels in [0, 1]: float64, shape (height, width), or with a last axis of three channels."""
    return np.asarray(image) / 255


def _image(values: np.ndarray) -> Image.Image:
    return Image.fromarray((np.clip(values, 0, 1) * 255).round().astype(np.uint8))
