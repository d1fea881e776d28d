"""What a completed study is made of: what rules ask of it, in plain values."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import ClassVar

from workflow.lib.data.splits import HELD
from workflow.lib.outputs.answers import columns_of, holds_confidences
from workflow.lib.study import model
from workflow.lib.study.categories import CONTROL
from workflow.lib.study.datasets import Dataset
from workflow.lib.study.figures import PUBLISHED, drawable


@dataclass(frozen=True)
class Model:
    """What figures and tables show of a model."""

    name: str
    category: str
    set: str
    objective: str
    train_data: str
    head: str
    stand_in: bool
    paper: str | None
    weights_of: str | None = None


RULES = {"lbfgs": "head", "zero-shot": "head", "class-mapping": "head", "checkpoint": "head",
         "logits": "external", "answers": "answers"}  # fmt: skip
"""The rule that makes what a model of some heads is; of the others, see `Network.rule`."""

WITH_WEIGHTS = ("train", "head", "pretrained")
"""The rules that make checkpoints."""

CARDS = ("single", "pair", "triple", "cascade")
"""Deployment cards of every study."""

IMAGE_SHEETS = ("none-right", "suspected-labels")
"""Contact sheets of every study that has images."""

STAGES = ("data", "models", "outputs", "logits", "answers", "measures", "images", "updates",
          "ensembles", "combining", "test_sets", "logits_on_sets", "answers_on_sets", "probes",
          "downstream", "sensitivity", "figures", "report")  # fmt: skip
"""Files of rules of a study that is measured, in running order."""

OF_LOGITS = ("models", "logits", "ensembles", "combining", "logits_on_sets", "probes",
             "downstream", "sensitivity")  # fmt: skip
"""Those that a study of answers alone has no use for."""


@dataclass(frozen=True)
class Network:
    """What a network is made of.

    Attributes
    ----------
    recipe : dict
        All that its weights depend on but the networks that it comes from.
    parents : list of str
        Keys of the networks whose checkpoints it needs.
    geometry : str
        Name of the geometry of its images; where there are only logits, of those shown beside them.
    """

    recipe: dict
    parents: list[str]
    geometry: str

    @property
    def rule(self) -> str:
        """Name of the rule that makes its checkpoint, or its outputs if they are external."""
        public = "timm" in self.recipe or "open_clip" in self.recipe
        return RULES.get(self.recipe["head"], "pretrained" if public else "train")

    @property
    def reads_files(self) -> bool:
        """Whether its training decodes the image files itself, each epoch anew."""
        return self.recipe.get("augmentation") == "random-resized-crop"

    @property
    def arrays(self) -> list[str]:
        """Splits whose decoded images it learns from."""
        return [] if self.reads_files else self.recipe.get("data", [])


class Greedy(model.Greedy):
    """Greedy ensembles of the models that are meant."""

    members: list[str]
    """All models among `bases` and `pool`."""


class Features(model.Features):
    """Probes of the features of the models that are meant."""

    base: str
    """The base of the study."""
    bases: list[str]
    """Models that the others are combined with."""
    seed: int
    """The first of the seeds of draws."""

    @property
    def settings(self) -> dict:
        """What the probes depend on, of plain types."""
        keys = {"data", "shares", "seeds", "seed", "dimensions", "regularisation"}
        return self.model_dump(include=keys)

    def bases_of(self, model: str) -> list[str]:
        """Those that a model is combined with: all but itself."""
        return [base for base in self.bases if base != model]


@dataclass(frozen=True)
class Downstream:
    """A further task; `partners` gives each model itself and those that it is paired with."""

    kind: str
    path: str
    split: str | None
    seed: int
    models: list[str]
    partners: dict[str, list[str]]
    regularisation: list[float]

    @property
    def settings(self) -> dict:
        """All of it that is known, of plain types."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class PublishedStudy:
    """A study of published numbers: `table`, `base`, `examples` and `corrections` of `published`.

    Papers may leave open which mean they took, and their pairs have no keys to name them by.
    """

    name: str
    title: str
    published: dict
    band: list[float]
    ensemble: str = "unstated"
    pairs: list[list[str]] = field(default_factory=list)
    bases: list[str] = field(default_factory=list)
    figures: list[str] = field(default_factory=lambda: list(PUBLISHED))
    stages: tuple[str, ...] = ("published",)
    # What only a study that is measured has.
    alongside = None
    paper_rows: ClassVar[dict] = {}
    places: ClassVar[dict] = {}
    external_files: ClassVar[list] = []
    tables: ClassVar[list] = []
    test_sets: ClassVar[dict] = {}
    cards: ClassVar[list] = []
    sheets: ClassVar[list] = []
    flip_sheets: ClassVar[list] = []
    image_sheets: ClassVar[list] = []
    updates: ClassVar[list] = []

    @property
    def file(self) -> dict:
        """What its file says."""
        keys = ("title", "published", "band")
        return {"study": self.name} | {key: getattr(self, key) for key in keys}

    @property
    def settings(self) -> dict:
        """All of it, of plain types."""
        more = {"ensemble": self.ensemble, "pairs": [], "figures": self.figures}
        return self.file | more | {"answers_alone": False}


