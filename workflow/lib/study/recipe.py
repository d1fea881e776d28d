"""What a training can choose: the keys of `recipe`, each with its type and what it means."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from workflow.lib.study.fields import (
    Count,
    Maybe,
    NotNegative,
    Number,
    Options,
    Pair,
    Positive,
    PositiveShare,
    Seed,
    Several,
    ShareBelowOne,
    Size,
    Strict,
    optional,
)


class Image(Strict):
    """How an image is prepared, in full."""

    size: Size
    """Height and width in pixels, one number if they are the same."""
    crop: PositiveShare
    """Share of the resized image kept by the central crop."""
    crop_mode: Maybe[Literal["center", "squash", "border"]] = None
    """`center` (the default): resize the shorter side and cut out the middle; `squash`: resize both
    sides; `border`: resize the longer side and fill what is left."""
    fill: Maybe[list[Annotated[int, Field(ge=0, le=255)]]] = None
    """Value of each channel outside the image, with the crop mode `border`."""
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"]
    """Filter of the resizing."""
    mean: list[Number]
    """Mean of each channel, one or three, of pixel values in [0, 1]."""
    std: list[Positive]
    """Standard deviation of each channel, one or three, likewise."""


if TYPE_CHECKING:  # which cannot know a class that is made
    ImageParts = Image
else:
    ImageParts = optional(Image)


def in_use(image: dict) -> dict:
    """Leave out of an image's preparation what is the default, or has no effect."""
    mode = image.get("crop_mode", "center")
    void = {"center": ("crop_mode", "fill"), "squash": ("fill",), "border": ()}[mode]
    return {key: value for key, value in image.items() if key not in void}


class Built(Strict):
    """What network it is, and what images it takes."""

    architecture: str
    """Any timm architecture."""
    options: Options
    """Further arguments of timm.create_model. A model's own replace these whole."""
    input: Image
    """How an image is prepared. Parts that a model leaves out are those of `recipe`."""


class Learnt(Strict):
    """How it is trained."""

    objective: Literal["supervised", "distillation", "simclr", "clip"]
    """What is learnt. `simclr` and `clip` give no classifier: they belong under `pretraining`."""
    data: Several[str]
    """Splits to learn from."""
    seed: Seed
    """Seed of the initial weights, the order of the images, and augmentation."""
    epochs: Count
    """Passes over the data."""
    batch_size: Count
    """Images in a step."""
    optimizer: str
    """Any timm optimiser."""
    learning_rate: Positive
    """Greatest one, reached after the warm-up."""
    weight_decay: NotNegative
    """Weight decay of the optimiser."""
    schedule: Maybe[Literal["one-cycle", "cosine", "step"]] = None
    """How the learning rate falls: `one-cycle` (the default), `cosine` to 0, or by `step`."""
    warmup: Maybe[NotNegative] = None
    """Epochs in which the learning rate grows from 0, with `cosine` and `step`."""
    milestones: Maybe[Several[Positive]] = None
    """Epochs after which the schedule `step` divides the learning rate by 10."""

    def void(self) -> dict[str, str]:
        """Say which keys have no effect beside the others, and why."""
        schedule = self.schedule or "one-cycle"
        keys = {"one-cycle": ("warmup", "milestones"), "cosine": ("milestones",), "step": ()}
        return dict.fromkeys(keys[schedule], f"has no effect with the schedule {schedule}")


class Augmented(Strict):
    """How images of a training vary."""

    shift: Seed
    """Random shifts, up to this many pixels; 0 for none."""
    flip: bool
    """Random horizontal flips."""


class Labelled(Strict):
    """What a supervised training learns."""

    labels: Literal["classes", "shades"]
    """`classes`, or `shades`: each class divided by brightness, another label space, for
    `pretraining`."""
    label_smoothing: ShareBelowOne
    """Share of the target spread evenly over all classes."""


class Cropped(Learnt):
    """A training that may decode the image files again in each epoch."""

    augmentation: Maybe[Literal["shift-and-flip", "random-resized-crop"]] = None
    """`shift-and-flip` of the decoded images (the default; of `simclr`, views of these), or
    `random-resized-crop`: each epoch decodes the image files again, and cuts out other parts."""
    crop_scale: Maybe[Pair[PositiveShare]] = None
    """Least and greatest share of an image that a random crop shows, by default [0.08, 1.0]."""
    crop_ratio: Maybe[Pair[Positive]] = None
    """Least and greatest width by height of a random crop, by default [3/4, 4/3]."""

    @property
    def decodes(self) -> bool:
        """Whether it decodes the image files itself."""
        return self.augmentation == "random-resized-crop"

    def void(self) -> dict[str, str]:
        """Say which keys have no effect beside the others, and why."""
        text = f"has no effect with the augmentation {self.augmentation or 'shift-and-flip'}"
        crops = {} if self.decodes else {"crop_scale": text, "crop_ratio": text}
        return super().void() | crops


class DropBlock(Strict):
    """How a ResNet is regularised."""

    drop_block_stages: Maybe[Several[Annotated[int, Field(ge=1, le=4)]]] = None
    """Stages of a ResNet with DropBlock (Ghiasi et al. 2018), which is none by default."""
    drop_block_keep: Maybe[PositiveShare] = None
    """Probability with which DropBlock keeps a unit of the last stage at the end."""


class Recipe(Built, Cropped, Augmented, Labelled, DropBlock):
    """How every model is trained unless its own entry says otherwise."""
