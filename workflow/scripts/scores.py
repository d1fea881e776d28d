"""Score every ensemble under every combination, on images that nothing was fitted on.

Beside each score stands its difference from that of the best member, the one with the least
negative log-likelihood on the split that everything was fitted on; and of likelihood and Brier
score the mean of the members', which is the ensemble's plus what its members' diversity takes off.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from workflow.lib.data.manifest import Manifest
from workflow.lib.ensembles.dense import KINDS
from workflow.lib.ensembles.listed import JOIN
from workflow.lib.ensembles.logits import Logits
from workflow.lib.ensembles.scores import COMBINATIONS, OF_ENSEMBLES, confident, score_all
from workflow.lib.ensembles.whole import Combined, combine
from workflow.lib.measures.statistics import wilson
from workflow.lib.measures.uncertainty import (
    GROUPS,
    groups,
    jackknife,
    risk_by_coverage,
)
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.run.progress import Progress

POINTS = 200  # of a curve
LOSSES = ("nll", "brier")


def scores(
    *,
    manifest: str,
    calibration: str,
    weights: str,
    recommended: str,
    outputs: list[str],
    table: str,
    risks: str,
    models: list[str],
    split: str,
    threads: int,
    held: str | Sequence[str] = (),
    name: str | None = None,
) -> None:
    """Write a table of scores, and one of risk by coverage.

    Parameters
    ----------
    manifest : str
    calibration : str
        Table of temperatures.
    weights : str
        What `weights` fitted.
    recommended : str
        What `selection` found.
    outputs : list of str
        Outputs files of the models on the split.
    table : str
        Table to write: a row an ensemble (`models`, `kind`, `name`), `combination`, `test` set and
        `score` of `OF_ENSEMBLES`, with its `value` and the interval of `jackknife` (Wilson's of an
        accuracy). `difference` is that from `best_member`, with its interval of paired differences;
        `members` the mean score of the members, and `diversity` what it is above the value, where
        there is an exact decomposition. `converged` says whether the weights' fit did. A single
        model has the combination "single".
    risks : str
        Table to write: `risk` by `coverage` of the best single model, pair and triple, by the
        combination that they are selected by (`selected_by`), each under the one to take.
    models : list of str
    split : str
    threads : int
    held : str, optional
        Manifest whose split the outputs files are of, where these hold more images.
    name : str, optional
        Of the test set; by default, that of the split.
    """
    examples = Manifest.read(manifest).splits[split]
    whole = Manifest.read(held).splits[split] if isinstance(held, str) else None
    temperatures = read_table(calibration).set_index("model")["temperature"][models]
    fitted = read_table(weights)
    place = {key: number for number, key in enumerate(models)}
    fitted = fitted[[place.keys() >= {*own.split(JOIN)} for own in fitted["models"]]]
    fitted = fitted.reset_index(drop=True)
    ensembles = [tuple(place[key] for key in own.split(JOIN)) for own in fitted["models"]]
    values = [np.array(own.split(), np.float64) for own in fitted["weights"].astype(str)]
    group = groups(len(examples.labels))
    first = read_table(recommended).query("rank == 1")
    number = {name: e for e, name in enumerate(fitted["models"])}
    shown = sorted({number[name] for name in first["models"] if name in number})
    parts = cut(len(ensembles), len(examples.labels))
    progress = Progress(len(examples.labels) * len(parts), "images")
    found = np.empty((len(ensembles), len(COMBINATIONS), len(OF_ENSEMBLES), 1 + GROUPS))
    kept: dict[int, list[np.ndarray]] = {}  # of those whose curves are drawn
    with Logits.open(outputs, examples, temperatures.to_numpy(), models, whole) as logits:
        for part in parts:
            own, fits = [ensembles[e] for e in part], [values[e] for e in part]
            combined = combine(
                logits, own, fits, group, GROUPS, threads=threads, progress=progress.advance
            )
            found[part] = score_all(combined, group, logits, threads=threads)
            alone = combined.alone
            arrays = combined.right, combined.log_confidence, combined.losses
            for row, e in enumerate(part.tolist()):
                if e in shown:
                    kept[e] = [array[row].copy() for array in arrays]
            del combined, arrays
    rows = describe(fitted, ensembles, found, len(examples.labels), place)
    if examples.also is not None:  # of several right labels, none is the one to be likely
        rows = rows[~rows["score"].isin(LOSSES)]
    write_table(table, rows.assign(test=name or split)[ORDER], float_format="%.9g")
    drawn = pd.DataFrame(columns=CURVES)
    if shown:
        best = [np.stack(parts) for parts in zip(*(kept[e] for e in shown), strict=True)]
        together = Combined([ensembles[e] for e in shown], alone, *best)
        drawn = curves(fitted, shown, together, first)
    write_table(risks, drawn)


MEMORY = 600_000_000  # bytes of answers at a time


def cut(ensembles: int, examples: int) -> list[np.ndarray]:
    """Cut ensembles into parts whose answers fit into `MEMORY`; each is a pass over the logits."""
    each = len(KINDS) * examples * 5  # a confidence of four bytes, and whether it is right
    return np.array_split(np.arange(ensembles), max(1, -(-ensembles * each // MEMORY)))


CURVES = ["selected_by", "kind", "models", "combination", "coverage", "risk"]
ORDER = ["models", "kind", "name", "combination", "test", "score", "value", "low", "high",
         "best_member", "difference", "difference_low", "difference_high", "members", "diversity",
         "converged"]  # fmt: skip


def describe(
    fitted: pd.DataFrame,
    ensembles: list[tuple[int, ...]],
    found: np.ndarray,
    examples: int,
    place: dict[str, int],
) -> pd.DataFrame:
    """Give a row a score that there is.

    Parameters
    ----------
    fitted : DataFrame
        As `weights` writes it.
    ensembles : list of tuple of int
    found : ndarray of float64, shape (ensembles, combinations, scores, 1 + GROUPS)
    examples : int
    place : dict of str to int
        Numbers of the models by their keys.
    """
    single = {own[0]: number for number, own in enumerate(ensembles) if len(own) == 1}
    alone = found[[single[number] for number in range(len(place))], 0]  # (models, scores, …)
    best = np.array([place[key] for key in fitted["best_member"]])
    low, high = jackknife(found)
    accuracy = list(OF_ENSEMBLES).index("accuracy")
    right = found[:, :, accuracy, 0] * examples
    low[:, :, accuracy], high[:, :, accuracy] = wilson(right, np.full(right.shape, examples))
    difference = found - alone[best][:, None]
    difference_low, difference_high = jackknife(difference)
    members = np.stack([alone[list(own), :, 0].mean(axis=0) for own in ensembles])
    decomposed = np.zeros(found.shape[1:3], bool)
    decomposed[:2, [list(OF_ENSEMBLES).index(name) for name in ("nll", "brier")]] = True
    members = np.where(decomposed, members[:, None], np.nan)

    sizes = np.array([len(own) for own in ensembles])
    there = ~np.isnan(found[..., 0])
    there[sizes == 1, 1:] = False
    e, c, s = np.nonzero(there)
    names = np.array([*COMBINATIONS, "single"])
    one = sizes[e] == 1
    rows = fitted[["models", "kind", "name", "best_member", "converged"]].iloc[e]
    rows = rows.reset_index(drop=True)
    rows["combination"] = np.where(one, "single", names[c])
    rows["score"] = np.array(list(OF_ENSEMBLES))[s]
    # Only the weighted logits depend on the fit of the weights.
    rows["converged"] = rows["converged"] | (~one & (c != KINDS.index("weighted")))
    for name, values in (
        ("value", found[..., 0]),
        ("low", low),
        ("high", high),
        ("difference", difference[..., 0]),
        ("difference_low", difference_low),
        ("difference_high", difference_high),
        ("members", members),
        ("diversity", members - found[..., 0]),
    ):
        rows[name] = values[e, c, s]
    rows.loc[one, ["difference_low", "difference_high", "members", "diversity"]] = np.nan
    return rows


def curves(
    fitted: pd.DataFrame, shown: list[int], combined: Combined, first: pd.DataFrame
) -> pd.DataFrame:
    """Risk by coverage of the best single model, pair and triple.

    Parameters
    ----------
    fitted : DataFrame
        As `weights` writes it.
    shown : list of int
        Its rows that `combined` is of.
    combined : Combined
    first : DataFrame
        Of `selection`, the first of each size.
    """
    rows = []
    number = {fitted["models"][row]: e for e, row in enumerate(shown)}
    for best in first.itertuples():
        e = number.get(best.models)
        if e is None:
            continue
        kind = "single" if best.size == 1 else fitted["combination"][shown[e]]
        if kind in KINDS:
            own = (
                combined.log_confidence[e, KINDS.index(kind)],
                combined.right[e, KINDS.index(kind)],
            )
        else:
            chosen = confident(combined.alone, combined.ensembles[e])
            here = chosen, np.arange(len(chosen))
            own = combined.alone.log_confidence[here], combined.alone.right[here]
        risk = risk_by_coverage(*own)
        counts = np.unique(np.linspace(1, len(risk), POINTS).round().astype(int))
        rows.append(
            pd.DataFrame(
                {
                    "selected_by": best.combination,
                    "kind": fitted["kind"][shown[e]],
                    "models": best.models,
                    "combination": kind,
                    "coverage": counts / len(risk),
                    "risk": risk[counts - 1],
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(scores, snakemake)
