"""Compare the confidences of chosen pairs of models on every example of a split.

Confidence is the calibrated maximum probability, and the specialisation angle that of both
confidences: high where model 1 is the more confident (see `measures.specialisation`). The union
holds the examples that exactly one model of at least one of the pairs gets right.
"""

import numpy as np
import pandas as pd

from workflow.lib.data.manifest import Manifest
from workflow.lib.measures.specialisation import angle, outcome
from workflow.lib.outputs.arrays import read_arrays
from workflow.lib.outputs.tables import write_table
from workflow.lib.study.categories import more_divergent

COLUMNS = ["pair", "model_1", "model_2", "name_1", "name_2", "category_1", "category_2", "category",
           "id", "label", "class", "prediction_1", "prediction_2", "confidence_1", "confidence_2",
           "theta", "outcome", "ensemble", "union"]  # fmt: skip


def specialisation(
    *,
    manifest: str,
    answers: str,
    classes: str | list[str],
    table: str,
    members: dict[str, dict],
    pairs: list[list[str]],
    combination: str,
    split: str,
) -> None:
    """Write a table of confidences and angles, a row a pair and example.

    Parameters
    ----------
    manifest : str
    answers : str
        What each model predicts and how sure it is, as `counts` writes it.
    classes : str or empty list
        What the ensemble of each pair predicts, as `pair_classes` writes it. Of answers alone it is
        that of the more confident model, or not known.
    table : str
        Table to write: both models' keys, names and categories and the pair's; id, label and class
        of the example; class predicted by each model and by their ensemble; both confidences, theta
        in radians, the outcome (one of `specialisation.OUTCOMES`), and whether the example is in
        the union. Without pairs it has columns only.
    members : dict of str to dict
        Name and category of each model.
    pairs : list of list of str
        Keys of both models of each pair.
    combination : str
        How the ensemble combines both.
    split : str
        The evaluation split.
    """
    dataset = Manifest.read(manifest)
    examples = dataset.splits[split]
    names = np.array([*dataset.classes, ""], dtype=object)  # the last of what gave no answer
    known = read_arrays(answers)
    ensembles = (
        read_arrays(classes)[combination] if isinstance(classes, str) else [None] * len(pairs)
    )
    keys, top, log_confidence = known["models"].tolist(), known["top"], known["log_confidence"]
    tables = []
    for pair, ensemble in zip(pairs, ensembles, strict=True):
        first, second = places = [keys.index(key) for key in pair]
        columns: dict = describe(pair[0], pair[1], members) | {
            "id": examples.ids,
            "label": examples.labels,
            "class": names[examples.labels],
            "theta": angle(*log_confidence[places]),
            "outcome": outcome(top[first] == examples.labels, top[second] == examples.labels),
        }
        if ensemble is None:
            surer = log_confidence[first] >= log_confidence[second]
            ensemble = np.where(surer, top[first], top[second])
            ensemble[np.isnan(log_confidence[places]).any(axis=0)] = -1
        columns["ensemble"] = names[ensemble]
        for member, place in zip((1, 2), places, strict=True):
            columns[f"prediction_{member}"] = names[top[place]]
            columns[f"confidence_{member}"] = np.exp(log_confidence[place])
        tables.append(pd.DataFrame(columns))
    found = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
    found["union"] = find_union(found)
    write_table(table, found[COLUMNS])


def describe(first: str, second: str, members: dict[str, dict]) -> dict[str, str]:
    """Say which models and category a pair is of."""
    columns = {"pair": f"{first} + {second}"}
    for member, key in ((1, first), (2, second)):
        columns[f"model_{member}"] = key
        columns[f"name_{member}"] = members[key]["name"]
        columns[f"category_{member}"] = members[key]["category"]
    category = more_divergent(columns["category_1"], columns["category_2"])
    return columns | {"category": category}


def find_union(table: pd.DataFrame) -> pd.Series:
    """Mark the examples that exactly one model of at least one of the pairs gets right."""
    inconsistent = table["outcome"].isin(["only_1", "only_2"])
    return table["id"].isin(table.loc[inconsistent, "id"])


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(specialisation, snakemake)
