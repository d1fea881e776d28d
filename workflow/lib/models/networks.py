"""Networks: built by timm or open_clip, stored with their recipe, used as classifiers.

A checkpoint is a file of safetensors. They carry the library's own names, so that it loads them
too; what else belongs to a network (a projector, a text tower, a head on embeddings) is stored
under names that begin with `extra.`.
"""

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split
import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import safetensors
import safetensors.torch
import timm
import torch
from timm.models.deit import VisionTransformerDistilled
from torch import Tensor, nn
from torch.nn import functional as F

from workflow.lib.data.proofs import prove
from workflow.lib.models.clip import image_tower
from workflow.lib.run.errors import InputError
from workflow.lib.run.files import AGAIN, refuse_special, replacing

EXTRA = "extra."
SETS = ("state_dict", "state_dict_ema", "model", "model_ema")
"""Keys that the tensors of a file from elsewhere may be under."""

WRAPPERS = ("_orig_mod.", "module.", "_orig_mod.")
"""What torch.compile and DataParallel, in either order, put before every name of a tensor."""


def device() -> torch.device:
    """Give the GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def create(recipe: Mapping, classes: int) -> nn.Module:
    """Build a network with fresh weights.

    Parameters
    ----------
    recipe : mapping
        `architecture`, `options` and `input` as in the configuration; of open_clip's networks,
        `clip` instead, what it builds them from.
    classes : int
        Outputs of the last layer; 0 for none. An image tower of open_clip has no last layer.

    Raises
    ------
    InputError
        If timm knows no such architecture or option.
    """
    if "clip" in recipe:
        return image_tower(recipe["clip"])
    try:
        return timm.create_model(
            recipe["architecture"],
            num_classes=classes,
            in_chans=len(recipe["input"]["mean"]),
            **recipe["options"],
        )
    except (RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"timm cannot make the architecture '{recipe['architecture']}' "
            f"with the options {recipe['options']}: {error}"
        ) from error


def save(path: str | os.PathLike, recipe: Mapping, network: nn.Module, **extra: nn.Module) -> None:
    """Write a network's tensors, those of its further parts, and its recipe as safetensors."""
    tensors = dict(network.state_dict())
    for name, module in extra.items():
        tensors |= {f"{EXTRA}{name}.{key}": t for key, t in module.state_dict().items()}
    tensors = {key: tensor.contiguous() for key, tensor in tensors.items()}
    text = json.dumps(recipe)
    # Under one key: several come in an order that differs from file to file.
    metadata = {"recipe": json.dumps({"digest": digest_of([text, tensors]), "recipe": text})}
    with replacing(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata)


def digest_of(content: object) -> str:
    """Digest of tensors, numbers and text in dictionaries and lists.

    A file that holds these carries it, and so proves that they are those which were written. It is
    the SHA-256 of the proofs of the tensors' rows, which take no longer than to read them.
    """
    whole = hashlib.sha256()

    def add(part: object) -> None:
        if isinstance(part, Mapping):
            part = [list(item) for item in sorted(part.items(), key=lambda item: str(item[0]))]
        if isinstance(part, Tensor):
            whole.update(f"{part.dtype}{list(part.shape)}".encode())
            if part.numel():
                rows = part.detach().cpu().reshape(part.shape[0] if part.ndim > 1 else 1, -1)
                whole.update(prove(rows.contiguous().view(torch.uint8).numpy()))
        elif isinstance(part, list | tuple):
            whole.update(f"[{len(part)}".encode())
            for each in part:
                add(each)
        else:
            whole.update(f"{part!r},".encode())

    add(content)
    return whole.hexdigest()


def load_tensors(path: str | os.PathLike) -> tuple[dict | None, dict[str, Tensor]]:
    """Read a checkpoint without unpickling anything.

    Returns
    -------
    recipe : dict or None
        None for a checkpoint from elsewhere.
    tensors : dict of str to Tensor

    Raises
    ------
    InputError
        If the file is missing, damaged, or holds more than the tensors of one network.
    """
    path = Path(path)
    refuse_special(path)
    try:
        if path.suffix in (".safetensors", ".part"):  # of ours before it is published
            with safetensors.safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            if "recipe" not in metadata and not any('"digest"' in v for v in metadata.values()):
                return None, _unwrapped(tensors)
            own = {}
            with suppress(ValueError):
                own = json.loads(metadata.get("recipe", ""))
            if own.get("digest") != digest_of([own.get("recipe"), tensors]):
                raise InputError(
                    f"cannot read the checkpoint {path}: it is damaged or of an older make; {AGAIN}"
                )
            return json.loads(own["recipe"]), tensors
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"there is no checkpoint {path}") from error
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"cannot read the checkpoint {path}: {reason(error)}\n"
            f"It must hold tensors and nothing else. If it was made here, {AGAIN}; else save it "
            f"again as .safetensors"
        ) from error
    check_sets(content, path)
    found = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(found, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in found.items()
    ):
        raise InputError(
            f"the checkpoint {path} holds more than tensors, or tensors without names; save its "
            f"state_dict alone"
        )
    return None, _unwrapped(found)


