"""Which models are worth combining: the best pairs and triples of all models, and what they cost.

All ensembles of one, two and three models are compared by their accuracy on the calibration split,
and those that are listed are scored on the test split. So their test accuracies are honest ones of
ensembles that were chosen without looking at them; the best of thousands of ensembles on the test
split itself would seem better than it is.
"""

from contextlib import ExitStack
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.ensembles.greedy import count_triples, score_ensembles
from workflow.lib.ensembles.pairs import count_pairs
from workflow.lib.measures.statistics import paired_gain, wilson
from workflow.lib.outputs.store import Outputs
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.run.progress import Progress

LISTED = 50  # best pairs, and best triples


def recommendations(
    *,
    manifest: str,
    calibration: str,
    selection: list[str],
    scored: list[str],
    table: str,
    members: dict[str, dict],
    mean: str,
    threads: int,
) -> None:
    """Write a table of single models, and of the pairs and triples worth knowing.

    Parameters
    ----------
    manifest : str
    calibration : str
        Table of temperatures.
    selection, scored : list of str
        Outputs files on the calibration split and on the test split, in the order of `members`.
    table : str
        Table to write: a row an ensemble, singles first, then pairs and triples, the best first.
        All singles are in it, the best 50 pairs and triples, and what else is on a Pareto front
        (see `mark_fronts`). `models` are keys in the order of the configuration. `accuracy` is that
        on the test split with Wilson's 95 % interval; `gain` is what it is above that of the best
        member, which is the one best on the calibration split, with Wald's interval of paired
        differences. `parameters` are the sum of the members', and `images_per_second` is that of
        members run one after the other, of the speeds at which their outputs were computed; both
        are empty if a member's are not known.
    members : dict of str to dict
        Name and category of each model, in the order of the configuration.
    mean : str
        "probability" or "logit", which combines them.
    threads : int
    """
    keys = list(members)
    splits = Manifest.read(manifest).splits
    fits = read_table(calibration).set_index("model").loc[keys]
    temperatures = fits["temperature"].to_numpy()
    groups, correct = count_all(selection, splits["calibration"], temperatures, keys, mean, threads)
    with ExitStack() as stack:
        files = [stack.enter_context(Outputs(path, splits["test"])) for path in scored]
        costs = np.array([cost(file.attributes) for file in files])
        listed = choose(groups, correct, costs)
        progress = Progress(len(splits["test"].labels), "images scored")
        right = score_ensembles(
            [file.logits for file in files],
            splits["test"].labels,
            temperatures,
            [(mean, group) for group in listed["group"]],
            names=keys,
            threads=threads,
            progress=progress.advance,
        )
    examples = len(splits["calibration"].labels)
    listed["selection_accuracy"] = listed.pop("correct") / examples
    described = describe(listed, [found[-1] for found in right], members)
    write_table(table, described)


def count_all(
    outputs: list[str],
    split: Split,
    temperatures: np.ndarray,
    keys: list[str],
    mean: str,
    threads: int,
) -> tuple[list[tuple[int, ...]], np.ndarray]:
    """Count what every single model, pair and triple gets right.

    Parameters
    ----------
    outputs : list of str
        Outputs files on a split, one a model.
    split : Split
    temperatures : ndarray of float64, shape (models,)
    keys : list of str
        Of the models.
    mean, threads
        As for `recommendations`.

    Returns
    -------
    groups : list of tuple of int
        Numbers of the members.
    correct : ndarray of int64, shape (groups,)
    """
    options: dict[str, Any] = {"names": keys, "threads": threads}
    with ExitStack() as stack:
        logits = [stack.enter_context(Outputs(path, split)).logits for path in outputs]
        progress = Progress(len(split.labels), "images for pairs")
        counts = count_pairs(
            logits, split.labels, temperatures, progress=progress.advance, **options
        )
        progress = Progress(len(split.labels), "images for triples")
        triples = count_triples(
            logits, split.labels, temperatures, mean=mean, progress=progress.advance, **options
        )
    pairs = counts.both_right + counts.converted[mean] + counts.rescued[mean]
    groups = [group for size in (1, 2, 3) for group in combinations(range(len(keys)), size)]
    tables = {1: counts.correct, 2: pairs, 3: triples}
    return groups, np.array([tables[len(group)][group] for group in groups])


def cost(attributes: dict) -> tuple[float, float]:
    """Give a model's parameters and seconds per image; NaN what its outputs file does not say."""
    rate = attributes.get("images_per_second", np.nan)
    return float(attributes.get("parameters", np.nan)), 1 / rate if rate > 0 else np.nan


