"""Networks of a study: a class for each kind, with its own keys, and what its weights depend on.

A network is built from its entry under `models` or `pretraining`, on top of the study's `recipe`
where its class has keys of a recipe. Fields that only say something of a network, or name another
one, are excluded when it is dumped: what is left is what its weights depend on.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PrivateAttr

from workflow.lib.models import preprocessing
from workflow.lib.outputs.formats import holds_features
from workflow.lib.study.fields import (
    Answers,
    Digest,
    Excluded,
    Keys,
    LabelNames,
    Logits,
    Maybe,
    Options,
    Penalties,
    Positive,
    Seed,
    Strict,
    Templates,
    Text,
    Weights,
)
from workflow.lib.study.recipe import (
    Augmented,
    Built,
    Cropped,
    DropBlock,
    ImageParts,
    Labelled,
    Learnt,
    Recipe,
    in_use,
)

FOUND: dict[str, dict] = {}
"""How public networks want their images, by what their entries say of it, as JSON.

Looking that up takes timm and open_clip, and seconds to import them. Every job's process reads the
study again, so it is filled beforehand there (`workflow.lib.study.load.load`).
"""

Head = Literal["trained", "fine-tuned", "distilled", "lbfgs", "zero-shot", "class-mapping"]


class Network(Strict):
    """A network of a study.

    Attributes
    ----------
    kind : str
        Of network: its head, its objective, or where its weights are from; empty if unknown.
    title : str
        Its kind, in words.
    inherits : tuple of str
        What its recipe takes from that of the network it comes from.
    learns : str or None
        Objective of a model that learns the classes by itself.
    uses_recipe : bool
        Whether it takes from `recipe` what its entry leaves out.
    """

    kind: ClassVar[str] = ""
    title: ClassVar[str] = "a network"
    inherits: ClassVar[tuple[str, ...]] = ()
    learns: ClassVar[str | None] = None
    uses_recipe: ClassVar[bool] = True

    _path: tuple[str, str] = PrivateAttr(("", ""))
    _own: Mapping = PrivateAttr({})
    _whole: bool = PrivateAttr(True)

    def place(self, path: tuple[str, str], own: Mapping, whole: bool) -> None:
        """Note where its entry is, what that says by itself, and whether all of it is right."""
        self._path, self._own, self._whole = path, own, whole

    @property
    def path(self) -> tuple[str, str]:
        """Section and key of its entry."""
        return self._path

    @property
    def own(self) -> Mapping:
        """Its entry as it is written; all else is of `recipe`."""
        return self._own

    @property
    def whole(self) -> bool:
        """Whether all of its entry is right."""
        return self._whole

    @property
    def parents(self) -> list[str]:
        """Keys of the networks whose weights it needs."""
        return [getattr(self, name) for name in ("source", "teacher") if hasattr(self, name)]

    def origin(self, key: str) -> tuple[str, ...]:
        """Say where the value of a key was written."""
        return (*self.path, key) if key in self.own else ("recipe", key)

    def image(self) -> dict:
        """Say how it wants its images; empty if that is inherited or unknown.

        Raises
        ------
        InputError
            If the hub has no such network.
        """
        image = getattr(self, "input", None)
        return in_use(image.model_dump(exclude_none=True)) if image else {}

    def recipe(self, parent: Mapping) -> dict:
        """Gather all that its weights depend on, and no more.

        Parameters
        ----------
        parent : mapping
            Recipe of the network that it comes from, if any.

        Returns
        -------
        dict
            `head`, and values by key, in alphabetical order at every depth: their order in the file
            is no change.
        """
        values = {key: parent[key] for key in self.inherits if key in parent}
        values |= {key: value for key, value in self.model_dump().items() if value is not None}
        if image := self.image():
            values["input"] = image
        if self.learns:
            values["objective"] = self.learns
        void = self.void() if isinstance(self, Learnt) else {}
        head = {"timm": "pretrained"}.get(self.kind, self.kind)
        head = "pretraining" if self.path[0] == "pretraining" else head
        return {"head": head} | _in_order({k: v for k, v in values.items() if k not in void})


def _in_order(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _in_order(value[key]) for key in sorted(value)}
    return deepcopy(value)


class Model(Network):
    """One model, by what it does differently from `recipe`."""

    name: Excluded[Maybe[str]] = None
    """Name in figures and tables; by default, the model's key."""
    category: Excluded[
        Literal["base", "reinit", "hparam", "arch", "fwork", "dataset", "control", "unknown"]
    ]
    """What differs from the base: its seed (reinit), hyper-parameters (hparam), architecture
    (arch), training framework (fwork) or data (dataset). Exactly one model is the base. Means leave
    out what has the weights of another model (control) and what is not known (unknown)."""
    weights_of: Excluded[Maybe[str]] = None
    """Key of the model whose weights a control has, evaluated in another way: with other code,
    preprocessing or precision. How much the two differ is what no training explains."""
    set: Excluded[Literal["main", "high", "low"]] = "main"
    """`main`, or clearly above the band (`high`: bases of greedy ensembles) or below it (`low`:
    candidates to add to a strong model)."""
    head: Excluded[Maybe[Head]] = None
    """What makes the network a classifier. By default `distilled` where the objective is
    distillation, else `fine-tuned` with `from`, else `trained`. Of weights and logits from
    elsewhere, only what tables say."""
    train_data: Excluded[Maybe[str]] = None
    """Training data as the tables call it; by default, the splits."""
    stand_in: Excluded[bool] = False
    """Whether the model only stands in for that of the row `paper`; its name then says so."""
    paper: Excluded[Maybe[str]] = None
    """Name of the row of a published study that the model stands beside in tables."""

    @property
    def has_features(self) -> bool:
        """Whether its outputs hold features, as far as one can tell."""
        return True


