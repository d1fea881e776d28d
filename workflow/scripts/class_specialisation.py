"""In which classes, groups of classes and attributes each model of a pair specialises.

Mean angle and accuracies by part of the images, with the tests of `workflow.lib.measures.parts`.
"""

import logging

import numpy as np
import pandas as pd

from workflow.lib.data.manifest import Manifest
from workflow.lib.measures.parts import Part, compare_parts, find_parts, without_images
from workflow.lib.outputs.tables import read_numbers, read_table, write_table

log = logging.getLogger("uncorrelated")

PAIR = ["pair", "model_1", "model_2", "name_1", "name_2", "category_1", "category_2", "category"]
MEASURED = ["examples", "theta", "theta_low", "theta_high", "only_1", "only_2",
            "advantage", "advantage_low", "advantage_high",
            "accuracy_1", "accuracy_1_low", "accuracy_1_high",
            "accuracy_2", "accuracy_2_low", "accuracy_2_high", "p", "p_specialist"]  # fmt: skip
COLUMNS = [*PAIR, "what", "label", "class", *MEASURED, "p_holm", "specialist"]


def class_specialisation(
    *,
    manifest: str,
    specialisation: str,
    attributes: str | list[str],
    table: str,
    groups: dict[str, list[str] | list[int]],
    split: str,
) -> None:
    """Write a table of specialisation, a row a pair and class, group of classes, or attribute.

    Parameters
    ----------
    manifest : str
        It knows the classes, those without a test image too.
    specialisation : str
        Table of angles.
    attributes : str or empty list
        Table of attributes of the images, in their order, if the study has them.
    table : str
        Table to write: the pair; `what` is "class", "group" or "attribute"; `label` is the index of
        a class, or -1; `class` is the name of any of them; then what `specialisation.summarise`
        gives; `p_specialist`, of both tests (see `parts`), and `p_holm`, the same corrected; and
        the key of the model that specialises, if one does.
    groups : dict of str to list of str or of int
        Names of the classes in each group, or the indices of its first and its last class.
    split : str
        The evaluation split.

    Raises
    ------
    InputError
        If a group has a class that the dataset lacks.
    """
    dataset = Manifest.read(manifest)
    known = read_numbers(attributes).drop(columns="id") if isinstance(attributes, str) else {}
    parts = find_parts(
        dataset.splits[split].labels,
        dataset.classes,
        groups,
        {name: known[name].to_numpy(str) for name in known},
    )
    rows = read_table(specialisation)
    made = [by_part(pair, parts) for _, pair in rows.groupby("pair", sort=False)]
    joined = pd.concat(made, ignore_index=True) if made else pd.DataFrame(columns=COLUMNS)
    write_table(table, joined[COLUMNS])


def by_part(rows: pd.DataFrame, parts: list[Part]) -> pd.DataFrame:
    """Summarise a pair by class, group and attribute, and say who specialises.

    Parameters
    ----------
    rows : DataFrame
        Of one pair, as in specialisation.tsv.
    parts : list of Part
    """
    pair = rows[PAIR].iloc[0].to_dict()
    if empty := without_images(parts):
        log.warning("%s: no test image of %s", pair["pair"], empty)
    found = compare_parts(rows["theta"].to_numpy(), rows["outcome"].to_numpy(str), parts)
    table = found.assign(**pair)
    members = np.array(["", pair["model_1"], pair["model_2"]], dtype=object)
    table["specialist"] = members[found["member"]]
    return table


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(class_specialisation, snakemake)
