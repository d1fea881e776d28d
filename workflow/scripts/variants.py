"""Compute the headline numbers under every variant of the choices that the paper leaves open.

These are how models are combined (by probabilities or logits), whether and on which images
temperatures are fitted, which images greedy ensembles are selected on and whether a model may come
in twice, and by which statistic and in which direction features are compressed.
"""

import itertools

import pandas as pd

from workflow.lib.ensembles.counts import read_counts
from workflow.lib.measures.pairs import PairCounts, pair_table
from workflow.lib.measures.statistics import correlation, mean_interval, slope
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.probes.dimensions import DIRECTIONS, STATISTICS, dimensions_needed
from workflow.lib.study.categories import BASE, CATEGORIES

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
    """
    known = read_table(models).set_index("model")
    rows = of_pairs(*read_counts(counts), known)
    rows += of_scores(*read_counts(counts), known, read_table(scores))
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


def of_pairs(keys: list[str], counts: dict[str, PairCounts], known: pd.DataFrame) -> list[dict]:
    """Numbers of figure 2, under each combination and at each kind of temperatures."""
    rows = []
    for kind, own in counts.items():
        table = pair_table(own, keys)
        groups = table[["model_1", "model_2"]].map(known["group"].get)
        main = groups.isin([BASE, "main"]).all(axis=1) & (groups == BASE).any(axis=1)
        for combination in own.converted:
            pairs = table[main & (table["combination"] == combination)]
            x = pairs["error_inconsistency"]
            numbers = {
                "slope": slope(x, pairs["improvement"]),
                "correlation": correlation(x, pairs["improvement"]),
                "improvement": mean_interval(pairs["improvement"]),
                "conversion_rate": mean_interval(pairs["conversion_rate"]),
            }
            rows += [
                {"number": number, "combination": combination, "temperature": kind} | _value(value)
                for number, value in numbers.items()
            ]
    return rows


def of_scores(
    keys: list[str], counts: dict[str, PairCounts], known: pd.DataFrame, scores: pd.DataFrame
) -> list[dict]:
    """The same under further combinations, at the temperatures of calibration; none converts."""
    rows = []
    own = counts[CALIBRATED]
    table = pair_table(own, keys).drop_duplicates(["model_1", "model_2"])
    groups = table[["model_1", "model_2"]].map(known["group"].get)
    table = table[groups.isin([BASE, "main"]).all(axis=1) & (groups == BASE).any(axis=1)]
    names = table["model_1"] + " + " + table["model_2"]
    x, alone = table["error_inconsistency"], table[["accuracy_1", "accuracy_2"]].mean(axis=1)
    of_accuracy = scores[(scores["score"] == "accuracy") & (scores["kind"] == "pair")]
    for combination in FURTHER:
        found = of_accuracy[of_accuracy["combination"] == combination].set_index("models")["value"]
        gained = names.map(found) - alone
        for number, value in {
            "slope": slope(x, gained),
            "correlation": correlation(x, gained),
            "improvement": mean_interval(gained),
        }.items():
            row = {"number": number, "combination": combination, "temperature": CALIBRATED}
            rows.append(row | _value(value))
    return rows


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
