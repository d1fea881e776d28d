"""Compute the headline numbers under every variant of the choices that the paper leaves open.

These are how models are combined (by probabilities or logits), whether and on which images
temperatures are fitted, which images greedy ensembles are selected on and whether a model may come
in twice, and by which statistic and in which direction features are compressed.
"""

import itertools

import pandas as pd

from workflow.lib.ensembles.counts import read_counts
from workflow.lib.measures.bases import Compared, X, average, compare, two_way_mean
from workflow.lib.measures.pairs import PairCounts, pair_table
from workflow.lib.measures.statistics import correlation, mean_interval, slope
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.probes.dimensions import DIRECTIONS, STATISTICS, dimensions_needed
from workflow.lib.study.categories import BASE, CATEGORIES

QUANTITIES = [X, "improvement", "conversion_rate"]

FURTHER = ("weighted", "confident")
"""Combinations of pairs that are scored, and not counted."""

CALIBRATED = "calibration"

CHOICES = ["combination", "temperature", "protocol", "replacement", "statistic", "direction"]


def variants(
    *,
    counts: str,
    models: str,
    scores: str,
    greedy: str | list[str],
    features: list[str],
    table: str,
    chosen: dict[str, str],
    target: float,
    bases: list[str],
) -> None:
    """Write a table of numbers, a row each variant.

    Parameters
    ----------
    counts : str
        Counts of pairs at several temperatures, as `counts` writes them.
    models : str
        Table of models.
    scores : str
        Table of scores: of combinations that have no counts.
    greedy : str or empty list
        Table of greedy ensembles, if there is one.
    features : list of str
        Tables of probes on features, one a model.
    table : str
        Table to write: `number`, `category` of those that are by category, the choices, `value`
        with its 95 % interval, and whether these are the study's own choices (`chosen`).
    chosen : dict of str to str
        The study's own choices, but for the replacement, which is none.
    target : float
        Accuracy to reach by compression, as a share of that on all of the base's features.
    bases : list of str
        Keys of the models that each serve as the base, over which numbers of pairs are averaged.
    """
    known = read_table(models).set_index("model")
    rows = of_pairs(*read_counts(counts), known, bases)
    rows += of_scores(*read_counts(counts), known, read_table(scores), bases)
    if isinstance(greedy, str):
        rows += of_greedy(read_table(greedy))
    if features:
        probes = pd.concat([read_table(file) for file in features], ignore_index=True)
        rows += of_features(probes, known, target)
    result = pd.DataFrame(
        rows, columns=["number", "category", *CHOICES, "value", "value_low", "value_high"]
    )
    own = chosen | {"replacement": False}
    result["chosen"] = [
        all(pd.isna(row[choice]) or row[choice] == own[choice] for choice in CHOICES)
        for row in result.to_dict("records")
    ]
    write_table(table, result)


def of_pairs(
    keys: list[str], counts: dict[str, PairCounts], known: pd.DataFrame, bases: list[str]
) -> list[dict]:
    """Numbers of figure 2, under each combination and at each kind of temperatures."""
    rows = []
    for kind, own in counts.items():
        table = described(pair_table(own, keys), known)
        for combination in own.converted:
            pairs = compare(table, combination, QUANTITIES, bases)
            rows += numbers(pairs, {"combination": combination, "temperature": kind})
    return rows


def of_scores(
    keys: list[str],
    counts: dict[str, PairCounts],
    known: pd.DataFrame,
    scores: pd.DataFrame,
    bases: list[str],
) -> list[dict]:
    """The same under further combinations, at the temperatures of calibration."""
    table = described(pair_table(counts[CALIBRATED], keys), known)
    table = table.drop_duplicates(["model_1", "model_2"])
    names = table["model_1"] + " + " + table["model_2"]
    alone = table[["accuracy_1", "accuracy_2"]].mean(axis=1)
    rows = []
    for combination in FURTHER:
        own = scores[scores["combination"] == combination]
        accuracy, conversion_rate = (
            names.map(own[own["score"] == score].set_index("models")["value"])
            for score in ("accuracy", "conversion_rate")
        )
        gained = table.assign(
            combination=combination, improvement=accuracy - alone, conversion_rate=conversion_rate
        )
        pairs = compare(gained, combination, QUANTITIES, bases)
        rows += numbers(pairs, {"combination": combination, "temperature": CALIBRATED})
    return rows


def described(table: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Say of pairs whose names and categories they are of, and whether both are main models."""
    for member in (1, 2):
        for column in ("name", "category"):
            table[f"{column}_{member}"] = table[f"model_{member}"].map(known[column])
    groups = table[["model_1", "model_2"]].map(known["group"].get)
    return table.assign(main=groups.isin([BASE, "main"]).all(axis=1))


def numbers(pairs: Compared, variant: dict[str, str]) -> list[dict]:
    """Numbers of figure 2, of means over bases."""
    x, gain = average(pairs.values[X]), average(pairs.values["improvement"])
    found = {
        "slope": slope(x, gain),
        "correlation": correlation(x, gain),
        "improvement": two_way_mean(pairs.values["improvement"]),
        "conversion_rate": two_way_mean(pairs.values["conversion_rate"]),
    }
    return [{"number": number} | variant | _value(value) for number, value in found.items()]


def of_greedy(greedy: pd.DataFrame) -> list[dict]:
    """Mean over bases of what greedy ensembles gain on the test images, under each variant."""
    keys = ["protocol", "combination", "replacement"]
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