def choose(groups: list[tuple[int, ...]], correct: np.ndarray, costs: np.ndarray) -> pd.DataFrame:
    """Choose which ensembles are listed.

    Parameters
    ----------
    groups : list of tuple of int
        Numbers of the members.
    correct : ndarray of int64, shape (groups,)
        Examples of the calibration split that each gets right.
    costs : ndarray of float64, shape (models, 2)
        Parameters, and seconds per image.

    Returns
    -------
    DataFrame
        `rank` among those of its `size`, the best first and equally good ones in the order of
        `groups`; `group`, `correct`, `best` (the member that gets most right), `parameters`,
        `seconds`, `pareto` and `pareto_speed`.
    """
    # Triples of many models are many: their costs are added in arrays.
    padded = np.array([group + (-1,) * (3 - len(group)) for group in groups])
    sums = np.vstack([costs, np.zeros((1, 2))])[padded].sum(axis=1)  # (groups, 2)
    table = pd.DataFrame(
        {
            "size": [len(group) for group in groups],
            "group": groups,
            "correct": correct,
            "parameters": sums[:, 0],
            "seconds": sums[:, 1],
        }
    )
    table["pareto"] = mark_fronts(correct, sums[:, 0])
    table["pareto_speed"] = mark_fronts(correct, sums[:, 1])
    table = table.sort_values(["size", "correct"], ascending=[True, False], kind="stable")
    table.insert(0, "rank", table.groupby("size").cumcount() + 1)
    keep = (table["size"] == 1) | (table["rank"] <= LISTED)
    table = table[keep | table["pareto"] | table["pareto_speed"]].reset_index(drop=True)
    alone = {group[0]: count for group, count in zip(groups, correct, strict=True)
             if len(group) == 1}  # fmt: skip
    # The earlier of equally good members.
    table["best"] = [max(group, key=alone.__getitem__) for group in table["group"]]
    return table


def mark_fronts(correct: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Mark what nothing is better than: neither as good for less, nor better for as much.

    Goodness is that on the calibration split, and not that on the test split which figures show:
    the front is then chosen without looking at test images, and their accuracies on it are as
    honest as any. It follows that drawn by test accuracy it may fall.

    Parameters
    ----------
    correct : ndarray of int64, shape (groups,)
    costs : ndarray of float64, shape (groups,)
        Those that are NaN are on no front.

    Returns
    -------
    ndarray of bool, shape (groups,)
    """
    order = np.lexsort((-correct, costs))  # the cheapest first, NaN last
    cheaper = np.concatenate([[-1], np.maximum.accumulate(correct[order])[:-1]])
    # Equals of the one that makes the front rise are on it too.
    same = np.zeros(len(order), bool)
    same[1:] = (correct[order][1:] == correct[order][:-1]) & (costs[order][1:] == costs[order][:-1])
    rises = correct[order] > cheaper
    first = np.maximum.accumulate(np.where(~same, np.arange(len(order)), 0))
    front = np.zeros(len(order), bool)
    front[order] = rises[first] & ~np.isnan(costs[order])
    return front


def describe(
    listed: pd.DataFrame, right: list[np.ndarray], members: dict[str, dict]
) -> pd.DataFrame:
    """Give the table's rows.

    Parameters
    ----------
    listed : DataFrame
        Of `choose`, with `selection_accuracy`.
    right : list of ndarray of bool, shape (examples,)
        For each, what it gets right on the test split.
    members : dict of str to dict
        As for `recommendations`.
    """
    keys = list(members)
    alone = {
        group[0]: found
        for group, found in zip(listed["group"], right, strict=True)
        if len(group) == 1
    }
    rows = []
    for chosen, found in zip(listed.to_dict("records"), right, strict=True):
        own = [keys[place] for place in chosen["group"]]
        low, high = wilson(found.sum(), len(found))
        gain, gain_low, gain_high = paired_gain(found, alone[chosen["best"]])
        rows.append(
            {
                "rank": chosen["rank"],
                "size": chosen["size"],
                "models": " + ".join(own),
                "names": " + ".join(members[key]["name"] for key in own),
                "categories": " + ".join(members[key]["category"] for key in own),
                "selection_accuracy": chosen["selection_accuracy"],
                "accuracy": found.mean(),
                "accuracy_low": float(low),
                "accuracy_high": float(high),
                "best_member": keys[chosen["best"]],
                "best_member_accuracy": alone[chosen["best"]].mean(),
                "gain": gain,
                "gain_low": gain_low,
                "gain_high": gain_high,
                "parameters": chosen["parameters"],
                "images_per_second": 1 / chosen["seconds"],
                "pareto": chosen["pareto"],
                "pareto_speed": chosen["pareto_speed"],
            }
        )
    return pd.DataFrame(rows).astype({"parameters": "Int64"})


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(recommendations, snakemake)