@dataclass(frozen=True)
class Study:
    """A study on a labelled dataset; networks and models are by key, in the order of its file.

    Attributes
    ----------
    bases : list of str
        Models that each serve as the base, the base first. Of published numbers there is one base
        without a key, so that they name none.
    geometries : dict of str to dict
        `size`, `crop`, `interpolation` and `channels` of each geometry in use.
    test_sets : dict of str to dict
        What each further test set is made of, as `workflow.lib.data.test_sets` takes it.
    preprocessing : dict of str to dict
        How public networks want their images, as `workflow.lib.study.networks.FOUND`.
    """

    name: str
    title: str
    dataset: Dataset
    band: list[float]
    ensemble: str
    protocol: str
    accuracy_tolerance: float
    extraction: dict
    bases: list[str]
    pairs: list[list[str]]
    ensembles: dict[str, list[str]]
    groups: dict[str, list]
    updates: list[list[str]]
    attributes: str | None
    models: dict[str, Model]
    networks: dict[str, Network]
    geometries: dict[str, dict]
    greedy: Greedy
    features: Features
    downstream: Downstream | None
    test_sets: dict[str, dict]
    preprocessing: dict[str, dict]
    alongside: PublishedStudy | None = None

    published = None
    evaluation_splits: ClassVar[list[str]] = list(HELD)
    """Splits that all models are run on, and nothing is learnt from."""

    @property
    def stages(self) -> list[str]:
        """Files of rules that it needs, in running order."""
        wanted = {"downstream": self.downstream, "answers": False, "updates": self.updates}
        if self.answers_alone:
            wanted |= dict.fromkeys(OF_LOGITS, False) | {"answers": True}
        else:
            wanted["answers_on_sets"] = False
        if not self.test_sets:
            wanted |= dict.fromkeys(("test_sets", "logits_on_sets", "answers_on_sets"), False)
        return [stage for stage in STAGES if wanted.get(stage, True)]

    @cached_property
    def figures(self) -> list[str]:
        """Names of the figures that it can draw."""
        return drawable(self)

    @property
    def tables(self) -> list[str]:
        """Tables for its report that no figure draws."""
        wanted = {"calibration": "pareto", "class_specialisation": "figure4",
                  "recommendations": "pareto", "uncertainty": "risk", "updates": "flips",
                  "update_classes": "flips", "robustness": "effective",
                  "holds": "shift"}  # fmt: skip
        shown = (table for table, figure in wanted.items() if figure in self.figures)
        return ["novelty", *shown, "images"]

    @property
    def cards(self) -> list[str]:
        """Names of its deployment cards: of what is recommended, and of the named ensembles."""
        return [*CARDS, *self.ensembles] if self.has_logits else []

    @property
    def deployed(self) -> dict[str, dict]:
        """What cards say of models: name, recipe and file of weights, by key."""
        return {
            key: {
                "name": own.name,
                "recipe": self.networks[key].recipe,
                "file": self.networks[key].recipe.get(
                    "logits", f"results/{self.name}/models/{key}/checkpoint.safetensors"
                ),
            }
            for key, own in self.models.items()
        }

    @property
    def paired(self) -> list[str]:
        """Models of the pairs that are looked at closely."""
        return list(dict.fromkeys(key for pair in self.pairs for key in pair))

    @property
    def sheets(self) -> list[list[str]]:
        """Pairs whose images are shown."""
        return self.pairs if self.has_images else []

    @property
    def flip_sheets(self) -> list[list[str]]:
        """Updates whose images are shown."""
        return self.updates if self.has_images else []

    @property
    def image_sheets(self) -> list[str]:
        """Names of the sheets of images that all models are shown by."""
        return list(IMAGE_SHEETS) if self.has_images else []

    @property
    def has_images(self) -> bool:
        """Whether there are images, and not their labels alone."""
        return self.dataset.kind != "labels"

    @property
    def shown_geometry(self) -> str:
        """Geometry of the images that are shown of no model in particular: the base's."""
        return self.networks[self.bases[0]].geometry

    @property
    def updated(self) -> list[str]:
        """Models of the updates."""
        return list(dict.fromkeys(key for update in self.updates for key in update))

    @property
    def counted(self) -> dict[str, str]:
        """Category of each model but those that have the weights of another."""
        return {key: own.category for key, own in self.models.items() if own.category != CONTROL}

    @property
    def shown_sets(self) -> list[str]:
        """Test sets of images of their own, which networks are run on."""
        found = self.test_sets.items()
        return [name for name, own in found if not {"labels", "answers"} & own.keys()]

    @property
    def scored_sets(self) -> list[str]:
        """Test sets on which ensembles are scored: all, where there are logits."""
        return list(self.test_sets) if self.has_logits else []

    @property
    def with_weights(self) -> list[str]:
        """Models that can be run on any images."""
        return [key for key in self.models if self.networks[key].rule in WITH_WEIGHTS]

    def geometries_of(self, models: Sequence[str]) -> list[str]:
        """Geometries of the images of some models."""
        return list(dict.fromkeys(self.networks[key].geometry for key in models))

    def taking(self, test_set: str) -> list[str]:
        """Models that can take a test set: on new images, those that have weights."""
        if "answers" in self.test_sets[test_set]:
            known = columns_of(self.test_sets[test_set]["answers"]) or []
            return [key for key in self.models if self.column_of(key) in known]
        return self.with_weights if test_set in self.shown_sets else list(self.models)

    def outputs_on(self, test_set: str, clean: bool = False) -> list[str]:
        """Files of outputs of the models that take a test set, on it or on the test images."""
        own = test_set in self.shown_sets and not clean
        where = f"test_sets/{test_set}/outputs" if own else "outputs"
        return [f"{where}/{model}/test.h5" for model in self.taking(test_set)]

    def column_of(self, model: str) -> str:
        """Name a model has in a file of answers of several."""
        return self.networks[model].recipe.get("column") or model

    @property
    def answers_alone(self) -> bool:
        """Whether all that is known of the models are their answers."""
        return all(network.rule == "answers" for network in self.networks.values())

    @property
    def answers(self) -> dict[str, dict]:
        """File of each model's answers, its column there, and the digest that it must have."""
        keys = ("answers", "column", "sha256")
        return {key: {k: own.recipe.get(k) for k in keys} for key, own in self.networks.items()}

    @cached_property
    def confident(self) -> list[str]:
        """Models that say how sure they are, as far as one can tell."""
        if not self.answers_alone:
            return list(self.models)
        known = ((key, own["answers"], own["column"]) for key, own in self.answers.items())
        return [key for key, path, column in known if holds_confidences(path, column)]

    @property
    def has_logits(self) -> bool:
        """Whether more is known of the models than their answers."""
        return not self.answers_alone

    @property
    def has_gains(self) -> bool:
        """Whether ensembles of the base with other models can be made."""
        return {*self.confident} > {self.features.base}

    @property
    def has_angles(self) -> bool:
        """Whether there are pairs to look at closely whose confidences are known."""
        return bool(self.pairs) and {*self.confident}.issuperset(self.paired)

    @property
    def paper_rows(self) -> dict[str, str]:
        """Names of the published models that models are to stand beside."""
        return {key: model.paper for key, model in self.models.items() if model.paper}

    @property
    def places(self) -> dict[str, str]:
        """Where the weights of each model are, or its external outputs."""
        return {
            key: own.recipe.get("logits", own.recipe.get("answers"))
            or f"results/{self.name}/models/{key}"
            for key, own in self.networks.items()
            if key in self.models
        }

    @property
    def external_files(self) -> list[str]:
        """Files of external outputs."""
        files = [
            own.recipe.get("logits", own.recipe.get("answers")) for own in self.networks.values()
        ]
        return list(dict.fromkeys(file for file in files if file))

    def made_by(self, *rules: str, parents: bool = False) -> str:
        """Match the networks that rules make, or of these the parents of others: a pattern."""
        used = {key for network in self.networks.values() for key in network.parents}
        made = [key for key, own in self.networks.items() if own.rule in rules]
        return "|".join(key for key in made if key in used or not parents) or "-"

    def described(self, *fields: str, models: Sequence[str] | None = None) -> dict[str, dict]:
        """Give what is shown of models, by default all of all: plain dicts, by key."""
        chosen = self.models if models is None else models
        return {
            key: {k: v for k, v in asdict(self.models[key]).items() if not fields or k in fields}
            for key in chosen
        }

    def splits_of(self, model: str) -> list[str]:
        """List the splits whose images external outputs of a model must be of."""
        probed = [*self.features.models, *self.features.bases] if self.features.models else []
        return [*HELD, self.features.data] if model in probed else list(HELD)

    @property
    def template_splits(self) -> list[str]:
        """List the splits that the file of any model must be of."""
        if self.answers_alone:
            return ["test"]
        external = [key for key, own in self.networks.items() if own.rule == "external"]
        return max([list(HELD), *map(self.splits_of, external)], key=len)

    @property
    def settings(self) -> dict:
        """What was chosen and what follows, of plain types."""
        values = asdict(self) | {
            "published": None,
            "figures": self.figures,
            "dataset": self.dataset.settings,
            "greedy": self.greedy.model_dump(),
            "features": self.features.model_dump(),
            "downstream": self.downstream and self.downstream.settings,
            "answers_alone": self.answers_alone,
        }
        del values["alongside"], values["preprocessing"]
        return {"study": values.pop("name")} | values
