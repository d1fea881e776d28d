"""Updates in words: what can take the old model's place, and what that changes."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from workflow.lib.measures.updates import BETTER, NEW, WORSE
from workflow.lib.show.findings import percent, points

SYSTEMS = {
    NEW: "new model alone",
    "probability": "mean of probabilities",
    "logit": "mean of logits",
    "weighted": "weighted logits",
    "confident": "more confident answer",
    "cascade-both": "cascade, then both",
    "cascade-larger": "cascade, then the larger",
    "oracle": "either is right (bound)",
}
"""What answers after an update, in the order of figures."""

BOUND = "oracle"
SHOWN = 5  # parts that a sentence names


def tell_updates(table: pd.DataFrame, parts: pd.DataFrame, combination: str) -> Iterator[str]:
    """Say of each update what is lost and won, where, and what both models together leave.

    Parameters
    ----------
    table, parts : DataFrame
        As in updates.tsv and update_classes.tsv.
    combination : str
        The study's own, of several models.
    """
    for update, rows in table.groupby("update", sort=False):
        new = rows[rows["system"] == NEW].iloc[0]
        lost = _with_ends(new, "negative_flips")
        won = _with_ends(new, "positive_flips")
        gain = points(new["gain"], new["gain_low"], new["gain_high"])
        text = (
            f"From {new['old_name']} to {new['new_name']}: {lost} of the images are lost (negative "
            f"flips) and {won} won; accuracy changes by {gain}."
        )
        if new["negative_flips"] > 0:
            text += (
                f" Of the new model's errors, {_with_ends(new, 'of_errors')} are images that the "
                f"old one gets right."
            )
            own = {combination: f"their {SYSTEMS[combination]}", "cascade-both": "their cascade"}
            left = [
                f"{_with_ends(row, 'left')} by {own[row['system']]} (accuracy "
                f"{percent(row['accuracy'])} instead of {percent(new['accuracy'])})"
                for row in rows.to_dict("records")
                if row["system"] in own
            ]
            if left:
                text += f" Of the negative flips, both models together leave {' and '.join(left)}."
        mine = parts[parts["update"] == update]
        for verdict, words in ((WORSE, "does worse"), (BETTER, "gains more")):
            found = mine.loc[mine["verdict"] == verdict, "class"].tolist()
            if found:
                more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
                text += f" It {words} than elsewhere in: {', '.join(found[:SHOWN])}{more}."
        yield text


def in_words(table: pd.DataFrame) -> pd.DataFrame:
    """Name updates by their models, and give systems their words."""
    named = table.assign(update=table["old_name"] + " to " + table["new_name"])
    return named.assign(system=table["system"].map(SYSTEMS)) if "system" in table else named


def _with_ends(row: pd.Series | dict, name: str) -> str:
    return percent(*(float(np.float64(row[name + end])) for end in ("", "_low", "_high")))