class Descendant(Model):
    """A model that starts from another network."""

    source: Excluded[str] = Field(alias="from")
    """Key of the network under `pretraining` that the model starts from."""


class Elsewhere(Network):
    """A network that was trained elsewhere."""

    uses_recipe = False

    objective: Excluded[Maybe[str]] = None
    """What was learnt there, as the tables call it."""
    sha256: Maybe[Digest] = None
    """SHA-256 that the file must have."""


class Public(Elsewhere):
    """Public weights, of the hub's or in a file."""

    checkpoint: Maybe[Weights] = None
    """File of weights, in place of the hub's; `package:<package>/<file>` for one in an installed
    Python package."""
    input: Maybe[ImageParts] = None
    """How an image is prepared. Parts that are left out are the hub's."""

    def image(self) -> dict:
        """Say how it wants its images, its own parts on top of the hub's."""
        if self.entry not in FOUND:
            FOUND[self.entry] = preprocessing.preprocessing(json.loads(self.entry))
        own = self.input.model_dump(exclude_none=True) if self.input else {}
        return in_use(FOUND[self.entry] | own)

    @property
    def entry(self) -> str:
        """What its preprocessing may follow from; a key of `FOUND`."""
        return json.dumps(self.model_dump(exclude_none=True))


class Timm(Public):
    """Public weights of timm."""

    kind = "timm"
    title = "the weights of timm"

    timm: str
    """timm's name of the weights with its tag, such as resnet50.a1_in1k, or `local-dir:<folder>` as
    timm writes it. `objective`, `head` and `train_data` only say how they came about."""
    options: Maybe[Options] = None
    """Further arguments of timm.create_model."""


class OpenClip(Public):
    """Public weights of open_clip."""

    kind = "open_clip"
    title = "the weights of open_clip"

    open_clip: str
    """Architecture/tag, such as ViT-B-32/openai; under `pretraining`. Beside `checkpoint` the
    architecture alone will do where open_clip's weights of it agree, or where there are none and
    `input` says how they want their images."""


# Under `models`.


class LogitsModel(Model, Elsewhere):
    """A model of which there are only logits."""

    kind = "logits"
    title = "logits from a file"

    logits: Logits
    """File of logits, and features if it has them, from any framework, in place of a network.
    `objective`, `head` and `train_data` only say where they are from."""
    macs: Maybe[Positive] = None
    """Multiply-adds of the model for one image, to weigh its cost; without it, the model has a
    place in no cascade and on no Pareto front of multiply-adds."""

    @property
    def has_features(self) -> bool:
        """Whether the file holds features, as far as one can tell."""
        return holds_features(self.logits or "")


