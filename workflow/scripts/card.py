"""Write deployment cards: all it takes to use an ensemble elsewhere, and to check it there."""

import hashlib
import json
import shutil
from typing import Any

import numpy as np
import pandas as pd

from workflow.lib.data.manifest import Manifest
from workflow.lib.ensembles import card as applied
from workflow.lib.ensembles.listed import JOIN
from workflow.lib.ensembles.recommend import best_of_two
from workflow.lib.measures.uncertainty import SCORES
from workflow.lib.outputs.store import Outputs
from workflow.lib.outputs.tables import read_table
from workflow.lib.run.errors import InputError
from workflow.lib.run.files import replacing

IMAGES = 20
KINDS = {"single": 1, "pair": 2, "triple": 3}
BINDING = ("accuracy", "nll", "coverage_at_risk", "risk_at_coverage")
"""Scores that a card says to expect."""


def card(
    *,
    manifest: str,
    calibration: str,
    recommended: str,
    weights: str,
    scores: str,
    cascades: str,
    cascade_scores: str,
    outputs: list[str],
    cards: list[str],
    function: str,
    study: str,
    models: list[str],
    members: dict[str, dict],
    names: list[str],
    split: str,
) -> None:
    """Write cards, and the function that applies them.

    Parameters
    ----------
    manifest : str
    calibration, recommended, weights, scores, cascades, cascade_scores : str
        Tables of the study.
    outputs : list of str
        Outputs files on the split, in the order of `models`.
    cards : list of str
        Files to write, one of each of `names`. One that this study has nothing for, since there are
        too few models or their multiply-adds are not known, says so in its only key, `missing`.
    function : str
        Python module to write, a copy of `workflow/lib/ensembles/card.py`.
    study : str
    models : list of str
        Keys of all models.
    members : dict of str to dict
        For each of them its `name`, `recipe`, and `file` of weights.
    names : list of str
        "single", "pair", "triple" and "cascade" for the recommended ones, or names of the study's
        ensembles.
    split : str
    """
    known = Manifest.read(manifest)
    examples = known.splits[split]
    fitted, listed = read_table(weights), read_table(recommended)
    found = pd.concat([read_table(scores), read_table(cascade_scores)], ignore_index=True)
    temperatures = read_table(calibration).set_index("model")["temperature"]
    files = dict(zip(models, outputs, strict=True))
    rows = np.sort(np.random.default_rng(0).permutation(len(examples.labels))[:IMAGES])
    for name, path in zip(names, cards, strict=True):
        content: dict[str, Any]
        what = choose(name, listed, fitted, read_table(cascades))
        if what is None:
            content = {"missing": f"{study} has no {name} to recommend"}
        else:
            expected = found[found["models"] == what["models"]]
            expected = expected[expected["combination"] == what["combination"]]
            own, logits = [], []
            for key in what["models"].split(JOIN):
                with Outputs(files[key], examples) as file:
                    attributes = file.attributes
                    logits.append(file.read("logits")[rows])
                own.append(
                    describe(key, members[key], attributes) | {"temperature": temperatures[key]}
                )
            content = {
                "study": study,
                "ensemble": name,
                "members": own,
                **{key: value for key, value in what.items() if key != "models"},
                "classes": list(known.classes),
                "classes_sha256": hashlib.sha256("\n".join(known.classes).encode()).hexdigest(),
                "expected": expect(expected, own, what)
                | {"test_set": split, "test_set_sha256": examples.digest,
                   "images": len(examples.labels)},
            }  # fmt: skip
            stacked = np.stack(logits).astype(np.float32)
            content["self_test"] = {
                "images": examples.ids[rows].tolist(),
                "labels": examples.labels[rows].tolist(),
                "logits": [[[float(f"{v:.9g}") for v in row] for row in one] for one in stacked],
            }
            probabilities, _ = applied.apply(content, stacked)
            content["self_test"]["probabilities"] = [
                [float(f"{v:.9g}") for v in row] for row in probabilities
            ]
            applied.check(content, tolerance=1e-6)
        with replacing(path) as part:
            part.write_text(
                json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n",
                encoding="utf-8",
            )
    with replacing(function) as part:
        shutil.copyfile(applied.__file__, part)


def choose(
    name: str, listed: pd.DataFrame, fitted: pd.DataFrame, cascades: pd.DataFrame
) -> dict | None:
    """Say which models a card is of, and how they are combined; None if there are none.

    Raises
    ------
    InputError
        If nothing is called so.
    """
    plain = {"weights": None, "thresholds": None, "then": None, "converged": True}
    if name == "cascade":
        best = best_of_two(cascades)
        if best is None:
            return None
        thresholds = [float(value) for value in str(best["thresholds"]).split()]
        return {"models": best["models"], "combination": "cascade"} | plain | {
            "thresholds": thresholds, "then": best["then"], "exits": float(best["exits"]),
            "macs": float(best["macs"]),
        }  # fmt: skip
    if name in KINDS:
        first = listed[(listed["kind"] == "ensemble") & (listed["rank"] == 1)]
        first = first[first["size"] == KINDS[name]]
        if first.empty:
            return None
        models = first["models"].iloc[0]
    else:
        named = fitted[fitted["name"] == name]
        if named.empty:
            known = ", ".join([*KINDS, "cascade", *fitted["name"].dropna()])
            raise InputError(
                f"there is no ensemble '{name}'; name it under `ensembles`, or ask for {known}"
            )
        models = named["models"].iloc[0]
    row = fitted[fitted["models"] == models].iloc[0]
    combination = "single" if JOIN not in models else row["combination"]
    values = [float(value) for value in str(row["weights"]).split()]
    weighted = combination == "weighted"
    return {"models": models, "combination": combination} | plain | {
        "weights": values if weighted else None,
        "converged": bool(row["converged"]) or not weighted,
    }  # fmt: skip


def describe(key: str, member: dict, attributes: dict) -> dict:
    """Say what a member is, and where its weights are."""
    recipe = member["recipe"]
    hub = {name: recipe[name] for name in ("timm", "open_clip") if name in recipe}
    macs, parameters = (attributes.get(name) for name in ("macs", "parameters"))
    return {
        "model": key,
        "name": member["name"],
        "hub": hub or None,
        "file": member["file"],
        "sha256": str(attributes["weights"]),
        "input": recipe.get("input"),
        "recipe": recipe,
        "macs": None if macs is None else float(macs),
        "parameters": None if parameters is None else int(parameters),
    }


def expect(scores: pd.DataFrame, members: list[dict], what: dict) -> dict:
    """Scores on the test set, each with its interval, and costs."""
    own = scores.set_index("score")
    found: dict = {
        name: {
            end: float(f"{own.at[name, end]:.6g}") for end in ("value", "low", "high")
        } | {"label": SCORES[name].label}
        for name in BINDING
        if name in own.index
    }  # fmt: skip
    macs = [member["macs"] for member in members]
    parameters = [member["parameters"] for member in members]
    found["macs"] = what.get("macs") or (None if None in macs else sum(macs))
    found["parameters"] = None if None in parameters else sum(parameters)
    return found


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(card, snakemake)
