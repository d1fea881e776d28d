"""Describe all pairs of models, and the models: from counts to the tables that people read.

A model of the main set whose accuracy is outside the band joins the others.
"""

import logging

import numpy as np
import pandas as pd

from workflow.lib.ensembles.counts import read_counts
from workflow.lib.measures.pairs import pair_table
from workflow.lib.measures.statistics import wilson
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.run.errors import InputError
from workflow.lib.study.categories import BASE, CATEGORIES, more_divergent

log = logging.getLogger("uncorrelated")


def pairs(
    *,
    counts: str,
    calibration: str,
    pairs: str,
    models: str,
    members: dict[str, dict],
    band: list[float],
    fitted_on: str,
) -> None:
    """Write a table of models and a table of pairs of models.

    Parameters
    ----------
    counts : str
        Counts of pairs, as `counts` writes them.
    calibration : str
        Table of temperatures.
    pairs : str
        Table to write: a row a pair and combination (see `pair_table`), with both models' names
        and categories, the pair's category, whether one of them is the base, and whether both are
        in the main analyses.
    models : str
        Table to write: a row a model, with its accuracy and the group that this puts it in.
    members : dict of str to dict
        Name, category, set, objective, training data and head of each model.
    band : list of float
        Least and greatest accuracy of models in the main analyses.
    fitted_on : str
        Split that the temperatures were fitted on.
    """
    keys, found = read_counts(counts)
    own = found[fitted_on]
    fits = read_table(calibration).set_index("model").loc[keys]
    table = model_table(members, fits, own.correct, own.examples, band)
    outside = table["category"].isin(CATEGORIES) & (table["group"] == "others")
    for row in table[outside].itertuples():
        log.warning(
            "%s has an accuracy of %.4f, outside the band %s: it is left out of the main analyses "
            "and listed in table 4",
            *(row.model, row.accuracy, band),
        )
    write_table(models, table)
    write_table(pairs, describe(pair_table(own, keys), table))


def model_table(
    members: dict[str, dict],
    fits: pd.DataFrame,
    correct: np.ndarray,
    examples: int,
    band: list[float],
) -> pd.DataFrame:
    """Put together what is known of each model, and the group that it belongs to.

    Parameters
    ----------
    members : dict of str to dict
    fits : DataFrame
        `temperature` and `converged`, by model.
    correct : ndarray of int64, shape (models,)
        Examples that each model gets right.
    examples : int
    band : list of float

    Raises
    ------
    InputError
        If the base itself is outside the band.
    """
    rows = []
    for (key, member), right in zip(members.items(), correct.tolist(), strict=True):
        accuracy = right / examples
        low, high = (float(bound) for bound in wilson(right, examples))
        inside = band[0] <= accuracy <= band[1]
        group = member["set"] if member["category"] in (BASE, *CATEGORIES) else "others"
        if member["category"] == BASE:
            group = BASE
            if not inside:
                raise InputError(
                    f"the base '{key}' has an accuracy of {accuracy:.4f}, outside the band "
                    f"{band}; set `band` in the configuration around it"
                )
        elif group == "main" and not inside:
            group = "others"
        rows.append(
            {
                "model": key,
                "name": member["name"],
                "category": member["category"],
                "group": group,
                "objective": member["objective"],
                "train_data": member["train_data"],
                "head": member["head"],
                "weights_of": member.get("weights_of"),
                "temperature": fits["temperature"][key],
                "converged": bool(fits["converged"][key]),
                "problem": fits["problem"][key],
                "ece": fits["ece"][key] if "ece" in fits else None,
                "accuracy": accuracy,
                "accuracy_low": low,
                "accuracy_high": high,
            }
        )
    return pd.DataFrame(rows)


def describe(pairs: pd.DataFrame, models: pd.DataFrame) -> pd.DataFrame:
    """Say of each pair which models and category it is of, and whether it is a main one."""
    by_key = models.set_index("model")
    for member in (1, 2):
        for column in ("name", "category", "group"):
            pairs[f"{column}_{member}"] = pairs[f"model_{member}"].map(by_key[column])
    categories = zip(pairs["category_1"], pairs["category_2"], strict=True)
    pairs["category"] = [more_divergent(a, b) for a, b in categories]
    groups = pairs[["group_1", "group_2"]]
    pairs["with_base"] = (groups == BASE).any(axis=1)
    pairs["main"] = groups.isin([BASE, "main"]).all(axis=1)
    first = ["model_1", "model_2", "name_1", "name_2", "category_1", "category_2", "category",
             "with_base", "main", "combination"]  # fmt: skip
    rest = [column for column in pairs if column not in (*first, "group_1", "group_2")]
    return pairs[first + rest]


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(pairs, snakemake)
