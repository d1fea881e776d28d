"""What a study's file may hold: every key, its type, its default and what it means.

    python -m workflow.lib.study.model

writes all of this to workflow/schemas/study.schema.json, for editors that know JSON schemas.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.json_schema import models_json_schema

from workflow.lib.study.datasets import FashionMnist, Folder, ImageNet, Labels, Parquet, TestSet
from workflow.lib.study.fields import (
    KEYS_ARE_SLUGS,
    Attributes,
    ClassGroup,
    Count,
    Distinct,
    Keys,
    Maybe,
    NumberOrText,
    Pair,
    Penalties,
    PerCent,
    Positive,
    Seed,
    Several,
    Share,
    Slug,
    Strict,
)
from workflow.lib.study.networks import MODELS, WEIGHTLESS, Model, Network
from workflow.lib.study.pretraining import PRETRAINING
from workflow.lib.study.recipe import Recipe

SCHEMA = Path(__file__).parents[2] / "schemas" / "study.schema.json"

KORNBLITH = tuple(float(f"{10 ** (-6 + 11 * step / 44):.6g}") for step in range(45))
"""The L2 penalties of Kornblith, Shlens and Le (2019, appendix A.4)."""
PENALTIES = """L2 penalties, on the mean loss, among which each probe chooses on held-out images. By
default 45 from 1e-6 to 1e5 in equal steps of the logarithm, as Kornblith et al. (2019)."""
ProbePenalties = Annotated[Penalties, Field(description=PENALTIES)]

Entries = Annotated[dict[str, Any], Field(json_schema_extra=KEYS_ARE_SLUGS)]


class Extraction(Strict):
    """How networks are run over images."""

    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Numbers that networks compute in. The last layer always computes in float32, and logits are
    stored as float32."""
    batch_size: Annotated[int, Field(ge=1, le=512)] = 256
    """Images that a network takes at a time; halved when the GPU's memory runs out. Changes results
    only by rounding."""
    compile: bool = False
    """Compile networks by torch.compile: minutes at the start of a job, then faster on a GPU."""


class Greedy(Strict):
    """Greedy ensembles, of figure 5."""

    bases: Maybe[Keys] = None
    """Models to begin with; by default, those of the set `high`."""
    pool: Maybe[Keys] = None
    """Models to add; by default, all that are not of the set `high`."""
    size: Annotated[int, Field(ge=2)] = 10
    """Members at most, the base included."""


class Features(Strict):
    """Features combined with the base's, and compressed, for linear probes; of figure 6."""

    models: Maybe[Keys] = None
    """Models whose features are combined with the base's; by default, the members of `pairs` other
    than the base."""
    bases: Maybe[Keys] = None
    """Models that take turns in being the base of the shares, draw by draw, so that a chance of one
    network's training does not decide; by default, the base alone. The first is that of the
    compression."""
    data: str = "train"
    """Split that the probes learn from."""
    shares: Several[PerCent] = [0, 25, 50, 75, 100]
    """Shares of the base's features to keep, in per cent."""
    seeds: Count = 3
    """Draws of the features that are kept."""
    statistic: Literal["covariance", "correlation"] = "covariance"
    """What ranks the dimensions of two models' features for compression: each one's mean absolute
    `covariance` or `correlation` with all others."""
    direction: Literal["lowest", "highest"] = "lowest"
    """Whether dimensions with the `lowest` or the `highest` statistic come first."""
    dimensions: Several[Count] = [8, 16, 32, 64, 128, 256, 512, 1024, 2048]
    """Numbers of dimensions to compress to."""
    target: Positive = 1.0
    """Share of the accuracy of the probe on all of the base's features that a compression is to
    reach."""
    regularisation: ProbePenalties = list(KORNBLITH)


class Downstream(Strict):
    """A multi-label task on other images, of figure 7."""

    kind: str
    """Where the images are from."""
    models: Maybe[Keys] = None
    """Models to evaluate; by default, the base and those of `features`."""
    regularisation: ProbePenalties = list(KORNBLITH)


class Voc(Downstream):
    """A folder in the layout of Pascal VOC 2007."""

    kind: Literal["voc"]
    """A folder in the layout of Pascal VOC 2007."""
    path: str
    """Folder with JPEGImages, Annotations and ImageSets in it."""


class Scenes(Downstream):
    """A dataset that is made here."""

    kind: Literal["scenes"]
    """A dataset in the layout of Pascal VOC 2007 that is made here, each scene of one to four
    images of a split that no model learns from."""
    split: str
    """Split that the scenes are made of."""
    seed: Seed = 0
    """Seed of their composition."""


