"""Run cascades on a further test set, at the thresholds that were chosen on held-out images."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from workflow.lib.data.manifest import Manifest
from workflow.lib.ensembles import cascades as lib
from workflow.lib.ensembles.listed import JOIN
from workflow.lib.ensembles.logits import Logits
from workflow.lib.ensembles.recommend import cost
from workflow.lib.ensembles.whole import combine
from workflow.lib.measures.statistics import wilson
from workflow.lib.outputs.tables import read_table, write_table
from workflow.scripts.cascades import stage_of

COLUMNS = ["kind", "models", "then", "thresholds", "exits", "macs", "examples", "accuracy",
           "accuracy_low", "accuracy_high", "ensemble_accuracy"]  # fmt: skip


def cascades_on_set(
    *,
    manifest: str,
    calibration: str,
    cascades: str,
    outputs: list[str],
    table: str,
    models: list[str],
    threads: int,
    held: str | Sequence[str] = (),
) -> None:
    """Write a table of the listed cascades that every image goes through.

    Parameters
    ----------
    manifest : str
        Of the test set.
    calibration : str
        Table of temperatures.
    cascades : str
        What `cascades` found.
    outputs : list of str
        Outputs files of the models on the test set.
    table : str
        Table to write, of columns as there: `exits`, `macs`, `accuracy` and `ensemble_accuracy` are
        those on the test set.
    models : list of str
    threads : int
    held : str, optional
        Manifest whose split the outputs files are of, where these hold more images.
    """
    test = Manifest.read(manifest).splits["test"]
    whole = Manifest.read(held).splits["test"] if isinstance(held, str) else None
    place = {key: number for number, key in enumerate(models)}
    listed = read_table(cascades)
    if len(listed):
        listed = listed[listed["listed"].astype(bool) & (listed["target"] == "accuracy")]
    known = [all(key in place for key in own.split(JOIN)) for own in listed["models"]]
    listed = listed[np.array(known, bool)]
    members = [tuple(place[key] for key in own.split(JOIN)) for own in listed["models"]]
    # Each cascade's growing ensembles: of its first two models, and of all.
    groups = list(dict.fromkeys(own[:size] for own in members for size in range(2, len(own) + 1)))
    temperatures = read_table(calibration).set_index("model")["temperature"][models].to_numpy()
    with Logits.open(outputs, test, temperatures, models, whole) as logits:
        macs = np.array([cost(attributes)[0] for attributes in logits.attributes])
        examples = logits.shape[1]
        weights = [np.ones(len(own)) for own in groups]
        own_group = np.arange(examples)
        joined = combine(logits, groups, weights, own_group, examples, threads=threads)
    rows = []
    for row, own in zip(listed.itertuples(), members, strict=True):
        later = [
            stage_of(joined, groups.index(own[:size]), own[-1], row.then)
            for size in range(2, len(own) + 1)
        ]
        stages = lib.stages_of(joined.alone, own, later)
        thresholds = [float(each) for each in str(row.thresholds).split()]
        stage, spent = lib.run(stages, macs[list(own)], thresholds)
        right = stages.right[stage, np.arange(examples)]
        low, high = wilson(right.sum(), examples)
        rows.append(
            {"kind": row.kind, "models": row.models, "then": row.then,
             "thresholds": row.thresholds, "exits": (stage == 0).mean(), "macs": spent,
             "examples": examples, "accuracy": right.mean(), "accuracy_low": float(low),
             "accuracy_high": float(high), "ensemble_accuracy": stages.right[-1].mean()}
        )  # fmt: skip
    write_table(table, pd.DataFrame(rows, columns=COLUMNS))


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(cascades_on_set, snakemake)