def reason(error: Exception) -> str:
    """Say why a file cannot be loaded, without torch's own advice to unpickle it."""
    text = str(error) or type(error).__name__
    if "weights_only" not in text and "Weights only" not in text:
        return text
    found = re.search(r"GLOBAL (\S+)", text)
    what = f" ({found[1]})" if found else ""
    return f"it is no file of tensors, or holds other objects{what}, which are never unpickled"


def check_sets(content: object, path: str | os.PathLike) -> None:
    """Refuse a file that holds the weights of a training and their running mean.

    timm would take the mean, and other readers the weights.

    Parameters
    ----------
    content
        What torch has stored in the file.
    path
        For the message.

    Raises
    ------
    InputError
        If it does.
    """
    if not isinstance(content, Mapping):
        return
    found = [key for key in SETS if isinstance(content.get(key), Mapping)]
    if len(found) > 1:
        raise InputError(
            f"{path} holds {len(found)} sets of weights, {', '.join(found[:-1])} and {found[-1]}; "
            f"save the one that you mean alone"
        )


def _unwrapped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take off what wrappers of the whole network have put before every name."""
    for prefix in WRAPPERS:
        if all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
    return dict(tensors)


def load_into(module: nn.Module, tensors: Mapping[str, Tensor], path: str | os.PathLike) -> None:
    """Fill a module with exactly the tensors that it has.

    Raises
    ------
    InputError
        If a tensor is missing, left over, or of another shape.
    """
    try:
        module.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        problems = "\n".join(str(error).splitlines()[1:9])
        raise InputError(
            f"the checkpoint {path} does not fit {type(module).__name__}:\n{problems}\n"
            f"Give the architecture and options that it was trained with"
        ) from error


def part(tensors: Mapping[str, Tensor], name: str = "") -> dict[str, Tensor]:
    """Tensors of the timm network, or of one of a checkpoint's further parts."""
    if not name:
        return {key: tensor for key, tensor in tensors.items() if not key.startswith(EXTRA)}
    prefix = f"{EXTRA}{name}."
    return {
        key.removeprefix(prefix): tensor
        for key, tensor in tensors.items()
        if key.startswith(prefix)
    }


def pretrained(path: str | os.PathLike, classes: int, recipe: Mapping | None = None) -> nn.Module:
    """Build a timm network on the trunk of a checkpoint of ours, with a fresh last layer.

    Parameters
    ----------
    path
        Checkpoint; its own last layer is left out.
    classes : int
        Outputs of the fresh last layer.
    recipe : mapping, optional
        `architecture`, `options` and `input` to build; the checkpoint's own if not given.

    Raises
    ------
    InputError
        If the trunk does not fit, or the checkpoint is of an image tower of open_clip, which has no
        last layer to replace.
    """
    own, tensors = load_tensors(path)
    own = own or {}
    recipe = recipe or own
    if "clip" in recipe or "clip" in own:
        raise InputError(f"{path} is an image tower of open_clip, which takes no last layer")
    tensors = part(tensors)
    network = create(recipe, classes)
    layers = last_layers(network)
    last = tuple(f"{name}." for name, module in network.named_modules()
                 if name and any(module is layer for layer in layers))  # fmt: skip
    fresh = {key: value for key, value in network.state_dict().items() if key.startswith(last)}
    trunk = {key: value for key, value in tensors.items() if not key.startswith(last)}
    load_into(network, trunk | fresh, path)
    return network


def last_layers(network: nn.Module) -> tuple[nn.Module, ...]:
    """Last layer of a timm network; of a distilled one both heads, whose mean is its output."""
    last = network.get_classifier()
    return last if isinstance(last, tuple) else (last,)


def linear_head(network: nn.Module) -> nn.Module:
    """Last layer of a timm network as one, which takes what `features_of` gives.

    The two linear heads of a distilled network become one. Any other is given as it is, linear or
    not.
    """
    layers = last_layers(network)
    if len(layers) == 1:
        return layers[0]
    if not all(isinstance(layer, nn.Linear) for layer in layers):
        return nn.ModuleList(layers)
    if isinstance(network, VisionTransformerDistilled):
        weight = torch.cat([layer.weight for layer in layers], dim=1) / len(layers)
    else:
        weight = torch.stack([layer.weight for layer in layers]).mean(0)
    joined = nn.Linear(*reversed(weight.shape), device="meta")
    joined.weight = nn.Parameter(weight, requires_grad=False)
    bias = torch.stack([layer.bias for layer in layers]).mean(0)
    joined.bias = nn.Parameter(bias, requires_grad=False)
    return joined


