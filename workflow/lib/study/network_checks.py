"""Mistakes in one network: keys without effect, values that do not match, unsuitable parents.

As in `checks`, any part of the study may be None.
"""

import os
from collections.abc import Iterator, Mapping, Sequence

from workflow.lib.data import labels, parquet
from workflow.lib.data.splits import HELD
from workflow.lib.models import hub
from workflow.lib.run.errors import InputError
from workflow.lib.study import networks
from workflow.lib.study.datasets import Dataset
from workflow.lib.study.fields import shown
from workflow.lib.study.model import StudyFile
from workflow.lib.study.networks import Network
from workflow.lib.study.parse import MISSING, Mistake, nearest
from workflow.lib.study.pretraining import CONTRASTIVE
from workflow.lib.study.recipe import Cropped, Labelled, Learnt


def missing_split(split: str, dataset: Dataset | None) -> str | None:
    """Say that a dataset has no such split, as far as its splits are known before it is read."""
    if dataset is None or dataset.splits is None or split in dataset.splits:
        return None
    kind, splits, path = dataset.kind, dataset.splits, dataset.path or ""
    if kind == "labels" and split in labels.named_splits(path):
        return None
    if not splits and kind not in ("folder", "parquet"):  # which may have splits of their own
        return None
    if kind == "parquet" and split in (HELD if splits else (*HELD, "train")):
        return None
    if kind == "parquet" and split in parquet.named_splits(path):
        return None
    # A folder of its own is a split, but train only if nothing is drawn from it.
    unread = not os.path.isdir(path) or os.path.isdir(os.path.join(path, split))
    if kind == "folder" and unread and not (splits and split == "train"):
        return None
    return f'there is no split "{split}"{nearest(split, splits)}'


def unlearnable(split: str, dataset: Dataset | None, kept: Sequence[str] = HELD) -> str | None:
    """Say that a split must not be learnt from, or that there is none such."""
    if split in kept:
        return f"the split {split} must not be learnt from"
    return missing_split(split, dataset)


def network_mistakes(network: Network, study: StudyFile) -> Iterator[Mistake]:
    """Find the mistakes of one network."""
    yield from _hub_mistakes(network)
    public = isinstance(network, networks.Public)
    if network.whole if public else getattr(network, "input", None):
        yield from _image_mistakes(network)
    for split in getattr(network, "data", None) or []:
        if text := unlearnable(split, study.dataset):
            yield network.origin("data"), text
    yield from _schedule_mistakes(network)
    yield from _objective_mistakes(network)
    yield from _crop_mistakes(network)
    yield from _parent_mistakes(network, study)


def _hub_mistakes(network: Network) -> Iterator[Mistake]:
    if isinstance(network, networks.OpenClipModel):
        text = "is no classifier by itself; move it to pretraining, and name it with `from` and"
        yield (*network.path, "open_clip"), f"{text} the head zero-shot or lbfgs"
    if isinstance(network, networks.TimmModel) and network.head in networks.FROZEN:
        text = f"the head {network.head} needs a network under pretraining; move `{network.kind}`"
        yield (*network.path, "head"), f"{text} there, and name it with `from`"


def _image_mistakes(network: Network) -> Iterator[Mistake]:
    try:
        image = network.image()
    except InputError as error:
        yield (*network.path, network.kind), str(error)
        return
    own = network.own.get("input")
    own = own if isinstance(own, Mapping) else {}

    def place(*keys: str) -> tuple:
        overridden = not network.uses_recipe or {*keys} & own.keys()
        return (*network.path, "input") if overridden else ("recipe", "input")

    channels = [len(image[key]) for key in ("mean", "std") if key in image]
    if len(channels) == 2 and channels not in ([1, 1], [3, 3]):
        text = f"one value each, or three each, not {channels[0]} and {channels[1]}"
        yield place("mean", "std"), f"mean and std must have {text}"
    elif image.get("crop_mode") == "border" and len(image.get("fill", ())) not in channels:
        text = "the crop mode border needs `fill`, a value for each of"
        yield place("crop_mode", "fill", "mean"), f"{text} {channels[0]} channels"
    if "fill" in own and image.get("crop_mode") != "border":
        yield (*network.path, "input", "fill"), "has no effect unless the crop_mode is border"