TASKS = (Voc, Scenes)
Task = Annotated[Voc | Scenes, Field(discriminator="kind")]


class File(Strict):
    """What any study's file says."""

    study: Slug
    """Name of the study. Its results go to results/<study>/."""
    title: str = ""
    """Title of the report."""
    band: Pair[Share]
    """Lowest and highest test accuracy of the models in the main analyses, so that effects come
    from the training method and not from strength."""


class StudyFile(File):
    """A study on a labelled dataset: its models, how they are trained, and what is analysed.

    `workflow/lib/study/checks.py` checks beside this that names refer to something and that each
    key has an effect.
    """

    alongside: Distinct[str] = []
    """Files of published studies to draw in the same run, to compare with."""
    seed: Seed = 0
    """Added to every seed of the study: of the splits, of the networks, of draws of features and of
    scenes. Another one repeats the study with other draws of all that is random."""
    shared_seeds: bool = False
    """Whether trainings may share a seed. With the same one, two networks of an architecture begin
    with the same weights, and see the images in the same order."""
    bases: Maybe[Keys] = None
    """Models that serve as the base beside it: what is compared with the base is averaged over all
    of them. By default, the main models of the category reinit."""
    only: Maybe[Keys] = None
    """Keys of the models to keep: the study is as if it had no others but these, the base, and
    teachers. By default, all."""
    dataset: FashionMnist | Folder | ImageNet | Parquet | Labels = Field(discriminator="kind")
    """The images, and how they are divided into splits."""
    test_sets: Annotated[dict[str, TestSet], Field(json_schema_extra=KEYS_ARE_SLUGS)] = {}
    """Further test sets by name, on which nothing is fitted or chosen."""
    ensemble: Literal["probability", "logit"] = "probability"
    """Which mean of two calibrated models the figures and tables show: of their probabilities or of
    their logits."""
    accuracy_tolerance: Share = 0.01
    """How far the accuracy of a public checkpoint on ImageNet's validation images may be from the
    published one, as a fraction."""
    extraction: Extraction = Extraction()
    """How networks are run over images."""
    pairs: list[Pair[str]] = []
    """Pairs of models to look at closely."""
    ensembles: Annotated[dict[str, Keys], Field(json_schema_extra=KEYS_ARE_SLUGS)] = {}
    """Named ensembles to score beside all pairs and the recommended ones, each a list of models.
    Each has a deployment card."""
    protocol: Literal["held-out", "paper"] = "held-out"
    """Which images greedy ensembles are selected on in what figures and tables stress: `held-out`,
    the calibration split, or `paper`, the very test images that are scored. Both are computed."""
    groups: dict[str, ClassGroup] = {}
    """Named groups of classes, for figure 4: each a list of class names, or the first and the last
    index of a range of classes, in the order of the dataset."""
    updates: list[Pair[str]] = []
    """Pairs of an old model and a new one that is to take its place: which images are lost and won,
    and what both together leave of the lost ones."""
    attributes: Maybe[Attributes] = None
    """Attributes of the test images, by which figure 4 and updates are divided beside classes: a
    table (.csv or .tsv) of image ids and columns of 0 and 1 or of categories; or `pixels`, for
    brightness, contrast and share of the frame that is filled, each in thirds."""
    greedy: Greedy = Greedy()
    """Greedy ensembles, of figure 5."""
    features: Features = Features()
    """Features combined with the base's, and compressed, for linear probes; of figure 6."""
    downstream: Maybe[Task] = None
    """A multi-label task on other images, of figure 7. Left out, there is no such figure."""
    recipe: Maybe[Recipe] = None
    """How every model is trained unless its own entry says otherwise. Not needed where all weights
    and logits are from elsewhere."""
    pretraining: Entries = {}
    """Networks, trained here or public, that models start from but that are no classifiers of the
    study themselves; by what they do differently from `recipe`."""
    models: Entries
    """The models of the study, by key; by what they do differently from `recipe`."""

    @property
    def networks(self) -> list[Network]:
        """All networks, pretraining first."""
        return [*self.pretraining.values(), *self.models.values()]

    @property
    def base(self) -> str:
        """Key of the base; empty if there is none, which is a mistake."""
        return next((key for key, own in self.models.items() if own.category == "base"), "")

    @property
    def compared(self) -> list[str]:
        """Models that each serve as the base, the base first."""
        chosen = self._chosen(
            self.bases, lambda key, own: own.category == "reinit" and own.set == "main"
        )
        return [self.base, *(key for key in chosen if key != self.base)]

    @property
    def starts(self) -> list[str]:
        """Models that greedy ensembles begin with, in the models' order."""
        return self._chosen(self.greedy.bases, lambda key, own: own.set == "high")

    @property
    def pool(self) -> list[str]:
        """Models that greedy ensembles add, in the models' order: ties go to the earlier one."""
        return self._chosen(self.greedy.pool, lambda key, own: own.set != "high")

    @property
    def probed(self) -> list[str]:
        """Models whose features are combined with the base's."""
        paired = {key for pair in self.pairs for key in pair}
        named = self.features.models
        if named is None and not (self.base and self.models[self.base].has_features):
            named = []
        chosen = self._chosen(named, lambda key, own: key in paired and own.has_features)
        return [key for key in chosen if key != self.base]

    @property
    def probed_with(self) -> list[str]:
        """Models that these are combined with."""
        return self.features.bases or [self.base]

    @property
    def evaluated(self) -> list[str]:
        """Models that are run on the images of the further task."""
        shown = {self.base, *self.probed}
        named = self.downstream.models if self.downstream else None
        return self._chosen(named, lambda key, own: key in shown and own.kind not in WEIGHTLESS)

    @property
    def answers_alone(self) -> bool:
        """Whether all that is known of any model are its answers."""
        return bool(self.models) and all(own.kind == "answers" for own in self.models.values())

    def _chosen(
        self, named: list[str] | None, by_default: Callable[[str, Model], bool]
    ) -> list[str]:
        models, listed = self.models.items(), set(named or ())
        return [k for k, own in models if (by_default(k, own) if named is None else k in listed)]


