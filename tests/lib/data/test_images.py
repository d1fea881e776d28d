"""Prepared images are those of timm's and open_clip's own evaluation transforms, bit for bit."""

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import importlib.util
import logging
import threading
from collections import namedtuple
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from timm.data import ImageDataset, create_transform
from torchvision.datasets.folder import default_loader

from tests.close import assert_same_to_scale
from workflow.lib.data.images import Images, prepare
from workflow.lib.data.kinds import Decoder
from workflow.lib.run.errors import InputError

pytestmark = pytest.mark.numeric

GEOMETRY = {"size": 24, "crop": 0.875, "interpolation": "bicubic", "channels": 3}
PLAIN = {"mean": (0, 0, 0), "std": (1, 1, 1)}
PHOTOGRAPHS = Path(importlib.util.find_spec("sklearn").origin).parent / "datasets/images"


def picture(name: str) -> Image.Image:
    rng = np.random.default_rng(int(name))
    return Image.fromarray(rng.integers(0, 256, (37 + int(name), 51, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    """Two real JPEG files, and others made of them, as datasets have them."""
    folder = tmp_path_factory.mktemp("photographs")
    for name in ("china.jpg", "flower.jpg"):
        (folder / name).write_bytes((PHOTOGRAPHS / name).read_bytes())
    photograph = Image.open(PHOTOGRAPHS / "china.jpg")
    assert (photograph.mode, photograph.size) == ("RGB", (640, 427))
    photograph.convert("L").save(folder / "grey.jpg")
    photograph.convert("CMYK").save(folder / "cmyk.jpg")
    photograph.resize((90, 333)).save(folder / "upright.jpg", progressive=True)
    photograph.resize((30, 21)).save(folder / "tiny.jpg", subsampling=0)
    exif = Image.Exif()
    exif[274] = 6  # turn by 90 degrees to see it upright
    photograph.save(folder / "turned.jpg", exif=exif)
    photograph.quantize(16).save(folder / "palette.png")
    photograph.putalpha(Image.linear_gradient("L").resize(photograph.size))
    photograph.save(folder / "alpha.png")
    return folder


def prepared(folder: Path, names: list[str], geometry: dict, path: Path) -> torch.Tensor:
    prepare(Decoder("folder", str(folder), "RGB"), names, geometry, path, threads=2)
    array = np.load(path)
    assert array.dtype == np.uint8
    return torch.from_numpy(array).float() / 255


@pytest.mark.parametrize(
    ("size", "crop", "mode", "interpolation"),
    [
        (224, 0.875, None, "bilinear"),
        (224, 0.95, "center", "bicubic"),
        (224, 1.0, "squash", "bicubic"),
        (65, 0.9, "squash", "bilinear"),
        (160, 0.9, "border", "bicubic"),
        (299, 1.0, "border", "bilinear"),
        ([96, 48], 0.875, "center", "bicubic"),
        ([48, 96], 0.9, "squash", "bicubic"),
        ([96, 48], 1.0, "border", "bicubic"),
    ],
)
def test_photographs_are_those_of_timm(photographs, tmp_path, size, crop, mode, interpolation):
    mean = (0.485, 0.456, 0.406)
    geometry = {"size": size, "crop": crop, "interpolation": interpolation, "channels": 3}
    if mode:
        geometry["crop_mode"] = mode
    if mode == "border":
        geometry["fill"] = [round(255 * value) for value in mean]
    names = sorted(path.name for path in photographs.iterdir())
    assert len(names) == 9
    found = prepared(photographs, names, geometry, tmp_path / "a.npy")
    transform = create_transform(
        (3, size, size) if isinstance(size, int) else (3, *size),
        interpolation=interpolation, crop_pct=crop, crop_mode=mode, mean=mean, std=(1, 1, 1),
    )  # fmt: skip
    transform.transforms.pop()  # timm's border takes its colour from the mean that it normalises by
    dataset = ImageDataset(str(photographs), reader=Listed(photographs, names), transform=transform)
    for row, name in enumerate(names):
        assert torch.equal(found[row], dataset[row][0]), name


class Listed(list):
    """What timm's own dataset needs of a reader: open files, with a target each."""

    def __init__(self, folder: Path, names: list[str]):
        super().__init__((folder / name, 0) for name in names)

    def __getitem__(self, index):
        path, target = super().__getitem__(index)
        return open(path, "rb"), target


@pytest.mark.parametrize(
    ("size", "resize", "ours", "interpolation"),
    [
        (224, "shortest", {}, "bicubic"),
        (240, "shortest", {"crop_mode": "center"}, "bilinear"),
        (256, "squash", {"crop_mode": "squash"}, "bicubic"),
        (224, "longest", {"crop_mode": "border", "fill": [0, 0, 0]}, "bicubic"),
        (96, "longest", {"crop_mode": "border", "fill": [124, 124, 124]}, "bilinear"),
    ],
)
def test_photographs_are_those_of_open_clip(
    photographs, tmp_path, size, resize, ours, interpolation
):
    geometry = {"size": size, "crop": 1.0, "interpolation": interpolation, "channels": 3, **ours}
    transform = open_clip.image_transform(
        size, False, **PLAIN, resize_mode=resize, interpolation=interpolation,
        fill_color=ours.get("fill", [0])[0],
    )  # fmt: skip
    names = sorted(path.name for path in photographs.iterdir())
    found = prepared(photographs, names, geometry, tmp_path / "a.npy")
    for row, name in enumerate(names):
        # open_clip evaluates on torchvision's ImageFolder, whose images are RGB already.
        assert torch.equal(found[row], transform(default_loader(photographs / name))), name
        if name not in ("cmyk.jpg", "palette.png", "alpha.png"):
            assert torch.equal(found[row], transform(Image.open(photographs / name))), name


def test_a_photograph_is_not_turned(photographs, tmp_path):
    found = prepared(photographs, ["turned.jpg"], GEOMETRY, tmp_path / "a.npy")
    with Image.open(photographs / "turned.jpg") as image:
        assert image.getexif()[274] == 6
        Image.fromarray(np.asarray(image)).save(photographs.parent / "bare.png")
    assert torch.equal(found, prepared(photographs.parent, ["bare.png"], GEOMETRY, tmp_path / "b"))


def test_grey_images_keep_one_channel(tmp_path):
    prepare(lambda name: picture(name).convert("L"), ["0"], GEOMETRY | {"channels": 1},
            tmp_path / "a.npy")  # fmt: skip
    assert np.load(tmp_path / "a.npy").shape == (1, 1, 24, 24)


@pytest.mark.parametrize("threads", [1, 5])
def test_images_are_in_order_and_none_is_far_ahead(tmp_path, threads):
    started, most = [], []

    def decode(name):
        started.append(name)
        path = next(tmp_path.glob("a.npy.*.part"))
        proofs = np.fromfile(path, "<u8", offset=128 + 200 * 1728)
        most.append(len(started) - np.count_nonzero(proofs))
        return picture(str(int(name) % 7))

    prepare(decode, [str(i) for i in range(200)], GEOMETRY, tmp_path / "a.npy", threads)
    array = np.load(tmp_path / "a.npy")
    assert len(array) == 200
    for i in range(200):
        assert (array[i] == array[i % 7]).all()
    assert len({image.tobytes() for image in array[:7]}) == 7
    # Files are buffered by 128 KiB at most, which is 75 images of 1728 bytes.
    assert max(most) <= 4 * threads + 77


class Killed(BaseException):
    """Stands for a signal: no handler of errors sees it."""


def interrupted(path: Path, at: int, **others) -> None:
    def decode(name):
        if name == str(at):
            raise Killed
        return picture(name)

    with pytest.raises(Killed):
        prepare(decode, [str(i) for i in range(9)], GEOMETRY, path, **others)


def test_a_killed_run_goes_on_where_it_was(tmp_path, caplog):
    names = [str(i) for i in range(9)]
    prepare(picture, names, GEOMETRY, tmp_path / "whole.npy")
    interrupted(tmp_path / "a.npy", 6)
    assert not (tmp_path / "a.npy").exists()
    (part,) = tmp_path.glob("a.npy.*.part")
    with open(part, "r+b") as file:
        file.seek(128 + 6 * 1728)
        file.write(b"a piece of the next image")
    asked = []

    def decode(name):
        asked.append(name)
        return picture(name)

    with caplog.at_level(logging.INFO):
        prepare(decode, names, GEOMETRY, tmp_path / "a.npy")
    assert asked == ["6", "7", "8"]
    assert "resuming at image 6" in caplog.text
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_nothing_is_decoded_again_when_snakemake_deletes_what_it_did_not_see_finished(tmp_path):
    names = [str(i) for i in range(9)]
    prepare(picture, names, GEOMETRY, tmp_path / "a.npy")
    before = (tmp_path / "a.npy").read_bytes()
    (part,) = tmp_path.glob("a.npy.*.part")
    assert part.samefile(tmp_path / "a.npy")  # a second name, no second copy
    (tmp_path / "a.npy").unlink()
    prepare(lambda _: pytest.fail("decoded again"), names, GEOMETRY, tmp_path / "a.npy")
    assert (tmp_path / "a.npy").read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [{"identity": "other"}, {"geometry": GEOMETRY | {"size": 23}}, {"ids": list("876543210")}],
)
def test_a_run_killed_with_other_images_or_code_starts_over(tmp_path, change):
    interrupted(tmp_path / "a.npy", 6)
    asked = []
    arguments = {"ids": [str(i) for i in range(9)], "geometry": GEOMETRY, "identity": ""} | change

    def decode(name):
        asked.append(name)
        return picture(name)

    prepare(decode, path=tmp_path / "a.npy", **arguments)
    assert sorted(asked) == list("012345678")
    names = [path.name for path in tmp_path.iterdir()]
    assert len(names) == 2 and len(list(tmp_path.glob("a.npy.*.part"))) == 1


def test_an_array_larger_than_the_disk_is_told_before_an_image_is_read(tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(3 * 24 * 24 * 9 - 1))
    with pytest.raises(
        InputError, match=r"a.npy takes 15.6 kB more, but its disk has 15.6 kB left"
    ):
        prepare(lambda _: pytest.fail("read"), list("012345678"), GEOMETRY, tmp_path / "a.npy")
    assert list(tmp_path.iterdir()) == []
    prepare(picture, list("01234567"), GEOMETRY, tmp_path / "a.npy")


def test_rows_of_several_arrays_follow_one_another(tmp_path):
    for name, ids in (("a", ["0", "1"]), ("b", ["2"])):
        prepare(picture, ids, GEOMETRY, tmp_path / f"{name}.npy")
    device = torch.device("cpu")
    mean, std = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
    both = Images([tmp_path / "a.npy", tmp_path / "b.npy"], mean, std, device)
    assert len(both) == 3
    transform = create_transform(
        (3, 24, 24), interpolation="bicubic", crop_pct=0.875, mean=mean, std=std
    )
    rows = np.array([2, 0, 2])
    expected = torch.stack([transform(picture(str(row))) for row in rows])
    assert_same_to_scale(both[rows], expected)


@pytest.mark.parametrize("threads", [1, 3])
def test_nothing_is_left_of_images_that_cannot_all_be_read(tmp_path, threads):
    def decode(name):
        if name == "30":
            raise InputError("cannot read the image 30")
        return picture(name)

    before = set(threading.enumerate())
    with pytest.raises(InputError, match=r"cannot read the image 30"):
        prepare(decode, list(map(str, range(60))), GEOMETRY, tmp_path / "a.npy", threads)
    assert list(tmp_path.iterdir()) == []
    assert set(threading.enumerate()) <= before


def test_images_stream_in_order_whatever_the_files_they_lie_in(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (23, 3, 5, 4), dtype=np.uint8)
    for name, part in (("a", pixels[:6]), ("b", pixels[6:7]), ("c", pixels[7:])):
        np.save(tmp_path / f"{name}.npy", part)
    paths = [str(tmp_path / f"{name}.npy") for name in "abc"]
    images = Images(paths, [0.5] * 3, [0.5] * 3, torch.device("cpu"))
    for start, size in ((0, 5), (4, 10), (22, 100)):
        batches = list(images.stream(start, size))
        assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
        np.testing.assert_array_equal(torch.cat(batches).numpy(), pixels[start:])
    for layout in (torch.preserve_format, torch.channels_last):
        normal = images.normalise(images.raw(np.arange(3)), layout)
        assert torch.equal(normal, (torch.tensor(pixels[:3]) - 127.5) / 127.5)
        assert normal.is_contiguous(
            memory_format=torch.contiguous_format if layout == torch.preserve_format else layout
        )
    (tmp_path / "c.npy").write_bytes((tmp_path / "c.npy").read_bytes()[:-1])
    with pytest.raises(InputError, match="ends too early; delete it"):
        list(images.stream(0, 23))
