"""Published accuracies of public checkpoints, for measured ones to be compared with.

The table is resources/accuracy/published.csv: top-1 on ImageNet's 50,000 validation images and on
the 10,000 of ImageNet-V2 (matched frequency), of timm's checkpoints by image size, and of
open_clip's by zero-shot classification. `resources/README.md` says where it comes from.
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

from workflow.lib.data.splits import Split
from workflow.lib.outputs.store import Outputs

if TYPE_CHECKING:
    from workflow.lib.study.completed import Study
    from workflow.lib.study.model import Dataset

TABLE = Path(__file__).parents[3] / "resources" / "accuracy" / "published.csv"
POPULATION = {"imagenet": 50_000, "imagenet_v2": 10_000}
"""Images that each column of accuracies is of."""


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
        return "imagenet_v2" if folder.startswith("imagenetv2-matched-frequency") else None
    return "imagenet"


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
    column = test_set(study.dataset)
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
    published = float(row[column]) if row else None
    return {"source": source, "checkpoint": name, "published": published, "note": note}


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
