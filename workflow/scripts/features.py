"""Fit linear probes to a model's features combined with the base's, and to both compressed.

Probes learn from one split, choose their regularisation on a part of it that is held out, and are
scored on the test split. Features are combined at random, by share, with several seeds; and
compressed to the first dimensions by each statistic and in each direction.
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
    base: str,
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
        Outputs files of the base and of the model, on `data` and on the test split.
    table : str
        Table to write. `what` is "share" or "compression"; with `share` and `seed`, or with
        `statistic` and `direction`; the dimensions kept of the base and of the model; `l2`,
        `loss` and `converged` of the probe; its test accuracy with Wilson's 95 % interval.
    right : str
        File to write, .npz: `right`, bool, (probes, images): what the probes of a share get right
        of the test images, in the order of the table; and `share`, (probes,).
    base, model : str
        Keys of the two models.
    data : str
        Split to learn from.
    shares : list of float
        Per cent of the base's features.
    seeds : int
        Draws for each share that leaves a choice.
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
        to_learn = _side_by_side(learnt, splits[data], device, files)
        to_score = _side_by_side(scored, splits["test"], device, files)
        first, second = (part.shape[1] for part in to_learn.parts)
        # Where all features take a small part of the memory, probes have room beside them; else
        # each probe takes from the files what it needs.
        to_learn, to_score = to_learn.in_memory(share=1 / 7), to_score.in_memory(share=1 / 7)
        if dimensions and min(dimensions) > first + second:
            raise InputError(
                f"features.dimensions: the smallest is {min(dimensions)}, but {base} and {model} "
                f"have {first + second} dimensions together; give smaller ones"
            )
        plan = _plan(to_learn, first, second, shares, range(seed, seed + seeds), dimensions)
        progress = Progress(len(plan), "probes")
        for how, columns in plan:
            probe = probes.fit(
                to_learn[:, columns], labels, len(whole.classes), regularisation,
                name=f"the probe of {base} and {model}, {', '.join(map(str, how.values()))}",
            )  # fmt: skip
            own = (probe.predict(to_score[:, columns]) == truth).cpu().numpy()
            correct = int(own.sum())
            low, high = wilson(correct, len(truth))
            if how["what"] == "share":
                answers.append((how["share"], own))
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
    kept, known = zip(*answers, strict=True) if answers else ((), np.empty((0, len(truth)), bool))
    write_arrays(right, share=np.array(kept, np.float64), right=np.array(known))


COLUMNS = ["base", "model", "what", "share", "seed", "statistic", "direction", "dimensions",
           "dimensions_base", "dimensions_model", "l2", "loss", "converged", "accuracy",
           "accuracy_low", "accuracy_high"]  # fmt: skip


def _plan(learnt, first, second, shares, seeds, dimensions) -> list[tuple[dict, np.ndarray]]:
    """Say of each probe how its columns were chosen, and which they are."""
    plan = []
    for share in shares:
        draws = {}
        for seed in seeds:
            columns = combine(first, second, share, np.random.default_rng(seed))
            draws.setdefault(columns.tobytes(), (seed, columns))  # alone, the base leaves no choice
        plan += [({"what": "share", "share": share, "seed": s}, c) for s, c in draws.values()]
    covariances = logistic.covariances(learnt)
    for statistic in STATISTICS:
        for direction in DIRECTIONS:
            order = rank_dimensions(covariances, statistic, direction)
            how = {"what": "compression", "statistic": statistic, "direction": direction}
            plan += [(how, np.sort(order[:k])) for k in sorted(dimensions) if k <= len(order)]
    return plan


def _side_by_side(paths, split, device, files) -> streamed.Streamed:
    """Features of two models on a split, checked; their files stay open."""
    parts = []
    for path in paths:
        file = files.enter_context(Outputs(path, split))
        for _ in file.blocks("features"):
            pass
        parts.append(file.features)
    return streamed.Streamed(parts, device)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(features, snakemake)
