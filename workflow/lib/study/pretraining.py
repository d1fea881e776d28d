"""Networks under `pretraining`, which others start from."""

from workflow.lib.study.fields import Count, Pair, Positive, PositiveShare, ShareBelowOne, Templates
from workflow.lib.study.networks import Network, OpenClip, Timm
from workflow.lib.study.recipe import Augmented, Built, Cropped, Learnt, Recipe


class Supervised(Network, Recipe):
    """A network that learns labels."""

    kind = "supervised"
    title = "the objective supervised"


class SimClr(Network, Built, Cropped):
    """A network that learns which views are of one image."""

    kind = "simclr"
    title = "the objective simclr"

    temperature: Positive
    """Of the softmax of the similarities, for `simclr`."""
    projection: Count
    """Dimensions in which `simclr` compares images."""
    crop_scale: Pair[PositiveShare]
    """Least and greatest share of an image that a view of `simclr` shows."""
    jitter: ShareBelowOne
    """Greatest change of brightness and contrast in views of `simclr`."""

    def void(self) -> dict[str, str]:
        """Say which keys have no effect beside the others, and why."""
        return {key: why for key, why in super().void().items() if key != "crop_scale"}


class Clip(Network, Built, Learnt, Augmented):
    """A network that learns which text is of which image."""

    kind = "clip"
    title = "the objective clip"

    projection: Count
    """Dimensions in which `clip` compares images and texts."""
    templates: Templates
    """Sentences around a class name, which replaces {}."""
    text_width: Count = 64
    """Width of the text tower of `clip`."""
    text_layers: Count = 2
    """Layers of the text tower of `clip`."""
    context: Count = 16
    """Longest text of `clip`, in tokens."""


PRETRAINING = {cls.kind: cls for cls in (Timm, OpenClip, Supervised, SimClr, Clip)}
CONTRASTIVE = ("simclr", "clip")
"""Objectives that give no classifier."""
