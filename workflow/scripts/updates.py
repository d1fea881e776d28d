"""What each update changes: flips of right and wrong, and what both models together leave of them.

`updates.tsv` has a row for each system that can take the old model's place: the new model alone,
and both together by every combination and cascade. `update_classes.tsv` divides the flips of the
new model alone by class, group of classes and attribute, with the tests of `measures.parts`: in
which parts the update does worse, or better, than elsewhere.
"""

import logging

import numpy as np
import pandas as pd

from workflow.lib.data.manifest import Manifest
from workflow.lib.measures.parts import compare_parts, find_parts, without_images
from workflow.lib.measures.specialisation import outcome
from workflow.lib.measures.updates import BETTER, MEASURED, NEW, WORSE, flips
from workflow.lib.outputs.arrays import read_arrays
from workflow.lib.outputs.tables import read_numbers, write_table

log = logging.getLogger("uncorrelated")

UPDATE = ["update", "old", "new", "old_name", "new_name"]
COLUMNS = [*UPDATE, "system", *MEASURED]
OF_PARTS = [name for name in MEASURED if not name.startswith(("accuracy", "left"))]
PARTS = [*UPDATE, "what", "label", "class", *OF_PARTS, "p_specialist", "p_holm", "verdict"]


def updates(
    *,
    manifest: str,
    answers: str,
    together: str | list[str],
    attributes: str | list[str],
    table: str,
    parts: str,
    updates: list[list[str]],
    names: dict[str, str],
    groups: dict[str, list[str] | list[int]],
    split: str,
) -> None:
    """Write both tables.

    Parameters
    ----------
    manifest : str
    answers : str
        What each model answers and how sure it is, as `counts` writes it.
    together : str or empty list
        What both models of an update answer together, as `update_answers` writes it. Of answers
        alone it is that of the more confident model, or not known.
    attributes : str or empty list
        Table of attributes of the images, in their order, if the study has them.
    table : str
        Table to write, a row an update (`old` and `new` are keys) and `system`: `new` is the new
        model alone; the others are both models by a combination or a cascade, `oracle` being right
        where either model is; then what `measures.updates.flips` gives.
    parts : str
        Table to write, a row an update and class, group or attribute (`what`, `label` and `class`
        as in class_specialisation.tsv): flips of the new model alone; `p` and `p_specialist` of the
        tests, `p_holm`, the latter corrected; and a `verdict`, "worse" or "better", where that is
        below 0.05.
    updates : list of list of str
        Keys of the old model and the new one of each.
    names : dict of str to str
        Names of these models.
    groups : dict of str to list of str or of int
        Names of the classes in each group, or the indices of its first and its last class.
    split : str
        The evaluation split.
    """
    dataset = Manifest.read(manifest)
    labels = dataset.splits[split].labels
    known = read_arrays(answers)
    keys = known["models"].tolist()
    shared = read_arrays(together) if isinstance(together, str) else {}
    columns = read_numbers(attributes).drop(columns="id") if isinstance(attributes, str) else {}
    values = {name: columns[name].to_numpy(str) for name in columns}
    cut = find_parts(labels, dataset.classes, groups, values)
    if empty := without_images(cut):
        log.warning("no test image of %s", empty)
    whole, divided = [], []
    for place, update in enumerate(updates):
        rows = [keys.index(key) for key in update]
        old, new = known["top"][rows] == labels
        systems = {NEW: new}
        for number in np.flatnonzero(shared["update"] == place) if shared else []:
            systems[str(shared["system"][number])] = shared["classes"][number] == labels
        sure = known["log_confidence"][rows]
        if not np.isnan(sure).any():  # of equally confident ones the old model answers
            systems["confident"] = np.where(sure[0] >= sure[1], old, new)
        systems["oracle"] = old | new
        described = describe(update, names)
        whole += [
            described | {"system": system} | flips(old, right, new)
            for system, right in systems.items()
        ]
        tested = compare_parts(np.full(len(labels), np.nan), outcome(old, new), cut)
        verdicts = np.array(["", WORSE, BETTER], dtype=object)[tested["member"]]
        tested = tested[["what", "label", "class", "p_specialist", "p_holm"]]
        own = [flips(old[p.rows], new[p.rows], new[p.rows]) for p in cut]
        measured = pd.DataFrame(own)[OF_PARTS]
        joined = pd.concat([tested, measured], axis=1).assign(**described, verdict=verdicts)
        divided.append(joined[PARTS])
    write_table(table, pd.DataFrame(whole)[COLUMNS])
    write_table(parts, pd.concat(divided, ignore_index=True))


def describe(update: list[str], names: dict[str, str]) -> dict[str, str]:
    """Say which models an update is of."""
    old, new = update
    return {
        "update": f"{old} + {new}",
        "old": old,
        "new": new,
        "old_name": names[old],
        "new_name": names[new],
    }


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(updates, snakemake)
