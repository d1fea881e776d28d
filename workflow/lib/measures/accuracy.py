"""Published accuracies of public checkpoints, for measured ones to be compared with.

The table is resources/accuracy/published.csv: top-1 on ImageNet's 50,000 validation images and on
further test sets, of timm's checkpoints by image size, and of open_clip's by zero-shot
classification. `resources/README.md` says where it comes from.
"""

import csv
import functools
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from workflow.lib.data import imagenet, objectnet
from workflow.lib.data.splits import Split
from workflow.lib.outputs.store import Outputs
from workflow.lib.run.errors import InputError

if TYPE_CHECKING:
    from workflow.lib.study.completed import Study
    from workflow.lib.study.datasets import Dataset

TABLE = Path(__file__).parents[3] / "resources" / "accuracy" / "published.csv"
POPULATION = {
    "imagenet": 50_000,
    "imagenet_v2": 10_000,
    "imagenet_a": 7_500,
    "imagenet_r": 30_000,
    "imagenet_sketch": 50_889,
    "imagenet_real": 46_837,  # that have a label
    "objectnet": 18_574,  # of the 113 objects that ImageNet knows
}
"""Images that each column of accuracies is of."""
CONTENT = {
    (10_000, 1000): "imagenet_v2",
    (7_500, 200): "imagenet_a",
    (30_000, 200): "imagenet_r",
    (50_889, 1000): "imagenet_sketch",
}
"""Columns by the numbers of images and of classes that a further test set has."""
V2 = "imagenetv2-matched-frequency"


def test_set(dataset: "Dataset") -> str | None:
    """Say which column of the table holds for a study's test images; None for none.

    ImageNet-V2 is known by the name of its folder, `imagenetv2-matched-frequency-format-val`; its
    other two variants have no column.

    Parameters
    ----------
    dataset : Dataset
    """
    folder = Path(dataset.path).name
    if dataset.kind != "imagenet":
        return None
    if folder.startswith("imagenetv2-"):
        return "imagenet_v2" if folder.startswith(V2) else None
    return "imagenet"


def further_test_set(study: "Study", settings: Mapping) -> str | None:
    """Say which column of the table holds for a further test set; None for none.

    Only whole ones are known, by what they hold: ImageNet-A, -R and -Sketch by their numbers of
    images and classes; ImageNet-V2, whose three variants have the same numbers, by the name of its
    folder as well, `imagenetv2-matched-frequency-format-val`; ReaL by its number of labelled
    images; ObjectNet by its kind and number of images. What the set is called in the study does not
    matter.

    Parameters
    ----------
    study : Study
        On ImageNet's classes, or nothing is published of it.
    settings : mapping
        Of the test set; see `workflow.lib.data.test_sets.build_test_set`.
    """
    if study.dataset.kind != "imagenet":
        return None
    try:
        if "labels" in settings:
            real = test_set(study.dataset) == "imagenet" and _labelled(settings["labels"])
            return "imagenet_real" if real == POPULATION["imagenet_real"] else None
        kind, path = settings.get("kind"), settings.get("path", "")
        if kind == "objectnet":
            return kind if objectnet.count(path) == POPULATION[kind] else None
        column = CONTENT.get(imagenet.count(path)) if kind == "imagenet" else None
    except InputError:  # which the rule that reads the test set explains
        return None
    named = os.path.basename(os.path.realpath(path)).startswith(V2)
    return column if column != "imagenet_v2" or named else None


@functools.cache
def _labelled(path: str) -> int:
    """Count the images that a file of labels in ReaL's form has labels for; 0 for other files."""
    if not path.endswith(".json"):
        return 0
    try:
        lists = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
    return sum(map(bool, lists)) if isinstance(lists, list) else 0


def claims(study: "Study") -> dict[str, dict]:
    """Look up what is published of a study's public checkpoints.

    Parameters
    ----------
    study : Study

    Returns
    -------
    dict of str to dict
        For each model that is a public checkpoint with the head it was published with: `source`
        (timm or open_clip), `checkpoint`, `published` (top-1 as a fraction, or None) and `note`,
        which says how the published preprocessing differs or why there is no number. Empty if no
        number is known of any, or the test images are not ImageNet's.
    """
    return _claims(study, test_set(study.dataset))


def claims_on(study: "Study", settings: Mapping) -> dict[str, dict]:
    """Look up what is published of a study's public checkpoints on a further test set.

    Parameters
    ----------
    study : Study
    settings : mapping
        Of the test set; see `workflow.lib.data.test_sets.build_test_set`.

    Returns
    -------
    dict of str to dict
        As of `claims`, to be judged over `POPULATION[further_test_set(study, settings)]` images.
        `judged` is False where what is published cannot be met: of ObjectNet, zero-shot heads there
        have ObjectNet's names of 113 objects, and here ImageNet's of all classes that they mean.
    """
    return _claims(study, further_test_set(study, settings))


