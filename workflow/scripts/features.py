"""Fit linear probes to a model's features combined with a base's, and to both compressed.

Probes learn from one split, choose their regularisation on a part of it that is held out, and are
scored on the test split. Features are combined at random, by share, with several seeds, where
several bases take turns; and with the first base's compressed to the first dimensions by each
statistic and in each direction.
"""

import contextlib
import logging

import numpy as np
import pandas as pd
import torch

from workflow.lib.data.manifest import Manifest
from workflow.lib.measures.statistics import wilson
from workflow.lib.outputs.arrays import write_arrays
from workflow.lib.outputs.store import Outputs
from workflow.lib.outputs.tables import write_table
from workflow.lib.probes import fit as probes
from workflow.lib.probes import logistic, streamed
from workflow.lib.probes.dimensions import DIRECTIONS, STATISTICS, combine, rank_dimensions
from workflow.lib.run.errors import InputError
from workflow.lib.run.progress import Progress

log = logging.getLogger("uncorrelated")


def features(
    *,
    manifest: str,
    learnt: list[str],
    scored: list[str],
    table: str,
    right: str,
    bases: list[str],
    model: str,
    data: str,
    shares: list[float],
    seeds: int,
    seed: int,
    dimensions: list[int],
    regularisation: list[float],
    threads: int,
) -> None:
    """Write a table of probes, a row each.

    Parameters
    ----------
    manifest : str
    learnt, scored : list of str
        Outputs files of the bases and of the model, on `data` and on the test split.
    table : str
        Table to write: `base` and `model`. `what` is "share" or "compression"; with `share` and
        `seed`, or with
        `statistic` and `direction`; the dimensions kept of the base and of the model; `l2`,
        `loss` and `converged` of the probe; its test accuracy with Wilson's 95 % interval.
    right : str
        File to write, .npz: `right`, bool, (probes, images): what the probes of a share get right
        of the test images, in the order of the table; and `share` and `base`, (probes,).
    bases : list of str
        Keys of the bases, no more than `seeds`: they take turns.
    model : str
    data : str
        Split to learn from.
    shares : list of float
        Per cent of the base's features.
    seeds : int
        Draws for each share, of all bases together; a base whose share leaves no choice has one.
    seed : int
        The first of their seeds.
    dimensions : list of int
        Numbers of dimensions to compress to; those above what there is are left out.
    regularisation : list of float
    threads : int
    """
    torch.set_num_threads(threads)
    whole = Manifest.read(manifest)
    splits = whole.splits
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    labels = torch.from_numpy(splits[data].labels).to(device)
    truth = torch.from_numpy(splits["test"].labels).to(device)
    rows, answers = [], []
    with contextlib.ExitStack() as files:
        to_learn, to_score = (
            [_open(path, splits[split], files) for path in paths]
            for paths, split in ((learnt, data), (scored, "test"))
        )
        *firsts, second = (part.shape[1] for part in to_learn)
        if dimensions and min(dimensions) > firsts[0] + second:
            raise InputError(
                f"features.dimensions: the smallest is {min(dimensions)}, but {bases[0]} and "
                f"{model} have {firsts[0] + second} dimensions together; give smaller ones"
            )
        plans = _shares(firsts, second, shares, range(seed, seed + seeds))
        compressions = sum(k <= firsts[0] + second for k in dimensions)
        compressions *= len(STATISTICS) * len(DIRECTIONS)
        progress = Progress(sum(map(len, plans)) + compressions, "probes")
        for place, (base, first) in enumerate(zip(bases, firsts, strict=True)):
            # Where all features take a small part of the memory, probes have room beside them;
            # else each probe takes from the files what it needs.
            learn, score = (
                streamed.Streamed([parts[place], parts[-1]], device).in_memory(share=1 / 7)
                for parts in (to_learn, to_score)
            )
            plan = plans[place] + (_compressions(learn, dimensions) if place == 0 else [])
            for how, columns in plan:
                probe = probes.fit(
                    learn[:, columns], labels, len(whole.classes), regularisation,
                    name=f"the probe of {base} and {model}, {', '.join(map(str, how.values()))}",
                )  # fmt: skip
                own = (probe.predict(score[:, columns]) == truth).cpu().numpy()
                correct = int(own.sum())
                low, high = wilson(correct, len(truth))
                if how["what"] == "share":
                    answers.append((how["share"], base, own))
                rows.append(
                    {"base": base, "model": model}
                    | how
                    | {
                        "dimensions": len(columns),
                        "dimensions_base": int((columns < first).sum()),
                        "dimensions_model": int((columns >= first).sum()),
                        "l2": probe.l2,
                        "loss": probe.loss,
                        "converged": probe.converged,
                        "accuracy": correct / len(truth),
                        "accuracy_low": float(low),
                        "accuracy_high": float(high),
                    }
                )
                progress.advance(1)
    write_table(table, pd.DataFrame(rows, columns=COLUMNS))
    kept, of, known = zip(*answers, strict=True) if answers else ((), (), ())
    write_arrays(
        right,
        share=np.array(kept, np.float64),
        base=np.array(of, str),
        right=np.array(known, bool).reshape(-1, len(truth)),
    )


COLUMNS = ["base", "model", "what", "share", "seed", "statistic", "direction", "dimensions",
           "dimensions_base", "dimensions_model", "l2", "loss", "converged", "accuracy",
           "accuracy_low", "accuracy_high"]  # fmt: skip


def _shares(firsts, second, shares, seeds) -> list[list[tuple[dict, np.ndarray]]]:
    """Say of each base's probes how their columns were chosen, and which they are."""
    plans, alone = [], set()
    for place, first in enumerate(firsts):
        plan = []
        for share in shares:
            draws = {}
            for seed in seeds[place :: len(firsts)]:
                columns = combine(first, second, share, np.random.default_rng(seed))
                draws.setdefault(columns.tobytes(), (seed, columns))  # alone, a base has no choice
            for own, columns in draws.values():
                if columns.min() >= first:  # no base's: not twice
                    if (known := (columns - first).tobytes()) in alone:
                        continue
                    alone.add(known)
                plan.append(({"what": "share", "share": share, "seed": own}, columns))
        plans.append(plan)
    return plans


def _compressions(learnt, dimensions) -> list[tuple[dict, np.ndarray]]:
    """The same of each compression."""
    plan = []
    covariances = logistic.covariances(learnt)
    for statistic in STATISTICS:
        for direction in DIRECTIONS:
            order = rank_dimensions(covariances, statistic, direction)
            how = {"what": "compression", "statistic": statistic, "direction": direction}
            plan += [(how, np.sort(order[:k])) for k in sorted(dimensions) if k <= len(order)]
    return plan


def _open(path, split, files):
    """Features of a model on a split, checked; their file stays open."""
    file = files.enter_context(Outputs(path, split))
    for _ in file.blocks("features"):
        pass
    return file.features


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(features, snakemake)
