"""Which models are worth combining, and how: the best ensembles and cascades, with their names."""

import numpy as np
import pandas as pd

from workflow.lib.ensembles.listed import JOIN
from workflow.lib.ensembles.recommend import mark_fronts
from workflow.lib.outputs.tables import read_numbers, read_table, write_table

SHOWN = {
    "accuracy": "choice_accuracy",
    "nll": "nll",
    "brier": "brier",
    "coverage_at_risk": "coverage_at_risk",
    "risk_at_coverage": "risk_at_coverage",
}
"""Scores of the chosen combination, by the column that they stand in."""


def recommendations(
    *,
    selected: str,
    cascades: str,
    weights: str,
    scores: str,
    table: str,
    members: dict[str, dict[str, str]],
    combination: str,
) -> None:
    """Write a table of single models, and of the pairs, triples and cascades worth knowing.

    Parameters
    ----------
    selected : str
        What `selection` found of ensembles, by keys.
    cascades : str
        What `cascades` found.
    weights, scores : str
        Which combination each ensemble is to take, and how good it is on the images scored.
    table : str
        Table to write, of the rows of the combination: names and categories of the models are
        beside their keys. `kind` is "ensemble" or "cascade". `choice` is the combination of the
        least cross-fitted negative log-likelihood; beside it stand its scores on the images that
        nothing was fitted on, each with its interval, and its `nll_gain` over the best member. Of a
        cascade, `macs` is the mean for an image, `exits` the share that its first model answers, at
        its `thresholds`. `pareto` is the front of multiply-adds of all rows.
    members : dict of str to dict of str to str
        Name and category of each model.
    combination : str
    """
    rows = read_numbers(selected).query("combination == @combination")
    rows = rows.drop(columns="combination")
    rows.insert(0, "kind", "ensemble")
    chosen = read_table(weights).set_index("models")["combination"]
    rows["choice"] = rows["models"].map(chosen).where(rows["size"] != "1", "single")
    rows = rows.join(score_columns(read_table(scores), rows))
    parameters = rows.set_index("models")["parameters"]
    rows = pd.concat([rows, cascade_rows(read_numbers(cascades), parameters)], ignore_index=True)
    costs, good = (pd.to_numeric(rows[name]).to_numpy() for name in ("front", "selection_accuracy"))
    rows["pareto"] = mark_fronts(good, costs)
    rows = rows.drop(columns="front")
    keys = rows["models"].str.split(JOIN, regex=False)
    for column, field in (("categories", "category"), ("names", "name")):
        joined = [JOIN.join(members[key][field] for key in own) for own in keys]
        rows.insert(rows.columns.get_loc("models") + 1, column, joined)
    write_table(table, rows)


def score_columns(scores: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Scores of the chosen combination of each row, with their intervals."""
    known = scores[scores["score"].isin(SHOWN)].set_index(["models", "combination", "score"])
    columns = pd.DataFrame({"front": rows["macs"]}, index=rows.index)
    for score, name in SHOWN.items():
        index = pd.MultiIndex.from_arrays(
            [rows["models"], rows["choice"], np.full(len(rows), score)]
        )
        own = known.reindex(index)
        for column, end in (("value", ""), ("low", "_low"), ("high", "_high")):
            columns[f"{name}{end}"] = own[column].to_numpy()
        if score == "nll":
            for column, end in (("", ""), ("_high", "_low"), ("_low", "_high")):
                columns[f"nll_gain{end}"] = -own[f"difference{column}"].to_numpy()
            columns["converged"] = own["converged"].to_numpy()
    return columns


def cascade_rows(cascades: pd.DataFrame, parameters: pd.Series) -> pd.DataFrame:
    """The listed cascades, in the columns of ensembles."""
    own = cascades[(cascades["listed"] == "True") & (cascades["target"] == "accuracy")]
    same = ["models", "selection_accuracy", "accuracy", "accuracy_low", "accuracy_high",
            "best_member", "gain", "gain_low", "gain_high", "macs", "exits", "thresholds", "then",
            "nll", "against_ensemble", "against_ensemble_low", "against_ensemble_high",
            "ensemble_macs"]  # fmt: skip
    rows = own[same].copy()
    keys = rows["models"].str.split(JOIN, regex=False)
    rows.insert(0, "kind", "cascade")
    rows["size"] = keys.map(len)
    rows["rank"] = np.arange(1, len(rows) + 1)
    rows["choice"] = "cascade"
    for end in ("", "_low", "_high"):
        rows[f"choice_accuracy{end}"] = own[f"accuracy{end}"]
    rows["front"] = own["selection_macs"]
    known = pd.to_numeric(parameters)
    rows["parameters"] = [known.reindex(own_keys).sum(skipna=False) for own_keys in keys]
    rows["parameters"] = rows["parameters"].astype("Int64")
    return rows


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(recommendations, snakemake)
