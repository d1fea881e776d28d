"""Heads that need no images: made of class names, or of the outputs of another head."""

import workflow.lib.backends  # noqa: F401  (before open_clip)

# isort: split
import logging
import os
import re
from collections.abc import Callable, Sequence

import open_clip
import torch
from timm.data import ImageNetInfo, infer_imagenet_subset
from torch import Tensor, nn

from workflow.lib.data import imagenet
from workflow.lib.models import networks
from workflow.lib.models.clip import text_image_model, whole_model
from workflow.lib.run.errors import InputError

log = logging.getLogger("uncorrelated")

UNKNOWN = 0.01
"""Share of the classes that may be missing among the labels of a head."""


def zero_shot_head(
    path: str | os.PathLike,
    templates: Sequence[str] | None,
    classes: Sequence[str],
    names: Sequence[str] | None = None,
) -> tuple[nn.Module, nn.Linear]:
    """Turn class names into a linear head on a CLIP's normalised image embeddings.

    Parameters
    ----------
    path
        Checkpoint of a CLIP, trained here or of open_clip.
    templates : sequence of str or None
        Each holds one `{}`, for the class name; their embeddings are averaged. None takes those
        that open_clip has for ImageNet (Radford et al. 2021), if the classes are ImageNet's.
    classes : sequence of str
        The study's.
    names : sequence of str, optional
        What to call them in the templates; by default as they are, or for open_clip's networks and
        ImageNet's classes by open_clip's own names.

    Returns
    -------
    network : nn.Module
        The image tower.
    head : nn.Linear
        Without bias; its weights include CLIP's learned scale.

    Raises
    ------
    InputError
        If the network is no CLIP, there are no templates, there is not one name a class, its
        tokenizer cannot be had, or classes share all their texts.
    """
    recipe, tensors = networks.load_tensors(path)
    text = networks.part(tensors, "clip")
    if not recipe or not text:
        raise InputError(
            f"{path} has no text tower, so class names make no head of it; take a network of "
            f"open_clip, or one pretrained with the objective clip"
        )
    if "clip" in recipe:
        clip, tokenizer = whole_model(recipe["clip"]), _tokenizer(recipe)
        if list(classes) == list(imagenet.classes()[1]):
            names = names or open_clip.IMAGENET_CLASSNAMES
            templates = templates or open_clip.OPENAI_IMAGENET_TEMPLATES
    else:
        clip = text_image_model(recipe, networks.create(recipe, recipe["projection"]))
        tokenizer = open_clip.SimpleTokenizer(context_length=recipe["context"])
    if not templates:
        raise InputError(
            "the classes are not ImageNet's, so the head zero-shot needs `templates`: write some, "
            'such as ["a photo of a {}."], into the model\'s entry'
        )
    names = list(names or classes)
    if len(names) != len(classes):
        first = ", ".join(map(str, classes[:10])) + ", ..." * (len(classes) > 10)
        raise InputError(
            f"`class_names` has {len(names)} names, and the study has {len(classes)} classes: "
            f"write one for each, in their order ({first})"
        )
    _tell_texts_apart(tokenizer, classes, names, templates)
    images = {f"visual.{key}": tensor for key, tensor in networks.part(tensors).items()}
    networks.load_into(clip, text | images, path)
    device = networks.device()
    weights = open_clip.build_zero_shot_classifier(
        clip.eval().to(device), tokenizer, names, list(templates), device=device
    )
    head = nn.Linear(weights.shape[0], weights.shape[1], bias=False)
    with torch.no_grad():
        head.weight.copy_(weights.T * clip.logit_scale.exp())
    return clip.visual.cpu(), head


