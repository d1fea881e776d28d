"""Fit weights of calibrated logits, and choose the combination of each ensemble, on one split.

Nothing else is fitted for any combination but the temperatures. Which combination to take is chosen
by the negative log-likelihood on images that its numbers were not fitted on, fold by fold, since
they have more or less freedom to fit. By the likelihood, too, a second model is tested: whether the
best member's calibrated logits alone explain the labels as well as both members' do.
"""

import logging

import numpy as np
import pandas as pd
from scipy.stats import chi2

from workflow.lib.data.manifest import Manifest
from workflow.lib.ensembles.listed import JOIN, cross_fit, folds_of, gather
from workflow.lib.ensembles.logits import Logits
from workflow.lib.ensembles.scores import LIKELY
from workflow.lib.ensembles.whole import fit_weights
from workflow.lib.outputs.tables import read_table, write_table

log = logging.getLogger("uncorrelated")


def weights(
    *,
    manifest: str,
    calibration: str,
    recommended: str,
    greedy: str,
    outputs: list[str],
    table: str,
    models: list[str],
    named: dict[str, list[str]],
    split: str,
    threads: int,
) -> None:
    """Write a table of ensembles, a row each.

    Parameters
    ----------
    manifest : str
    calibration : str
        Table of temperatures and likelihoods.
    recommended, greedy : str
        What `selection` found.
    outputs : list of str
        Outputs files of the models on the split.
    table : str
        Table to write: `models`, `kind`, `name` (of a named one), `weights` of the calibrated
        logits in the order of `models`, `converged`, `best_member` (the one of the least `nll_best`
        on the split), `nll_weighted`, and of pairs `likelihood_ratio` with its `p` (half of the
        chi-squared distribution's with one degree of freedom: the second weight is not negative).
        Of all but pairs that are nothing more `cross_<combination>`, the cross-fitted negative
        log-likelihood, and `combination`, the one with the least.
    models : list of str
        Keys of all models.
    named : dict of str to list of str
        Ensembles that the study names.
    split : str
    threads : int
    """
    examples = Manifest.read(manifest).splits[split]
    fits = read_table(calibration).set_index("model").loc[models]
    listed = gather(models, read_table(recommended), read_table(greedy), named)
    groups = [own.members for own in listed]
    with Logits.open(outputs, examples, fits["temperature"].to_numpy(), models) as logits:
        several = [place for place, own in enumerate(groups) if len(own) > 1]
        fitted = fit_weights(logits, [groups[place] for place in several], threads=threads)
        chosen = [place for place in several if listed[place].chosen]
        folds = folds_of(examples.labels)
        crossed = cross_fit(logits, [groups[place] for place in chosen], folds, threads=threads)
    for place, fine in zip(several, fitted.converged, strict=True):
        if not fine and listed[place].chosen:
            names = JOIN.join(models[m] for m in groups[place])
            log.warning("%s: the fit of its weights did not converge; use more images", names)
    nll = fits["nll_after"].to_numpy()
    best = [min(own, key=nll.__getitem__) for own in groups]
    rows = pd.DataFrame(
        {
            "models": [JOIN.join(models[m] for m in own) for own in groups],
            "kind": [own.kind for own in listed],
            "name": [own.name for own in listed],
            "weights": "1",
            "converged": fits["converged"].to_numpy()[best],
            "best_member": [models[m] for m in best],
            "nll_best": nll[best],
            "nll_weighted": nll[best],
        }
    )
    rows.loc[several, "weights"] = [
        " ".join(f"{value:.9g}" for value in own) for own in fitted.values
    ]
    rows.loc[several, "converged"] = fitted.converged
    rows.loc[several, "nll_weighted"] = fitted.nll
    ratio = 2 * len(examples.labels) * (rows["nll_best"] - rows["nll_weighted"]).clip(lower=0)
    pair = np.array([len(own) == 2 for own in groups])
    rows["likelihood_ratio"] = ratio.where(pair)
    rows["p"] = np.where(pair, np.where(ratio > 0, chi2.sf(ratio, 1) / 2, 1.0), np.nan)
    for place, name in enumerate(LIKELY):
        rows.loc[chosen, f"cross_{name}"] = crossed[:, place]
    rows["combination"] = ""
    rows.loc[chosen, "combination"] = [LIKELY[place] for place in crossed.argmin(axis=1)]
    write_table(table, rows)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(weights, snakemake)
