"""Compute the headline numbers under every variant of the choices that the paper leaves open.

These are the mean that combines models (of probabilities or logits), whether and on which images
temperatures are fitted, which images greedy ensembles are selected on and whether a model may come
in twice, and by which statistic and in which direction features are compressed.
"""

import itertools
import logging
from contextlib import ExitStack

import numpy as np
import pandas as pd

from workflow.lib.data.manifest import Manifest
from workflow.lib.ensembles.pairs import count_pairs
from workflow.lib.measures.calibration import fit_temperature
from workflow.lib.measures.pairs import MEANS, pair_table
from workflow.lib.measures.statistics import correlation, mean_interval, slope
from workflow.lib.outputs.store import Outputs
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.probes.dimensions import DIRECTIONS, STATISTICS, dimensions_needed
from workflow.lib.run.progress import Progress
from workflow.lib.study.categories import BASE, CATEGORIES

log = logging.getLogger("uncorrelated")

TEMPERATURES = {"none": "not calibrated", "calibration": "held-out", "test": "test images"}
"""Where temperatures come from, and what figures call it."""

CHOICES = ["mean", "temperature", "protocol", "replacement", "statistic", "direction"]


def variants(
    *,
    manifest: str,
    calibration: str,
    models: str,
    outputs: list[str],
    greedy: str | list[str],
    features: list[str],
    table: str,
    members: list[str],
    chosen: dict[str, str],
    target: float,
    threads: int,
) -> None:
    """Write a table of numbers, a row each variant.

    Parameters
    ----------
    manifest : str
    calibration : str
        Table of temperatures.
    models : str
        Table of models.
    outputs : list of str
        Outputs files of `members` on the test split.
    greedy : str or empty list
        Table of greedy ensembles, if there is one.
    features : list of str
        Tables of probes on features, one a model.
    table : str
        Table to write: `number`, `category` of those that are by category, the choices, `value`
        with its 95 % interval, and whether these are the study's own choices (`chosen`).
    members : list of str
        Models that can enter the main analyses; those that do are told by `models`.
    chosen : dict of str to str
        The study's own `mean`, `protocol`, `statistic` and `direction`.
    target : float
        Accuracy to reach by compression, as a share of that on all of the base's features.
    threads : int
    """
    known = read_table(models).set_index("model")
    split = Manifest.read(manifest).splits["test"]
    fitted = read_table(calibration).set_index("model")["temperature"]
    inside = [
        (key, path)
        for key, path in zip(members, outputs, strict=True)
        if known.at[key, "group"] in (BASE, "main")
    ]
    rows = of_pairs(inside, split, known, fitted, threads)
    if greedy:
        rows += of_greedy(read_table(greedy))
    if features:
        probes = pd.concat([read_table(file) for file in features], ignore_index=True)
        rows += of_features(probes, known, target)
    result = pd.DataFrame(
        rows, columns=["number", "category", *CHOICES, "value", "value_low", "value_high"]
    )
    own = {**chosen, "temperature": "calibration", "replacement": False}
    result["chosen"] = [
        all(pd.isna(row[choice]) or row[choice] == own[choice] for choice in CHOICES)
        for row in result.to_dict("records")
    ]
    write_table(table, result)


def of_pairs(inside, split, known: pd.DataFrame, fitted: pd.Series, threads: int) -> list[dict]:
    """Numbers of figure 2, under each mean and with each kind of temperatures.

    Parameters
    ----------
    inside : list of tuple of str
        Key and outputs file of each main model.
    split : Split
    known : DataFrame
        models.tsv, by model.
    fitted : Series
        Temperatures fitted on the calibration split, by model.
    threads : int
    """
    keys = [key for key, _ in inside]
    rows = []
    progress = Progress(len(TEMPERATURES) * len(split.labels), "images")
    with ExitStack() as stack:
        files = [stack.enter_context(Outputs(path, split)) for _, path in inside]
        for kind in TEMPERATURES:
            temperatures = {
                "none": lambda: np.ones(len(keys)),
                "calibration": lambda: fitted[keys].to_numpy(),
                "test": lambda: np.array(
                    [fit_temperature(f.read("logits"), f.labels).temperature for f in files]
                ),
            }[kind]()
            counts = count_pairs(
                [file.logits for file in files], split.labels, temperatures,
                names=keys, threads=threads, progress=progress.advance,
            )  # fmt: skip
            table = pair_table(counts, keys)
            groups = table[["model_1", "model_2"]].map(known["group"].get)
            table = table[(groups == BASE).any(axis=1)]
            for mean in MEANS:
                pairs = table[table["mean"] == mean]
                x = pairs["error_inconsistency"]
                numbers = {
                    "slope": slope(x, pairs["improvement"]),
                    "correlation": correlation(x, pairs["improvement"]),
                    "improvement": mean_interval(pairs["improvement"]),
                    "conversion_rate": mean_interval(pairs["conversion_rate"]),
                }
                rows += [
                    {"number": number, "mean": mean, "temperature": kind} | _value(value)
                    for number, value in numbers.items()
                ]
    return rows


def of_greedy(greedy: pd.DataFrame) -> list[dict]:
    """Mean over bases of what greedy ensembles gain on the test images, under each variant."""
    keys = ["protocol", "mean", "replacement"]
    rows = []
    for key, group in greedy.groupby(keys, sort=False):
        last = group.loc[group.groupby("base", sort=False)["step"].idxmax()]
        variant = dict(zip(keys, key, strict=True))
        rows.append({"number": "greedy_gain"} | variant | _value(mean_interval(last["gain"])))
    return rows


def of_features(probes: pd.DataFrame, known: pd.DataFrame, target: float) -> list[dict]:
    """Mean over models of a category of the dimensions that a target needs, under each variant."""
    alone = probes.loc[(probes["what"] == "share") & (probes["share"] == 100), "accuracy"]
    goal = target * alone.iloc[0] if len(alone) else target
    probes = probes[probes["what"] == "compression"].sort_values("dimensions")
    rows = []
    for statistic, direction in itertools.product(STATISTICS, DIRECTIONS):
        own = probes[(probes["statistic"] == statistic) & (probes["direction"] == direction)]
        needed = own.groupby("model", sort=False)[["dimensions", "accuracy"]].apply(
            lambda group: dimensions_needed(group["dimensions"], group["accuracy"], goal)
        )
        categories = known.loc[needed.index, "category"]
        for category in [name for name in CATEGORIES if (categories == name).any()]:
            rows.append(
                {
                    "number": "dimensions",
                    "category": category,
                    "statistic": statistic,
                    "direction": direction,
                }
                | _value(mean_interval(needed[categories == category]))
            )
    return rows


def _value(value: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip(("value", "value_low", "value_high"), value, strict=True))


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(variants, snakemake)
