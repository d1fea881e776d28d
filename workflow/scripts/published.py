"""Turn a publication's tables into the same two tables as those of a measured study.

The publication gives each model's accuracy a and, with the base of accuracy b, their error
inconsistency d and the accuracy e of their ensemble. With these, the share of examples that

- both get right is (a + b - d) / 2,
- both get wrong is (2 - a - b - d) / 2,
- only the base gets right is (b - a + d) / 2, and only the model (a - b + d) / 2.

Improvement is e - (a + b) / 2. Of the conversion rate we know only that it is at most
(e - both right) / d, which is what the table has: an ensemble gets right what both get right, since
that is then the top class of any combination; what it gets right besides may include examples that
both get wrong.

Intervals take the printed shares to be of the stated number of examples. Improvement has none: it
would need to know how many examples the ensemble alone gets right.
"""

import difflib
import logging
import re

import numpy as np
import pandas as pd

from workflow.lib.measures import pairs as metrics
from workflow.lib.outputs.tables import write_table
from workflow.lib.run.errors import InputError
from workflow.lib.study.categories import BASE, more_divergent

log = logging.getLogger("uncorrelated")

GROUPS = {"1": "main", "2": "high", "3": "low", "4": "others"}
PERCENTAGES = ["accuracy", "ensemble_accuracy"]
SHARES = ["both_right", "both_wrong", "only_1", "only_2", "conversion_rate"]
NUMBERS = [*PERCENTAGES, "error_inconsistency", "temperature"]


def published(
    *,
    table: str,
    base: dict,
    examples: int,
    corrections: list[dict],
    band: list[float],
    models: str,
    pairs: str,
) -> None:
    """Write the tables of models and of pairs with the base that a publication's numbers give.

    Parameters
    ----------
    table : str
        CSV file, one model a row: `table` (1 to 4), `model` (name), `category`, `objective`,
        `train_data`, `head`, `temperature`, `accuracy` and `ensemble_accuracy` in per cent, and
        `error_inconsistency` as a fraction. A model without the last two is in no pair.
    base : dict
        `name` and `accuracy` (a fraction) of the base, which the file leaves out.
    examples : int
        Number of test examples.
    corrections : list of dict
        Cells to put right: `model`, `column` and `value`, in the file's own units.
    band : list of float
        Lowest and highest accuracy of the models in the main analyses.
    models, pairs : str
        Tables to write.
    """
    rows = correct(pd.read_csv(table, dtype=str), corrections)
    rows[NUMBERS] = rows[NUMBERS].astype(float)
    rows[PERCENTAGES] /= 100
    rows = pd.concat(
        [pd.DataFrame([{"model": base["name"], "category": BASE} | base]), rows], ignore_index=True
    )
    rows = rows.assign(
        name=rows["model"],
        model=slugs(rows["model"]),
        group=rows["table"].map(GROUPS).fillna(BASE),
    )
    outside = (rows["group"] == "main") & ~rows["accuracy"].between(*band)
    rows["group"] = rows["group"].mask(outside, "others")

    compared = pair_table(rows, examples)
    for name in compared.loc[~compared[SHARES].apply(_is_share).all(axis=1), "name_2"]:
        log.warning("%s: the printed numbers contradict each other; correct the wrong one", name)
    for made, path in ((model_table(rows, examples), models), (compared, pairs)):
        write_table(path, made)


def correct(rows: pd.DataFrame, corrections: list[dict]) -> pd.DataFrame:
    """Put misread or misprinted cells right.

    Parameters
    ----------
    rows : DataFrame of str
        The publication's table.
    corrections : list of dict
        `model`, `column` and `value` of each cell.

    Returns
    -------
    DataFrame of str

    Raises
    ------
    InputError
        If there is no such model or column, with the name that comes nearest.
    """
    rows = rows.copy()
    for cell in corrections:
        for kind, names in (("model", rows["model"]), ("column", rows.columns)):
            if cell[kind] not in set(names):
                nearest = difflib.get_close_matches(cell[kind], names, n=1, cutoff=0)[0]
                raise InputError(
                    f"corrections: the table has no {kind} '{cell[kind]}'; do you mean '{nearest}'?"
                )
        rows.loc[rows["model"] == cell["model"], cell["column"]] = str(cell["value"])
    return rows


