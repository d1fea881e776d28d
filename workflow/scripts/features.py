"""Fit linear probes to a model's features combined with the base's, and to both compressed.

Probes learn from one split, choose their regularisation on a part of it that is held out, and are
scored on the test split. Features are combined at random, by share, with several seeds; and
compressed to the first dimensions by each statistic and in each direction.
"""

import logging

import numpy as np
import pandas as pd
import torch

from workflow.lib import probes
from workflow.lib.datasets import Manifest
from workflow.lib.features import DIRECTIONS, STATISTICS, combine, rank_dimensions
from workflow.lib.jobs import Progress, replacing
from workflow.lib.metrics import wilson
from workflow.lib.outputs import Outputs

log = logging.getLogger("uncorrelated")


def features(
    *,
    manifest: str,
    outputs: list[str],
    table: str,
    base: str,
    model: str,
    data: str,
    shares: list[float],
    seeds: int,
    dimensions: list[int],
    regularisation: list[float],
    threads: int,
) -> None:
    """Write a table of probes, a row each.

    Parameters
    ----------
    manifest : str
    outputs : list of str
        Outputs files of the base on `data` and on the test split, then those of the model.
    table : str
        Table to write. `what` is "share" or "compression"; with `share` and `seed`, or with
        `statistic` and `direction`; the dimensions kept of the base and of the model; `l2`,
        `loss` and `converged` of the probe; its test accuracy with Wilson's 95 % interval.
    base, model : str
        Keys of the two models.
    data : str
        Split to learn from.
    shares : list of float
        Per cent of the base's features.
    seeds : int
        Draws for each share that leaves a choice.
    dimensions : list of int
        Numbers of dimensions to compress to; those above what there is are left out.
    regularisation : list of float
    threads : int
    """
    torch.set_num_threads(threads)
    whole = Manifest.read(manifest)
    classes, splits = len(whole.classes), whole.splits
    learnt, labels = _side_by_side(outputs[0::2], splits[data])
    scored, truth = _side_by_side(outputs[1::2], splits["test"])
    first, second = (part.shape[1] for part in learnt)
    learnt, scored = np.concatenate(learnt, axis=1), np.concatenate(scored, axis=1)

    plan = []
    for share in shares:
        draws = {}
        for seed in range(seeds):
            columns = combine(first, second, share, np.random.default_rng(seed))
            draws.setdefault(columns.tobytes(), (seed, columns))  # alone, the base leaves no choice
        plan += [({"what": "share", "share": share, "seed": s}, c) for s, c in draws.values()]
    for statistic in STATISTICS:
        for direction in DIRECTIONS:
            order = rank_dimensions(learnt, statistic, direction)
            how = {"what": "compression", "statistic": statistic, "direction": direction}
            plan += [(how, np.sort(order[:k])) for k in sorted(dimensions) if k <= len(order)]

    rows = []
    progress = Progress(len(plan), "probes")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tensors = torch.from_numpy(learnt).double().to(device), torch.from_numpy(labels).to(device)
    questions = torch.from_numpy(scored).to(device)
    for how, columns in plan:
        probe = probes.fit(
            tensors[0][:, columns], tensors[1], classes, regularisation,
            name=f"the probe of {base} and {model}, {', '.join(map(str, how.values()))}",
        )  # fmt: skip
        answers = probe(questions[:, columns]).argmax(1).cpu().numpy()
        right = int((answers == truth).sum())
        low, high = wilson(right, len(truth))
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
                "accuracy": right / len(truth),
                "accuracy_low": float(low),
                "accuracy_high": float(high),
            }
        )
        progress.advance(1)
    with replacing(table) as part:
        pd.DataFrame(rows, columns=COLUMNS).to_csv(part, sep="\t", index=False)


COLUMNS = ["base", "model", "what", "share", "seed", "statistic", "direction", "dimensions",
           "dimensions_base", "dimensions_model", "l2", "loss", "converged", "accuracy",
           "accuracy_low", "accuracy_high"]  # fmt: skip


def _side_by_side(paths: list[str], split) -> tuple[list[np.ndarray], np.ndarray]:
    """Features of two models on a split, and its labels."""
    parts = []
    for path in paths:
        with Outputs(path, split) as file:
            parts.append(file.read("features"))
    return parts, split.labels


if "snakemake" in globals():
    from workflow.lib.jobs import run_script

    run_script(features, snakemake)  # noqa: F821
