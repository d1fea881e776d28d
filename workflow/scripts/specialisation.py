"""Compare the confidences of chosen pairs of models on every example of the test split.

Confidence is the calibrated maximum probability, and the specialisation angle that of both
confidences: high where model 1 is the more confident (see `lib.specialisation`). The union holds
the examples that exactly one model of at least one of the pairs gets right.
"""

from contextlib import ExitStack

import numpy as np
import pandas as pd

from workflow.lib.data.manifest import Manifest
from workflow.lib.measures.specialisation import angle, calibrate, ensemble_class, outcome
from workflow.lib.outputs.store import Outputs
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.run.progress import Progress
from workflow.lib.study.categories import more_divergent

ROWS = 1024  # examples in work at a time, of every model
COLUMNS = ["pair", "model_1", "model_2", "name_1", "name_2", "category_1", "category_2", "category",
           "id", "label", "class", "prediction_1", "prediction_2", "confidence_1", "confidence_2",
           "theta", "outcome", "ensemble", "union"]  # fmt: skip


def specialisation(
    *,
    manifest: str,
    calibration: str,
    outputs: list[str],
    table: str,
    members: dict[str, dict],
    pairs: list[list[str]],
    mean: str,
) -> None:
    """Write a table of confidences and angles, a row a pair and example.

    Parameters
    ----------
    manifest : str
    calibration : str
        Table of temperatures.
    outputs : list of str
        Outputs files on the test split of the models in the pairs, in the order of `members`.
    table : str
        Table to write: both models' keys, names and categories and the pair's; id, label and class
        of the example; class predicted by each model and by their ensemble; both confidences, theta
        in radians, the outcome (one of `specialisation.OUTCOMES`), and whether the example is in
        the union. Without pairs it has columns only.
    members : dict of str to dict
        Name and category of each model.
    pairs : list of list of str
        Keys of both models of each pair.
    mean : str
        Which mean of both models the ensemble takes: 'probability' or 'logit'.
    """
    dataset = Manifest.read(manifest)
    split = dataset.splits["test"]
    keys = list(members)
    temperatures = read_table(calibration).set_index("model")["temperature"]
    progress = Progress(len(split.labels), "images")
    parts = [[] for _ in pairs]
    with ExitStack() as stack:
        files = [stack.enter_context(Outputs(path, split)) for path in outputs]
        for blocks in zip(*(file.blocks("logits", ROWS) for file in files), strict=True):
            block = blocks[0][0]
            models = {
                key: calibrate(logits, temperatures[key], mean)
                for key, (_, logits) in zip(keys, blocks, strict=True)
            }
            for part, (first, second) in zip(parts, pairs, strict=True):
                part.append(compare(models[first], models[second], split.labels[block]))
            progress.advance(block.stop - block.start)
    tables = []
    for part, (first, second) in zip(parts, pairs, strict=True):
        rows = pd.concat(part, ignore_index=True)
        tables.append(
            rows.assign(
                **describe(first, second, members),
                id=split.ids,
                label=split.labels,
                **{"class": split.labels},
            )
        )
    made = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
    classes = np.array(dataset.classes, dtype=object)
    for column in ("class", "prediction_1", "prediction_2", "ensemble"):
        made[column] = classes[made[column].to_numpy(np.int64)]
    made["union"] = find_union(made)
    write_table(table, made[COLUMNS])


def compare(first, second, labels: np.ndarray) -> pd.DataFrame:
    """Compare two models on some examples.

    Parameters
    ----------
    first, second : Calibrated
    labels : ndarray of int64, shape (examples,)

    Returns
    -------
    DataFrame
        Classes are indices.
    """
    return pd.DataFrame(
        {
            "prediction_1": first.top,
            "prediction_2": second.top,
            "confidence_1": np.exp(first.log_confidence),
            "confidence_2": np.exp(second.log_confidence),
            "theta": angle(first.log_confidence, second.log_confidence),
            "outcome": outcome(first.top == labels, second.top == labels),
            "ensemble": ensemble_class(first, second),
        }
    )


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