def _schedule_mistakes(network: Network) -> Iterator[Mistake]:
    if not isinstance(network, Learnt):
        return
    void, origin = network.void(), network.origin
    for key in network.own:
        if key in void and key in type(network).model_fields:
            yield (*network.path, key), void[key]
    milestones = network.milestones or []
    if network.schedule == "step" and not milestones:
        yield (*origin("schedule")[:-1], "milestones"), f"{MISSING}; the schedule step needs it"
    elif "milestones" not in void and milestones != sorted(milestones):
        yield origin("milestones"), f"must grow, unlike {shown(milestones)}"
    warmup, epochs = network.warmup or 0, network.epochs
    if "warmup" not in void and epochs is not None and warmup >= epochs:
        key = "epochs" if "epochs" in network.own and "warmup" not in network.own else "warmup"
        text = f"the warm-up of {warmup} epochs is not shorter than the training of {epochs}"
        yield origin(key), text


def _objective_mistakes(network: Network) -> Iterator[Mistake]:
    """Find models that learn no classes, or not as their head does."""
    if not isinstance(network, Learnt) or network.learns is None or network.objective is None:
        return
    place, objective, wanted = network.origin("objective"), network.objective, network.learns
    if objective in CONTRASTIVE:
        text = f"{objective} gives no classifier; move it to pretraining, and name it with `from`"
        yield place, text
    elif "objective" in network.own and objective != wanted:
        yield place, f"must be {wanted} with {network.title}, not {objective}"
    if isinstance(network, Labelled) and network.labels == "shades":
        text = "a model must learn classes; shades are for pretraining"
        yield network.origin("labels"), text


def _crop_mistakes(network: Network) -> Iterator[Mistake]:
    if not isinstance(network, Cropped):
        return
    origin, void = network.origin, network.void()
    if network.decodes and "shift" in network.own and hasattr(network, "shift"):
        place = (*network.path, "shift")
        yield place, "has no effect with the augmentation random-resized-crop"
    if network.decodes and getattr(network, "labels", None) == "shades":
        text = "shades are told apart in decoded images, and random-resized-crop decodes none"
        yield origin("labels"), f"{text}; give it the augmentation shift-and-flip"
    for key in ("crop_scale", "crop_ratio"):
        ends = getattr(network, key) or []
        if key not in void and ends != sorted(ends):
            yield origin(key), f"must go from the least to the greatest, not {shown(ends)}"
    blocks = ("drop_block_stages", "drop_block_keep")
    for key, other in (blocks, blocks[::-1]):
        if getattr(network, key, None) is not None and getattr(network, other) is None:
            yield (*origin(key)[:-1], other), f"{MISSING}; {key} needs it"


def _parent_mistakes(network: Network, study: StudyFile) -> Iterator[Mistake]:
    """Find parents that do not exist or do not suit the head."""
    for key, name, section, known in (
        ("from", getattr(network, "source", None), "pretraining", study.pretraining),
        ("teacher", getattr(network, "teacher", None), "models", study.models),
    ):
        if name is not None and name not in known:
            text = f'there is no "{name}" under {section}{nearest(name, known)}'
            yield (*network.path, key), text
        elif name is not None and known[name].kind in networks.WEIGHTLESS:
            text = f"{name} has only {known[name].kind}: there are no weights to learn from"
            yield (*network.path, key), text
    source = study.pretraining.get(getattr(network, "source", ""))
    if source is not None and source.kind:
        yield from _source_mistakes(network, source, study.dataset)


def _source_mistakes(
    network: Network, source: Network, dataset: Dataset | None
) -> Iterator[Mistake]:
    """Find a head that does not suit the network it is put on."""
    place, name, trained = (*network.path, "from"), source.path[1], source.kind
    if network.kind == "zero-shot":
        if trained == "timm":
            yield place, f"the head zero-shot needs a clip, and {name} is of timm, without texts"
        elif trained not in ("clip", "open_clip"):
            yield place, f"the head zero-shot needs a clip, and {name} is {trained}"
        imagenet = dataset is None or dataset.kind == "imagenet"
        if trained == "open_clip" and "templates" not in network.own and not imagenet:
            text = f"{MISSING}; open_clip's own templates are for ImageNet's classes"
            yield (*network.path, "templates"), text
    mappable = trained == "timm" or getattr(source, "labels", None) == "shades"
    if network.kind == "class-mapping" and not mappable:
        text = "the head class-mapping needs supervised pretraining on shades, or a network of timm"
        yield place, f"{text}, and {name} is none"
    folder = isinstance(source, networks.Timm) and (source.timm or "").startswith(hub.LOCAL)
    if network.kind == "fine-tuned" and (folder or trained == "open_clip"):
        of = f"of {hub.LOCAL}<folder>" if folder else "of open_clip"
        text = f"{name} is {of}, which cannot be fine-tuned here; choose the head lbfgs"
        yield place, text
