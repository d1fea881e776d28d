"""How sure the recommended models are: scores and risk by coverage, under every combination."""

import pandas as pd

from workflow.lib.ensembles.listed import JOIN
from workflow.lib.measures.uncertainty import SCORES
from workflow.lib.outputs.tables import read_table, write_table

KINDS = ("single", "pair", "triple", "cascade")


def uncertainty(
    *,
    recommended: str,
    scores: str,
    risks: str,
    cascade_scores: str,
    cascade_risks: str,
    table: str,
    figure: str,
    members: dict[str, dict[str, str]],
    combination: str,
) -> None:
    """Write a table of scores, and one that a figure draws.

    Parameters
    ----------
    recommended : str
        Table of recommendations.
    scores, risks, cascade_scores, cascade_risks : str
        What `scores` and `cascades` found.
    table : str
        Table to write, a row a combination of the best single model, pair, triple and cascade, the
        first of each size by the images to select on: every score with its interval, `nll_gain` and
        `nll_diversity`, and whether it is the combination to take (`chosen`).
    figure : str
        Table to write: `risk` by `coverage` of each under the combination to take, with its `name`.
    members : dict of str to dict of str to str
        Name of each model.
    combination : str
        By which the first are told.
    """
    listed = read_table(recommended)
    first = listed[(listed["kind"] == "ensemble") & (listed["rank"] == 1)]
    known = pd.concat([read_table(scores), read_table(cascade_scores)], ignore_index=True)
    rows = []
    for best in first.itertuples():
        rows += wide(known[known["models"] == best.models].query("kind != 'cascade'"), best.choice)
    rows += wide(known[known["kind"] == "cascade"], "cascade")
    result = pd.DataFrame(rows)
    names = [named(own, members) for own in result["models"]]
    result.insert(2, "names", names)
    write_table(table, result)
    drawn = read_table(risks)
    drawn = drawn[drawn["selected_by"] == combination]
    drawn = pd.concat([drawn, read_table(cascade_risks)], ignore_index=True)
    drawn["name"] = [named(own, members) for own in drawn["models"]]
    write_table(figure, drawn.drop(columns="selected_by"))


def named(models: str, members: dict[str, dict[str, str]]) -> str:
    """Names of an ensemble's models."""
    return JOIN.join(members[key]["name"] for key in models.split(JOIN))


def wide(scores: pd.DataFrame, choice: str) -> list[dict]:
    """Give a row a combination, with a column a score."""
    rows = []
    for combination, own in scores.groupby("combination", sort=False):
        row = {"kind": own["kind"].iloc[0], "models": own["models"].iloc[0]}
        row |= {"combination": combination, "chosen": combination == choice}
        own = own.set_index("score")
        for score in SCORES:
            for column, end in (("value", ""), ("low", "_low"), ("high", "_high")):
                row[f"{score}{end}"] = own[column].get(score)
        for column, end in (("", ""), ("_high", "_low"), ("_low", "_high")):
            difference = own[f"difference{column}"].get("nll") if "nll" in own.index else None
            row[f"nll_gain{end}"] = None if difference is None else -difference
        row["nll_diversity"] = own["diversity"].get("nll")
        rows.append(row | {"converged": own["converged"].iloc[0]})
    return rows


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(uncertainty, snakemake)
