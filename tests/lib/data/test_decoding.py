"""Images are given by their ids, in the mode that is asked for, and bad ones named."""

import struct

import numpy as np
import pytest
from PIL import Image

from workflow.lib.data.files import UnreadableImage
from workflow.lib.data.kinds import Decoder
from workflow.lib.run.errors import InputError

FASHION_MNIST = "resources/fashion-mnist"


def test_images_of_fashion_mnist_are_those_of_its_files():
    decode = Decoder("fashion-mnist", FASHION_MNIST, "L")
    boot = np.asarray(decode("test/00000"))  # the first test image, an ankle boot
    assert boot.shape == (28, 28) and boot.dtype == np.uint8
    assert boot[0].max() == 0 and boot[20, 5:23].min() > 0  # sky above, and a sole below
    assert np.asarray(decode("train/00000")).tolist() != boot.tolist()
    assert Decoder("fashion-mnist", FASHION_MNIST, "RGB")("test/00000").mode == "RGB"


def test_an_image_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "train/cat/03.png"
    path.parent.mkdir(parents=True)
    Image.new("RGB", (40, 30), (3, 100, 200)).save(path)
    decode = Decoder("folder", str(tmp_path), "RGB")
    assert decode("train/cat/03.png").getpixel((0, 0)) == (3, 100, 200)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match=r"train/cat/03.png.*dataset.skip_corrupt"):
        decode("train/cat/03.png")
    with pytest.raises(InputError, match=r"train/cat/99.png.*No such file"):
        decode("train/cat/99.png")


def test_a_jpeg_cut_short_is_named_wherever_it_is_cut(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    decode = Decoder("imagenet", str(tmp_path), "RGB")
    assert decode("whole.jpg").size == (80, 60)
    for kept in (0, 10, 300, len(content) // 2, len(content) - 100):
        (tmp_path / "cut.jpg").write_bytes(content[:kept])
        with pytest.raises(InputError, match=r"cannot read the image .*cut.jpg"):
            decode("cut.jpg")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_images_of_all_modes_of_8_bits_are_converted(tmp_path, mode):
    suffix = "tif" if mode == "CMYK" else "png"
    Image.new("RGB", (4, 4), "white").convert(mode).save(tmp_path / f"a.{suffix}")
    decode = Decoder("folder", str(tmp_path), "RGB")
    assert decode(f"a.{suffix}").getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(("dtype", "suffix"), [("u2", "png"), ("i4", "tif"), ("f4", "tif")])
def test_an_image_of_more_than_8_bits_is_named(tmp_path, dtype, suffix):
    Image.fromarray(np.full((4, 4), 3000, dtype)).save(tmp_path / f"a.{suffix}")
    with pytest.raises(InputError, match=rf"a.{suffix} has more than 8 bits a channel; convert it"):
        Decoder("folder", str(tmp_path), "L")(f"a.{suffix}")


@pytest.mark.parametrize(
    "error", [RuntimeError, IndexError, KeyError, EOFError, OverflowError, struct.error, TypeError]
)
def test_whatever_a_decoder_raises_names_the_image(tmp_path, monkeypatch, error):
    def fails(self, mode):
        raise error("bad tile")

    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "convert", fails)
    with pytest.raises(UnreadableImage, match=r"cannot read the image .*a.png: .*bad tile"):
        Decoder("folder", str(tmp_path), "RGB")("a.png")


def test_a_damaged_avif_is_named(tmp_path):
    y, x = np.mgrid[:256, :256]
    slope = np.stack([x, y, (x + y) // 2], axis=-1).astype(np.uint8)
    Image.fromarray(slope).save(tmp_path / "a.avif", subsampling="4:4:4")
    content = (tmp_path / "a.avif").read_bytes()
    kept = len(content) - len(content) // 10
    (tmp_path / "a.jpg").write_bytes(content[:kept] + bytes(len(content) - kept))
    with pytest.raises(UnreadableImage, match=r"cannot read the image .*a.jpg"):
        Decoder("folder", str(tmp_path), "RGB")("a.jpg")