def _tell_texts_apart(
    tokenizer: Callable, classes: Sequence[str], names: Sequence[str], templates: Sequence[str]
) -> None:
    """Refuse classes whose texts are the same to the text tower, as tokens cut at its context.

    open_clip's own names of ImageNet's classes have two such pairs, which are only reported.
    """
    groups = [list(range(len(names)))]
    for template in templates:  # most are told apart by the first
        split: dict[tuple[int, bytes], list[int]] = {}
        for place, labels in enumerate(groups):
            for label in labels:
                name = names[label]
                text = template.format(name) if isinstance(template, str) else template(name)
                split.setdefault((place, tokenizer([text]).numpy().tobytes()), []).append(label)
        groups = [labels for labels in split.values() if len(labels) > 1]
    shared = [
        " and ".join(f"{classes[label]} ('{names[label]}')" for label in labels)
        for labels in groups
    ]
    if shared and names == list(open_clip.IMAGENET_CLASSNAMES):
        log.warning("the texts of some classes are the same: %s", "; ".join(shared))
    elif shared:
        raise InputError(
            f"the texts of some classes are the same to the network, so it cannot tell them apart: "
            f"{'; '.join(shared[:3])}. Write names that differ into `class_names`, or shorter "
            f"`templates`: a text is cut at the end of the network's context"
        )


def _tokenizer(recipe):
    """Tokenizer of one of open_clip's networks."""
    name = recipe["clip"]["text_cfg"].get("hf_tokenizer_name")
    try:
        return open_clip.get_tokenizer(recipe["open_clip"].partition("/")[0])
    except Exception as error:  # of transformers or the hub, of many kinds
        raise InputError(
            f"{recipe['open_clip']} splits texts by the tokenizer {name} of huggingface.co, which "
            f"cannot be had: {error}\nInstall the package transformers (and sentencepiece), run "
            f"`hf download {name}` where there is a network, copy that cache to this machine's "
            f"HF_HOME, and set HF_HUB_OFFLINE=1; or take the head lbfgs"
        ) from error


def label_of_class(classes: Sequence[str], labels: int) -> Tensor:
    """Find each class among the labels of a head that was learnt on a larger ImageNet.

    A label is that of a class if it is the same synset of WordNet; timm ships the lists. Of
    ImageNet's thousand, Google's 21k and the 22k have all but the teddy (n04399382), and the
    reduced lists of 11,221 and 11,821 labels lack nine and seven.

    Parameters
    ----------
    classes : sequence of str
        ImageNet's names, or synsets.
    labels : int
        Outputs of the head; each list has a number of its own.

    Returns
    -------
    Tensor of int64, shape (classes,)
        Index of the label; -1 for none.

    Raises
    ------
    InputError
        If the labels' list is not known, the classes have no synsets, or more than 1 % of them are
        missing among the labels.
    """
    subset = infer_imagenet_subset({"num_classes": labels})
    if subset is None:
        raise InputError(
            f"the parent's head has {labels} outputs, and timm ships no list of so many labels; "
            f"take the head lbfgs instead"
        )
    synsets = list(classes)
    if synsets == list(imagenet.classes()[1]):
        synsets = list(imagenet.classes()[0])
    elif not all(re.fullmatch(r"n\d{8}", name) for name in synsets):
        raise InputError(
            "classes are mapped by their synsets, so they must be ImageNet's thousand, or named by "
            "their synsets, such as n01440764; take the head lbfgs instead"
        )
    index = {synset: label for label, synset in enumerate(ImageNetInfo(subset).label_names())}
    found = torch.tensor([index.get(synset, -1) for synset in synsets])
    missing = [name for name, label in zip(classes, found, strict=True) if label < 0]
    if len(missing) > UNKNOWN * len(synsets):
        raise InputError(
            f"{len(missing)} of {len(synsets)} classes are not among the {labels} labels of "
            f"{subset}, such as {', '.join(missing[:3])}; take the head lbfgs instead"
        )
    if missing:
        log.warning("no label of %s is that of %s", subset, ", ".join(missing))
    return found


def map_labels(network: nn.Module, parent: nn.Module, labels: Tensor) -> None:
    """Fill a network's last layer with the rows of its parent's that are of its classes' labels.

    A class that has no label gets the mean of the others' rows. So its logit is their mean: it is
    hardly ever predicted, and does not rule the calibration, as a far lower one would.

    Parameters
    ----------
    network, parent : nn.Module
        timm networks of one architecture.
    labels : Tensor of int64, shape (classes,)
        Row of each class; -1 for none.
    """
    layers = zip(networks.last_layers(network), networks.last_layers(parent), strict=True)
    with torch.no_grad():
        for own, theirs in layers:
            for name, tensor in own.named_parameters():
                rows = theirs.get_parameter(name)[labels]
                rows[labels < 0] = rows[labels >= 0].mean(0)
                tensor.copy_(rows)