def set_linear_head(network: nn.Module, weight: Tensor, bias: Tensor) -> None:
    """Put a linear head into a timm network's last place.

    Parameters
    ----------
    network : nn.Module
    weight : Tensor, shape (classes, dimensions)
        For what `features_of` gives.
    bias : Tensor, shape (classes,)

    Raises
    ------
    InputError
        If the network's last layer is not linear.
    """
    layers = last_layers(network)
    weights = [weight] * len(layers)
    if isinstance(network, VisionTransformerDistilled):
        weights = (weight * len(layers)).chunk(len(layers), dim=1)
    with torch.no_grad():
        for layer, own in zip(layers, weights, strict=True):
            if not isinstance(layer, nn.Linear | nn.Conv2d) or layer.bias is None:
                raise InputError(
                    f"a {type(network).__name__} has no linear last layer with a bias, so it "
                    f"cannot be given another head; take another architecture"
                )
            layer.weight.copy_(own.reshape(layer.weight.shape))
            layer.bias.copy_(bias)


def features_of(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Run a timm network.

    Returns
    -------
    features : Tensor, shape (images, dimensions)
        What its last layer takes; of a distilled transformer, whose two heads take two tokens, both
        tokens side by side.
    outputs : Tensor, shape (images, outputs)
    """
    maps = network.forward_features(images)
    if isinstance(network, VisionTransformerDistilled):
        features = maps[:, :2].flatten(1)
    else:
        features = network.forward_head(maps, pre_logits=True)
    return features, network.forward_head(maps)


def embeddings_of(network: nn.Module, images: Tensor) -> Tensor:
    """Normalised outputs of an image tower: shape (images, dimensions)."""
    outputs = network(images)
    # Some of open_clip's give the tokens too.
    return F.normalize(outputs[0] if isinstance(outputs, tuple) else outputs, dim=-1)


def class_of_label(labels: str, classes: int) -> Tensor:
    """Class that each output of a head over a label space belongs to: int64, shape (outputs,)."""
    return torch.arange(classes).repeat_interleave(3 if labels == "shades" else 1)


class Classifier(nn.Module):
    """A network that gives features and logits of the study's classes.

    Parameters
    ----------
    network : nn.Module
        timm network, or image tower of open_clip.
    embedding_head : nn.Linear, optional
        Head on the network's normalised outputs (zero-shot, or of an image tower of open_clip any);
        the network's own last layer is the head if not given.
    groups : Tensor of int64, shape (outputs,), optional
        For a head over other labels, the class that each belongs to. A class's probability is the
        sum of its labels', so its logit is the log of the sum of their exponentials.
    """

    def __init__(self, network, embedding_head=None, groups=None):
        super().__init__()
        self.network, self.embedding_head, self.groups = network, embedding_head, groups

    @property
    def head(self) -> nn.Module:
        """The last layer, before any class mapping."""
        return self.embedding_head or linear_head(self.network)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute what the outputs file stores, and what checks it.

        Returns
        -------
        features : Tensor, shape (images, dimensions)
            What the head takes.
        outputs : Tensor, shape (images, outputs)
            What the whole network gives, before any class mapping.
        logits : Tensor, shape (images, classes)
        """
        if self.embedding_head is not None:
            features = embeddings_of(self.network, images)
            outputs = self.embedding_head(features)
        else:
            features, outputs = features_of(self.network, images)
        return features, outputs, self.map_classes(outputs)

    def map_classes(self, outputs: Tensor) -> Tensor:
        """Turn a head's outputs into logits of the study's classes."""
        if self.groups is None:
            return outputs
        columns = [outputs[:, self.groups == c] for c in range(int(self.groups.max()) + 1)]
        return torch.stack([column.logsumexp(dim=1) for column in columns], dim=1)


def load_classifier(path: str | os.PathLike, recipe: Mapping, classes: int) -> Classifier:
    """Load a model of the study.

    Parameters
    ----------
    path
        Its checkpoint.
    recipe : mapping
        Its recipe, needed for checkpoints from elsewhere; ours carry their own.
    classes : int
        Classes of the study.

    Raises
    ------
    InputError
        If the checkpoint cannot be read or does not fit.
    """
    own, tensors = load_tensors(path)
    recipe = own or recipe
    head = part(tensors, "head")
    if head:
        outputs, dimensions = head["weight"].shape
        embedding_head = nn.Linear(dimensions, outputs, bias="bias" in head)
        load_into(embedding_head, head, path)
        classifier = Classifier(create(recipe, dimensions), embedding_head)
    elif recipe.get("head") == "class-mapping" and "labels" in recipe:
        groups = class_of_label(recipe["labels"], classes)
        classifier = Classifier(create(recipe, len(groups)), groups=groups)
    else:
        classifier = Classifier(create(recipe, classes))
    load_into(classifier.network, part(tensors), path)
    return classifier.eval()
