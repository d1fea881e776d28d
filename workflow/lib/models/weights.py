"""Weights of public networks: from a file of tensors into timm's or open_clip's network.

Nothing is unpickled, and a file that does not fill the whole network is refused.
"""

import argparse
import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from workflow.lib.models.hub import PACKAGE, clip_settings, timm_settings
from workflow.lib.run.errors import InputError

if TYPE_CHECKING:  # a study is planned in every process, most of which need no torch
    from torch import nn


def load(
    recipe: Mapping, path: str | os.PathLike, entry: str
) -> tuple[dict, "nn.Module", dict[str, "nn.Module"]]:
    """Build a public network and fill it with the weights of a file.

    Parameters
    ----------
    recipe : mapping
        `timm` or `open_clip`, and of timm's `options` if wanted.
    path
        File of weights, from timm or open_clip or their hub: safetensors, or tensors stored by
        torch.
    entry : str
        Where the study names it.

    Returns
    -------
    made : dict
        What `networks.create` needs to build it again, to be added to its recipe, and of timm's
        its number of `outputs`.
    network : nn.Module
        The classifier, or the image tower.
    parts : dict of str to nn.Module
        What else to store: of open_clip the text tower.

    Raises
    ------
    InputError
        If the file is missing, cannot be read as tensors alone, holds two sets of weights, or does
        not fit the network.
    """
    name = recipe.get("timm") or recipe["open_clip"]
    if not Path(path).is_file():
        raise InputError(f"{entry}: there is no checkpoint {path}")
    try:
        _check_sets(str(path))
        return (_load_timm if "timm" in recipe else _load_clip)(recipe, str(path))
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file or another network's brings about
        from workflow.lib.models.networks import reason

        problem = "\n".join(reason(error).splitlines()[:9])
        raise InputError(
            f"{entry}: the weights in {path} cannot be loaded into {name}: {problem}\n"
            f"The file must hold tensors and nothing else (best as .safetensors), and be of that "
            f"network"
        ) from error


def _check_sets(path: str) -> None:
    """Refuse a file with two sets of weights; the tensors themselves are not kept."""
    import torch

    from workflow.lib.models.networks import check_sets

    if path.endswith(".safetensors"):
        return
    with torch.serialization.safe_globals([argparse.Namespace]):  # which timm's trainings store
        check_sets(torch.load(path, map_location="meta", weights_only=True), path)


def _load_timm(recipe: Mapping, path: str) -> tuple[dict, "nn.Module", dict]:
    import timm
    from timm.models import load_state_dict

    name, settings, options = timm_settings({"checkpoint": path, **recipe})
    tensors = load_state_dict(path)  # by weights_only
    # A network that was fine-tuned has as many outputs as its last layer.
    classifier = settings.get("classifier") or ()
    last = classifier if isinstance(classifier, str) else next(iter(classifier), "")
    weight = tensors.get(f"{last}.weight")
    outputs = settings["num_classes"] if weight is None else len(weight)
    del weight
    arguments = {key: value for key, value in options.items() if key != "pretrained_cfg"}
    # As a file, and with that many classes, so that timm loads all of it or fails.
    settings = {**settings, "file": path, "num_classes": outputs, "custom_load": False}
    if recipe.get("checkpoint", "").startswith(PACKAGE):
        own = timm.create_model(name.partition(".")[0], num_classes=outputs).state_dict()
        settings |= {"file": None, "state_dict": _in_order(tensors, own, path)}
    with _watching() as missing:
        network = timm.create_model(
            name.partition(".")[0],
            pretrained=True,
            pretrained_cfg=settings,
            num_classes=outputs,
            in_chans=len(recipe["input"]["mean"]),
            **arguments,
        )
    if missing:
        raise InputError(f"{path} lacks {len(missing)} tensors of {name}, such as {missing[0]}")
    return {"architecture": name, "options": options, "outputs": outputs}, network, {}


def _in_order(tensors: Mapping, own: Mapping, path: str) -> dict:
    """Give tensors that another library named, in timm's order, the names that timm has for them.

    What each is (the last part of its name) and its shape must be the same, of all of them.
    """
    named = [
        [(name.rpartition(".")[2], value.shape) for name, value in each.items()]
        for each in (tensors, own)
    ]
    if named[0] != named[1]:
        raise InputError(f"the tensors in {path} are not those of the network, in its order")
    return dict(zip(own, tensors.values(), strict=True))


@contextlib.contextmanager
def _watching() -> Iterator[list[str]]:
    """Gather the names of tensors that are missing where a module is filled.

    timm fills some architectures (such as DLA) leniently, and keeps to itself what it has missed.
    """
    from torch import nn

    missing, original = [], nn.Module.load_state_dict

    def load(module, *arguments, **options):
        result = original(module, *arguments, **options)
        missing.extend(result.missing_keys)
        return result

    nn.Module.load_state_dict = load
    try:
        yield missing
    finally:
        nn.Module.load_state_dict = original


def _load_clip(recipe: Mapping, path: str) -> tuple[dict, "nn.Module", dict]:
    import open_clip

    from workflow.lib.models.clip import TextTower, whole_model

    config, _ = clip_settings({"checkpoint": path, **recipe})
    model = whole_model(config)
    if "checkpoint" in recipe:
        _check_shapes(model, path)
    open_clip.load_checkpoint(model, path)  # strictly, and by weights_only
    return {"clip": config}, model.visual, {"clip": TextTower(model)}


def _check_shapes(model: "nn.Module", path: str) -> None:
    """Refuse a file whose tensors open_clip would resample: position embeddings of other sizes."""
    from open_clip.convert import convert_state_dict
    from open_clip.factory import load_state_dict

    expected = model.state_dict()
    for key, tensor in convert_state_dict(model, load_state_dict(path)).items():
        own = expected.get(key, expected.get(f"text.{key}"))  # as older files name it
        if own is not None and own.shape != tensor.shape and tensor.numel() > 1:
            raise ValueError(
                f"{key} has the shape {tuple(tensor.shape)} instead of {tuple(own.shape)}, so they "
                f"are of another image size, text length or network"
            )
