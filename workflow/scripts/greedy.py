"""Greedy ensembles: to a base, add at each step the model that raises accuracy most.

Models are calibrated, and combined by the mean of their probabilities and by the mean of their
logits; a model may come in once (without replacement) or several times. Accuracy is always that on
the test split. What raises it most is decided on the calibration split (protocol `held-out`), or on
the test split itself (`paper`), whose accuracies are then too good. An ensemble ends when no model
makes more images of the selection right.
"""

import logging
from contextlib import ExitStack
from itertools import product

import numpy as np
import pandas as pd

from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.ensembles.greedy import grow, read_candidates, score_ensembles
from workflow.lib.measures.pairs import MEANS
from workflow.lib.measures.statistics import paired_gain, wilson
from workflow.lib.outputs.store import Outputs
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.run.errors import InputError
from workflow.lib.run.progress import Progress

log = logging.getLogger("uncorrelated")

PROTOCOLS = ("held-out", "paper")


def greedy(
    *,
    manifest: str,
    calibration: str,
    selection: list[str],
    scored: list[str],
    table: str,
    first: str,
    members: dict[str, dict],
    bases: list[str],
    pool: list[str],
    size: int,
    threads: int,
) -> None:
    """Write a table of greedy ensembles, and one of the best first members.

    Parameters
    ----------
    manifest : str
    calibration : str
        Table of temperatures.
    selection, scored : list of str
        Outputs files on the calibration split and on the test split, in the order of `members`.
    table : str
        Table to write: a row a protocol, mean, replacement, base and step. Step 0 is the base
        alone; `model` is who comes in. `selection_accuracy` is that on the images of the protocol,
        `accuracy` that on the test split with Wilson's 95 % interval, and `gain` what it is above
        the base's with Wald's interval of paired differences.
    first : str
        Table to write, of the same columns: a row a protocol, mean and base, of the best first
        member, and `raises`, whether it raises the accuracy that is selected by. If not, it is in
        no ensemble.
    members : dict of str to dict
        Name, category, objective and training data of each base and each model of the pool, in the
        order of the configuration.
    bases : list of str
        Keys of the models to begin with.
    pool : list of str
        Keys of the models to add; the earlier of equally good ones is added.
    size : int
        Members at most, the base included.
    threads : int

    Raises
    ------
    InputError
        If there is nothing to begin with, nothing to add, or no room for it.
    """
    if not bases:
        raise InputError("greedy.bases names no model; name at least one to begin with")
    if not pool:
        raise InputError("greedy.pool names no model; name at least one to add")
    for base in bases:
        if set(pool) == {base}:
            raise InputError(
                f"greedy.pool holds only '{base}', which greedy.bases names too: without "
                f"replacement there is nothing to add to it; name another model in greedy.pool"
            )
    if size < 2:
        raise InputError(f"greedy.size is {size}: a base and one more member make 2")
    keys = list(members)
    splits = Manifest.read(manifest).splits
    fits = read_table(calibration).set_index("model").loc[keys]
    temperatures = fits["temperature"].to_numpy()
    found = []
    for protocol in PROTOCOLS:
        paths, split = (selection, splits["calibration"]) if protocol == "held-out" else (
            scored, splits["test"]
        )  # fmt: skip
        log.info("protocol %s", protocol)
        found += [
            {"protocol": protocol, "examples": len(split.labels), **ensemble}
            for ensemble in select(paths, split, temperatures, keys, bases, pool, size, threads)
        ]
    starts = [start_of(ensemble) for ensemble in found if not ensemble["replacement"]]
    progress = Progress(len(splits["test"].labels), "images scored")
    with ExitStack() as stack:
        right = score_ensembles(
            [stack.enter_context(Outputs(path, splits["test"])).logits for path in scored],
            splits["test"].labels,
            temperatures,
            [(ensemble["mean"], ensemble["members"]) for ensemble in found + starts],
            names=keys,
            threads=threads,
            progress=progress.advance,
        )
    rows = [
        describe(ensemble, answers, members)
        for ensemble, answers in zip(found + starts, right, strict=True)
    ]
    steps = [row for described in rows[: len(found)] for row in described]
    write_table(table, pd.DataFrame(steps))
    # Of a start, only what comes in is of interest.
    firsts = [
        {**described[1], "raises": start["correct"][1] > start["correct"][0]}
        for described, start in zip(rows[len(found) :], starts, strict=True)
    ]
    write_table(first, pd.DataFrame(firsts))