class AnswersModel(Model, Elsewhere):
    """A model of which there are only answers."""

    kind = "answers"
    title = "answers from a file"

    answers: Answers
    """File of the class that the model gives for each test image, and perhaps of how sure it is, in
    place of a network: a CSV file `id, answer[, confidence]`, one of timm's inference.py or of
    ImageNet-X, or arrays of one or several models. `objective`, `head` and `train_data` only say
    where they are from."""
    column: Maybe[str] = None
    """Name of the model in a file of several."""

    @property
    def has_features(self) -> bool:
        """Whether there are features: none."""
        return False


class TimmModel(Model, Timm):
    """A public classifier of timm."""

    label_names: Maybe[LabelNames] = None
    """The classes in the order of the model's outputs: a list, or a text file with a name a line.
    Needed where neither timm's settings nor the names say it: where torchvision, timm and numbers
    sort these differently."""


class OpenClipModel(Model, OpenClip):
    """Refused: a network of open_clip is no classifier by itself."""


class Checkpoint(Model, Elsewhere, Built):
    """A classifier in a file."""

    kind = "checkpoint"
    title = "a checkpoint"
    uses_recipe = True

    checkpoint: Weights
    """File of weights of `architecture`, classifier included. Nothing is trained then; `objective`,
    `head` and `train_data` only say how it once was."""
    label_names: Maybe[LabelNames] = None
    """The classes in the order of the file's outputs: a list, or a text file with a name a line.
    Needed where torchvision, timm and numbers sort their names differently."""


class Trained(Model, Recipe):
    """A model that learns the classes from nothing."""

    kind = "trained"
    title = "the head trained"
    learns = "supervised"


class FineTuned(Descendant, Cropped, Augmented, Labelled, DropBlock):
    """A pretrained network whose weights all learn the classes."""

    kind = "fine-tuned"
    title = "the head fine-tuned"
    learns = "supervised"
    inherits = ("architecture", "options", "input")

    def recipe(self, parent: Mapping) -> dict:
        """Gather all that its weights depend on, and no more."""
        if "timm" in parent:
            parent = {"architecture": parent["timm"], "options": {}, **parent}
        return super().recipe(parent)


class Distilled(Model, Built, Cropped, Augmented, DropBlock):
    """A model that learns from another one's outputs."""

    kind = "distilled"
    title = "the head distilled"
    learns = "distillation"

    temperature: Positive = 4.0
    """Of the softmax of teacher and student, for `distillation`."""
    teacher: Excluded[str]
    """Key of the model that a distilled one learns from."""


class Lbfgs(Descendant):
    """A linear head on features of a pretrained network."""

    kind = "lbfgs"
    title = "the head lbfgs"
    inherits = ("input",)

    data: Keys
    """Splits to learn from."""
    seed: Seed
    """Seed of the images held out to choose a penalty."""
    regularisation: Penalties = [0.0001, 0.001, 0.01, 0.1, 1.0]
    """L2 penalties among which an `lbfgs` head chooses on images held out of its data."""


class ZeroShot(Descendant):
    """The classes' names, seen by a network of images and texts."""

    kind = "zero-shot"
    title = "the head zero-shot"
    inherits = ("input", "templates")

    templates: Maybe[Templates] = None
    """Sentences around a class name, which replaces {}. By default those its network was trained
    with, and of `open_clip` networks those of open_clip for ImageNet."""
    class_names: Maybe[Annotated[list[Text], Field(min_length=2)]] = None
    """What the classes are called in the templates, one name a class in the order of
    results/<study>/template/classes.csv. By default their names in the dataset, and for ImageNet
    those of open_clip."""


class ClassMapping(Descendant):
    """The classes of a pretrained network, mapped to the study's."""

    kind = "class-mapping"
    title = "the head class-mapping"
    inherits = ("input", "labels")


HEADS = (Trained, FineTuned, Distilled, Lbfgs, ZeroShot, ClassMapping)
OTHERS = (LogitsModel, AnswersModel, TimmModel, OpenClipModel, Checkpoint)
MODELS = {cls.kind: cls for cls in (*OTHERS, *HEADS)}
FROZEN = ("lbfgs", "zero-shot", "class-mapping")
"""Heads on networks whose weights stay as they are."""
WEIGHTLESS = ("logits", "answers")
"""Kinds of models of which there are outputs and no weights."""