def slugs(names: pd.Series) -> pd.Series:
    """Make keys of names: small letters, digits and hyphens, each key once.

    Parameters
    ----------
    names : Series of str

    Returns
    -------
    Series of str
    """
    keys = names.map(lambda name: re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"))
    again = keys.groupby(keys).cumcount()
    return keys.where(again == 0, keys + "-" + (again + 1).astype(str))


def model_table(rows: pd.DataFrame, examples: int) -> pd.DataFrame:
    """List the models.

    Parameters
    ----------
    rows : DataFrame
        The base and the publication's models, in fractions, each with its key, name and group.
    examples : int

    Returns
    -------
    DataFrame
        As models.tsv. A publication's temperatures count as converged.
    """
    columns = ["model", "name", "category", "group", "objective", "train_data", "head"]
    made = rows[columns].assign(
        weights_of=None,
        temperature=rows["temperature"],
        converged=True,
        problem=None,
        ece=None,
        accuracy=rows["accuracy"],
    )
    made["accuracy_low"], made["accuracy_high"] = share_interval(made["accuracy"], examples)
    return made


def pair_table(rows: pd.DataFrame, examples: int) -> pd.DataFrame:
    """Compare each model with the base, as far as the publication allows.

    Parameters
    ----------
    rows : DataFrame
        The base, in the first row, and the publication's models, in fractions, each with its key,
        name and group.
    examples : int

    Returns
    -------
    DataFrame
        As pairs.tsv.
    """
    base = rows.iloc[0]
    rows = rows[rows["error_inconsistency"].notna()]
    a, b = rows["accuracy"], base["accuracy"]
    inconsistency, ensemble = rows["error_inconsistency"], rows["ensemble_accuracy"]
    both_right = (a + b - inconsistency) / 2
    made = pd.DataFrame(
        {
            "model_1": base["model"],
            "model_2": rows["model"],
            "name_1": base["name"],
            "name_2": rows["name"],
            "category_1": base["category"],
            "category_2": rows["category"],
            "category": [more_divergent(base["category"], other) for other in rows["category"]],
            "with_base": True,
            "main": rows["group"] == "main",
            "combination": "unstated",
            "examples": examples,
            "accuracy_1": b,
            "accuracy_2": a,
        }
    )
    for column, share in {
        "both_right": both_right,
        "both_wrong": 1 - both_right - inconsistency,
        "only_1": b - both_right,
        "only_2": a - both_right,
        "error_inconsistency": inconsistency,
    }.items():
        made[column] = share
        made[f"{column}_low"], made[f"{column}_high"] = share_interval(share, examples)
    counts = [
        made[column] * examples for column in ("both_right", "only_1", "only_2", "both_wrong")
    ]
    made["error_consistency"] = metrics.error_consistency(*counts)
    for bounds, ends in (
        (metrics.error_consistency_interval(*counts), ("low", "high")),
        (metrics.error_consistency_bounds(*counts), ("min", "max")),
    ):
        for end, bound in zip(ends, bounds, strict=True):
            made[f"error_consistency_{end}"] = bound
    made["ensemble_accuracy"] = ensemble
    low, high = share_interval(ensemble, examples)
    made["ensemble_accuracy_low"], made["ensemble_accuracy_high"] = low, high
    made["improvement"] = ensemble - (a + b) / 2
    made["improvement_low"] = made["improvement_high"] = np.nan
    made["conversion_rate"] = ((ensemble - both_right) / inconsistency).clip(upper=1)
    low, high = share_interval(made["conversion_rate"], inconsistency * examples)
    made["conversion_rate_low"], made["conversion_rate_high"] = low, high
    return made


def share_interval(share: pd.Series, examples: int | pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Give the 95 % interval of a share of a number of examples.

    Parameters
    ----------
    share : Series of float
    examples : int or Series of float
        Counts are rounded to whole examples.

    Returns
    -------
    low, high : ndarray of float64
        NaN for a share that is impossible.
    """
    examples = np.round(examples)
    return metrics.wilson(np.round(share.where(_is_share(share)) * examples), examples)


def _is_share(values: pd.Series) -> pd.Series:
    return values.between(-1e-9, 1 + 1e-9)  # rounding may leave a little


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(published, snakemake)