class PublishedBase(Strict):
    """The base model, which the tables leave out."""

    name: str
    """Name in figures and tables."""
    accuracy: Share
    """Test accuracy, from 0 to 1."""


class Correction(Strict):
    """One cell."""

    model: str
    """Name of the model, as in the table."""
    column: str
    """Column of the table."""
    value: NumberOrText
    """Right value, in the unit of the table."""


class PublishedNumbers(Strict):
    """The numbers of a publication."""

    table: str
    """CSV file of the published tables, one model a row."""
    base: PublishedBase
    """The base model, which the tables leave out."""
    examples: Count
    """Number of test images, for intervals."""
    corrections: list[Correction] = []
    """Misread or misprinted cells of the table, put right."""


class PublishedFile(File):
    """Numbers of a publication, drawn by the same code as the figures of any study."""

    published: PublishedNumbers
    """The numbers."""


def schema() -> dict:
    """Describe a study's file, of either kind, as a JSON schema.

    An entry of a network may leave out what `recipe` says, so that only a model's category is
    required of it.
    """
    accepted = {kind: cls for kind, cls in MODELS.items() if kind != "open_clip"}
    classes = [StudyFile, PublishedFile, *accepted.values(), *PRETRAINING.values()]
    references, whole = models_json_schema(
        [(cls, "validation") for cls in classes],
        title="A study",
        description="Made by `python -m workflow.lib.study.model`; change that module instead.",
    )
    defs = whole["$defs"]
    refer = {cls: references[cls, "validation"] for cls in classes}
    for section, kinds in (("pretraining", PRETRAINING), ("models", accepted)):
        for cls in kinds.values():
            entry = defs[cls.__name__]
            entry["required"] = [key for key in entry.get("required", []) if key == "category"]
            if "input" in entry["properties"]:
                entry["properties"]["input"]["$ref"] = "#/$defs/ImageParts"
        entries = {"anyOf": [refer[cls] for cls in kinds.values()]}
        defs["StudyFile"]["properties"][section]["additionalProperties"] = entries
    whole["anyOf"] = [refer[StudyFile], refer[PublishedFile]]
    return _plain({"$schema": "https://json-schema.org/draft/2020-12/schema"} | whole)


def _plain(part: Any) -> Any:
    """Leave out titles that only repeat a key, and defaults that stand for no value."""
    if isinstance(part, list):
        return [_plain(item) for item in part]
    if not isinstance(part, dict):
        return part
    void = {"default"} if part.get("default", 0) is None else set()
    void |= {"title"} if isinstance(part.get("title"), str) and "properties" not in part else set()
    part = {key: _plain(value) for key, value in part.items() if key not in void}
    if isinstance(part.get("description"), str):
        part["description"] = " ".join(part["description"].split())
    return part


if __name__ == "__main__":
    SCHEMA.write_text(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
