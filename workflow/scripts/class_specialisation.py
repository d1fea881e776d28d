"""In which classes, and groups of classes, each model of a pair specialises.

Mean angle and accuracies by class, and McNemar's exact test that both models get the class right
equally often. That asks who is better; the stronger of two models is so in most classes. A model
specialises in a class where it is better, and more so than both models' overall accuracies say: its
share of the images that exactly one of the two gets right is also above that among all other images
(Fisher's exact test). Both must be found, so the greater p counts (Berger 1982), below 0.05 after
Holm's (1979) correction for all classes and groups of the pair.
"""

import difflib
import logging

import numpy as np
import pandas as pd

from workflow.lib.data.files import unicode_note
from workflow.lib.data.manifest import Manifest
from workflow.lib.measures.specialisation import SIGNIFICANCE, odds_test, summarise
from workflow.lib.measures.statistics import holm
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.run.errors import InputError

log = logging.getLogger("uncorrelated")

PAIR = ["pair", "model_1", "model_2", "name_1", "name_2", "category_1", "category_2", "category"]
MEASURED = ["examples", "theta", "theta_low", "theta_high", "only_1", "only_2",
            "advantage", "advantage_low", "advantage_high",
            "accuracy_1", "accuracy_1_low", "accuracy_1_high",
            "accuracy_2", "accuracy_2_low", "accuracy_2_high", "p", "p_specialist"]  # fmt: skip
SHOWN = 10  # classes without an image that are named
COLUMNS = [*PAIR, "what", "label", "class", *MEASURED, "p_holm", "specialist"]


def class_specialisation(
    *, manifest: str, specialisation: str, table: str, groups: dict[str, list[str] | list[int]]
) -> None:
    """Write a table of specialisation, a row a pair and class, or group of classes.

    Parameters
    ----------
    manifest : str
        It knows the classes, those without a test image too.
    specialisation : str
        Table of angles.
    table : str
        Table to write: the pair; `what` is "class" or "group"; `label` is the index of a class, or
        -1; `class` is the name of either; then what `specialisation.summarise` gives;
        `p_specialist`, of both tests (see `specialisation.odds_test`), and `p_holm`, the same
        corrected; and the key of the model that specialises, if one does.
    groups : dict of str to list of str or of int
        Names of the classes in each group, or the indices of its first and its last class.

    Raises
    ------
    InputError
        If a group has a class that the dataset lacks.
    """
    classes = Manifest.read(manifest).classes
    labels = {group: group_labels(group, named, classes) for group, named in groups.items()}
    rows = read_table(specialisation)
    made = [by_class(pair, classes, labels) for _, pair in rows.groupby("pair", sort=False)]
    joined = pd.concat(made, ignore_index=True) if made else pd.DataFrame(columns=COLUMNS)
    write_table(table, joined[COLUMNS])


def group_labels(group: str, named: list[str] | list[int], classes: tuple[str, ...]) -> list[int]:
    """Find the classes of a group.

    Parameters
    ----------
    group : str
        Its name, for messages.
    named : list of str or of int
        Names of its classes; or two indices, of its first and of its last class.
    classes : tuple of str

    Returns
    -------
    list of int

    Raises
    ------
    InputError
        If the dataset lacks a class, with the name that comes nearest; or if indices could be
        names.
    """
    if isinstance(named[0], int):
        first, last = named
        numbered = all(name.isdecimal() for name in classes)
        if numbered and list(classes) != [str(label) for label in range(len(classes))]:
            raise InputError(
                f"groups.{group}: the dataset's classes are called by numbers, and {first} and "
                f"{last} could be their names or their indices; write the names, in quotes: "
                f'["{first}", "{last}"]'
            )
        if last >= len(classes):
            raise InputError(
                f"groups.{group}: there is no class {last}; the last of the dataset's "
                f"{len(classes):,} is {len(classes) - 1}"
            )
        return list(range(first, last + 1))
    for name in named:
        if name not in classes:
            nearest = difflib.get_close_matches(name, classes, n=1, cutoff=0)
            hint = f"; do you mean '{nearest[0]}'?" if nearest else ""
            hint = unicode_note([name], classes) or hint
            raise InputError(f"groups.{group}: the dataset has no class '{name}'{hint}")
    return [classes.index(name) for name in named]


def by_class(
    rows: pd.DataFrame, classes: tuple[str, ...], groups: dict[str, list[int]]
) -> pd.DataFrame:
    """Summarise a pair by class and group, and say who specialises.

    Parameters
    ----------
    rows : DataFrame
        Of one pair, as in specialisation.tsv.
    classes : tuple of str
    groups : dict of str to list of int
        Classes of each group.
    """
    pair = rows[PAIR].iloc[0].to_dict()
    label = rows["label"].to_numpy()
    theta, outcomes = rows["theta"].to_numpy(), rows["outcome"].to_numpy(str)
    order = np.argsort(label, kind="stable")
    ends = np.searchsorted(label[order], np.arange(len(classes) + 1))
    chosen = [
        ("class", index, name, order[start:stop])
        for index, (name, start, stop) in enumerate(zip(classes, ends, ends[1:], strict=False))
    ]
    for group, labels in groups.items():
        chosen.append(("group", -1, group, np.flatnonzero(np.isin(label, labels))))
    made = []
    empty = [f"the {what} '{name}'" for what, _, name, where in chosen if not len(where)]
    if empty:
        shown = ", ".join(empty[:SHOWN]) + (f" and {len(empty) - SHOWN} more") * (
            len(empty) > SHOWN
        )
        log.warning("%s: no test image of %s", pair["pair"], shown)
    alone = np.stack([outcomes == "only_1", outcomes == "only_2"])  # (2, examples)
    everywhere, leads = alone.sum(axis=1), []
    for what, index, name, where in chosen:
        here = alone[:, where].sum(axis=1)
        rest = everywhere - here
        lead = np.sign([here[0] - here[1], here[0] * rest[1] - here[1] * rest[0]])
        leads.append(lead[0] > 0)
        found = summarise(theta[where], outcomes[where])
        p = np.nan
        if len(where):
            p = max(found["p"], odds_test(*here, *rest)) if lead[0] == lead[1] else 1.0
        row = {"what": what, "label": index, "class": name} | found
        made.append(pair | row | {"p_specialist": p})
    table = pd.DataFrame(made)
    table["p_holm"] = holm(table["p_specialist"].to_numpy())
    better = np.where(leads, pair["model_1"], pair["model_2"])
    table["specialist"] = np.where(table["p_holm"] < SIGNIFICANCE, better, "")
    return table


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(class_specialisation, snakemake)