def select(
    outputs: list[str],
    split: Split,
    temperatures: np.ndarray,
    keys: list[str],
    bases: list[str],
    pool: list[str],
    size: int,
    threads: int,
) -> list[dict]:
    """Grow an ensemble for each mean, way of replacement and base.

    Parameters
    ----------
    outputs : list of str
        Outputs files on the split to select by, one a model.
    split : Split
    temperatures : ndarray of float64, shape (models,)
    keys : list of str
        Of the models.
    bases, pool, size, threads
        As for `greedy`.

    Returns
    -------
    list of dict
        `mean`, `replacement`, `members` (numbers of models, the base first), `correct` (examples
        of the split that are right with each of them added), and `refused` as `grow` has it.
    """
    with ExitStack() as stack:
        reading = Progress(len(outputs) * len(split.labels), "rows of logits read")
        candidates = read_candidates(
            [stack.enter_context(Outputs(path, split)).logits for path in outputs],
            split.labels,
            temperatures,
            names=keys,
            threads=threads,
            progress=reading.advance,
        )
        growing = Progress(len(MEANS) * 2 * len(bases), "ensembles grown")
        places = sorted(keys.index(key) for key in pool)
        found = []
        for mean, replacement, base in product(MEANS, (False, True), bases):
            members, correct, refused = grow(
                candidates,
                keys.index(base),
                places,
                size=size,
                mean=mean,
                replacement=replacement,
                threads=threads,
            )
            found.append({"mean": mean, "replacement": replacement, "members": members,
                          "correct": correct, "refused": refused})  # fmt: skip
            growing.advance(1, f"{mean}: {' + '.join(keys[place] for place in members)}")
    return found


def start_of(ensemble: dict) -> dict:
    """Give the ensemble of the base and its best first member, even if that was refused."""
    if len(ensemble["members"]) > 1:
        members, correct = ensemble["members"][:2], ensemble["correct"][:2]
    else:
        members, correct = zip(
            (ensemble["members"][0], ensemble["correct"][0]), ensemble["refused"], strict=True
        )
    return {**ensemble, "members": list(members), "correct": list(correct)}


def describe(ensemble: dict, right: np.ndarray, members: dict[str, dict]) -> list[dict]:
    """Give the table's rows of one ensemble, a row a step.

    Parameters
    ----------
    ensemble : dict
        Of `select`, with `protocol` and the number of `examples` that it was selected by.
    right : ndarray of bool, shape (steps, examples)
        Whether each step is right on the test split.
    members : dict of str to dict
        As for `greedy`.
    """
    keys = list(members)
    base = keys[ensemble["members"][0]]
    rows = []
    for step, place in enumerate(ensemble["members"]):
        member = members[keys[place]]
        low, high = wilson(right[step].sum(), right.shape[1])
        gain, gain_low, gain_high = paired_gain(right[step], right[0])
        rows.append(
            {
                "protocol": ensemble["protocol"],
                "mean": ensemble["mean"],
                "replacement": ensemble["replacement"],
                "base": base,
                "base_name": members[base]["name"],
                "step": step,
                "model": keys[place],
                "name": member["name"],
                "category": member["category"],
                "objective": member["objective"],
                "train_data": member["train_data"],
                "selection_accuracy": ensemble["correct"][step] / ensemble["examples"],
                "accuracy": right[step].mean(),
                "accuracy_low": float(low),
                "accuracy_high": float(high),
                "gain": gain,
                "gain_low": gain_low,
                "gain_high": gain_high,
            }
        )
    return rows


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(greedy, snakemake)