def gated_sets(study: "Study") -> list[str]:
    """List the further test sets on which the accuracy of some model is published."""
    return [name for name, own in study.test_sets.items() if claims_on(study, own)]


def _claims(study: "Study", column: str | None) -> dict[str, dict]:
    if column is None:
        return {}
    found = {}
    for model in study.models:
        network = study.networks[model]
        origins = [study.networks[parent].recipe for parent in network.parents]
        own = None
        if "timm" in network.recipe:
            own = _timm(network.recipe, column)
        elif network.recipe["head"] == "zero-shot" and "open_clip" in origins[0]:
            own = _open_clip(origins[0], column)
        if own:
            found[model] = own
    return found if any(own["published"] is not None for own in found.values()) else {}


def gated(study: "Study") -> list[str]:
    """List the models whose published accuracy is known."""
    return [model for model, own in claims(study).items() if own["published"] is not None]


def _timm(recipe: Mapping, column: str) -> dict | None:
    name = _full_name(recipe["timm"])
    rows = _published().get(("timm", name), {})
    if "checkpoint" in recipe and "." not in name:
        return None  # weights of the user's own
    image = recipe["input"]
    row, note = rows.get(str(image["size"])), ""
    if not rows:
        note = "timm publishes no accuracy of it"
    elif not row:
        sizes = " and ".join(sorted(rows))
        note = f"published at {sizes} pixels, and taken at {image['size']} here"
    else:
        published = {"crop": float(row["crop"]), "interpolation": row["interpolation"]}
        note = "; ".join(
            f"published with {key} {value}, and taken with {image[key]} here"
            for key, value in published.items()
            if image[key] != value and (key != "crop" or abs(image[key] - value) > 0.002)
        )
    return _claim("timm", name, row, column, note)


def _full_name(name: str) -> str:
    """Find the hub name of a model in a local folder, from the settings that timm keeps there."""
    prefix, _, folder = name.partition(":")
    if prefix != "local-dir":
        return name
    settings = Path(folder, "config.json")
    if not settings.is_file():
        return name
    content = json.loads(settings.read_text(encoding="utf-8"))
    tag = content.get("pretrained_cfg", {}).get("tag")
    return f"{content.get('architecture')}.{tag}" if tag else name


def _open_clip(recipe: Mapping, column: str) -> dict | None:
    name = recipe["open_clip"]
    architecture, _, tag = name.partition("/")
    if not tag:
        return None  # weights of the user's own
    rows = _published().get(("open_clip", name), {})
    if tag == "openai":
        # The same weights under two names; OpenAI's networks have the activation QuickGELU.
        plain = architecture.removesuffix("-quickgelu")
        rows = rows or _published().get(("open_clip", f"{plain}/openai"), {})
    note = "" if rows else "open_clip reports no accuracy of it"
    return _claim("open_clip", name, rows.get(""), column, note)


def _claim(source: str, name: str, row: Mapping | None, column: str, note: str) -> dict:
    published = float(row[column]) if row and row[column] else None
    if row and published is None:
        note = f"{source} publishes no accuracy of it on these images"
    claim = {"source": source, "checkpoint": name, "published": published, "note": note}
    if column == "objectnet" and published is not None:
        claim |= {
            "judged": False,
            "note": "published with ObjectNet's own names of its 113 objects",
        }
    return claim


@functools.cache
def _published() -> dict[tuple[str, str], dict[str, dict]]:
    """Rows of the table, by source and checkpoint, then by image size."""
    found = {}
    with open(TABLE, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault((row["source"], row["checkpoint"]), {})[row["size"]] = row
    return found


def allowed_difference(published: float, examples: int, population: int, tolerance: float) -> float:
    """Say how far a measured accuracy may be from a published one.

    That is the tolerance and, where only some of the images were scored, three standard errors of
    the share of right ones in a sample drawn without replacement (Cochran 1977, section 3.2).

    Parameters
    ----------
    published : float
        As a fraction.
    examples : int
        Images that were scored.
    population : int
        Images that the published accuracy is of.
    tolerance : float
        As a fraction.
    """
    left_out = max(population - examples, 0) / (population - 1)
    return tolerance + 3 * math.sqrt(published * (1 - published) / examples * left_out)


def count_right(path: str | os.PathLike, split: Split) -> int:
    """Count the images of a split that a model gets right; of equal logits the first counts.

    Parameters
    ----------
    path
        The model's outputs file.
    split : Split
    """
    with Outputs(path, split) as file:
        return sum(
            int(np.count_nonzero(values.argmax(axis=1) == file.labels[block]))
            for block, values in file.blocks("logits")
        )
