"""Fit linear probes to a model's features on a multi-label task, alone and beside other models'.

Every class is a task of its own with its own regularisation, chosen on the validation split; the
probe then learns from training and validation images together and is scored on the test split, by
the 11-point average precision of Pascal VOC 2007 and its mean over classes.
"""

import logging

import numpy as np
import pandas as pd
import torch
from scipy.stats import norm

from workflow.lib.data.manifest import Manifest
from workflow.lib.measures.average_precision import (
    average_precision,
    interpolated,
    mean_average_precision,
)
from workflow.lib.outputs.store import Outputs
from workflow.lib.outputs.tables import write_table
from workflow.lib.probes import fit as probes
from workflow.lib.run.progress import Progress

log = logging.getLogger("uncorrelated")

SPLITS = ("train", "val", "test")
RESAMPLES = 200


def downstream(
    *,
    tasks: str,
    train: list[str],
    val: list[str],
    test: list[str],
    table: str,
    models: list[str],
    regularisation: list[float],
    threads: int,
) -> None:
    """Write a table of average precisions, a row for each task and their mean.

    Parameters
    ----------
    tasks : str
        Manifest of the multi-label dataset.
    train, val, test : list of str
        Outputs files of each model on the training, validation and test split.
    table : str
        Table to write: `model_1`; `model_2`, empty for the first model alone; `what` is "task" or
        "mean", of all tasks; `task`; `average_precision`, of the mean with its 95 % interval over
        test images; `l2` and `converged` of the probe, of the mean whether all did.
    models : list of str
        Keys: the model, then those to put beside it one at a time.
    regularisation : list of float
    threads : int
    """
    torch.set_num_threads(threads)
    manifest = Manifest.read(tasks)
    features = {}
    for model, *paths in zip(models, train, val, test, strict=True):
        parts = []
        for split, path in zip(SPLITS, paths, strict=True):
            with Outputs(path, manifest.splits[split]) as file:
                parts.append(file.read("features"))
        features[model] = parts
    labels = [manifest.splits[split].labels for split in SPLITS]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    known = torch.from_numpy(np.concatenate(labels[:2])).to(device)
    held_out = torch.arange(len(known), device=device) >= len(labels[0])

    first, rows = models[0], []
    progress = Progress(len(models), "sets of features")
    for second in [None, *models[1:]]:
        members = [model for model in (first, second) if model]
        parts = [np.concatenate([features[m][i] for m in members], axis=1) for i in range(3)]
        learnt = torch.from_numpy(np.concatenate(parts[:2])).to(device)
        fitted = probes.fit_tasks(
            learnt, known, held_out, average_precision, regularisation,
            names=manifest.classes, name=f"the probe of {' and '.join(members)}",
        )  # fmt: skip
        scored = torch.from_numpy(parts[2]).to(device)
        scores = torch.cat([probe(scored) for probe in fitted], dim=1).cpu().numpy()
        precisions, mean = mean_average_precision(scores, labels[2])
        low, high = resampled_interval(scores, labels[2])
        pair = {"model_1": first, "model_2": second, "dimensions": parts[2].shape[1]}
        for name, precision, probe in zip(manifest.classes, precisions, fitted, strict=True):
            own = {"what": "task", "task": name, "l2": probe.l2, "converged": probe.converged}
            rows.append(pair | own | {"average_precision": precision})
        rows.append(pair | {"what": "mean", "average_precision": mean,
                            "average_precision_low": low, "average_precision_high": high,
                            "converged": all(probe.converged for probe in fitted)})  # fmt: skip
        progress.advance(1, f"{' + '.join(members)}: mAP {100 * mean:.2f} %", now=True)
    columns = ["model_1", "model_2", "what", "task", "dimensions", "average_precision",
               "average_precision_low", "average_precision_high", "l2", "converged"]  # fmt: skip
    write_table(table, pd.DataFrame(rows, columns=columns))


def resampled_interval(scores: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """95 % normal interval of the mean average precision, by its spread over bootstrap samples.

    Percentiles would lie too high: an image that is drawn twice ranks beside itself.

    Parameters
    ----------
    scores : ndarray of float, shape (images, tasks)
    labels : ndarray of int, shape (images, tasks)

    Returns
    -------
    low, high : float
        The same images are drawn for every model, since the seed is fixed. A sample without a
        positive of some task is left out.
    """
    rng = np.random.default_rng(0)
    # Ranked once: an image drawn twice ranks beside itself, so it only counts twice.
    ranks = np.argsort(-scores, axis=0, kind="stable")
    shown, absent = (np.take_along_axis(side, ranks, axis=0) for side in (labels > 0, labels < 0))
    means = []
    for _ in range(RESAMPLES):
        drawn = rng.integers(0, len(labels), len(labels))
        times = np.bincount(drawn, minlength=len(labels))[ranks]
        right, wrong = np.cumsum(times * shown, axis=0), np.cumsum(times * absent, axis=0)
        if right[-1].all():
            pairs = zip(right.T, wrong.T, strict=True)
            means.append(np.mean([interpolated(*pair) for pair in pairs]))
    _, mean = mean_average_precision(scores, labels)
    half = norm.ppf(0.975) * np.std(means, ddof=1) if len(means) > 1 else np.nan
    low, high = np.clip([mean - half, mean + half], 0, 1)
    return float(low), float(high)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(downstream, snakemake)
