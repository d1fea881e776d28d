"""What the best model of lower accuracy adds to each strong one, with weights as they are best.

For each strong model, every weaker one of the pool is combined with it on the images to select on,
at equal weights and at smaller ones of its own. The pair that gets most of these images right is
scored on the test images, so that choosing a model and its weight makes nothing look better there.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import softmax

from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.measures.statistics import paired_gain
from workflow.lib.outputs.store import Outputs
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.run.progress import Progress

WEIGHTS = (0.5, 0.4, 0.3, 0.2, 0.1)
"""Of the weaker model, equal ones first; of equally good ones the earlier is taken."""


def weaker(
    *,
    manifest: str,
    calibration: str,
    selected: list[str],
    scored: list[str],
    table: str,
    models: list[str],
    splits: list[str],
    bases: list[str],
    pool: list[str],
    combination: str,
) -> None:
    """Write a table of the best additions.

    Parameters
    ----------
    manifest : str
    calibration : str
        Table of temperatures.
    selected, scored : list of str
        Outputs files on the split to select on and on the one to score, in the order of `models`.
    table : str
        Table to write. `what` is "base" (a row a strong model) or "mean" of them; `weights` is
        "equal" or "chosen"; `base`, `model` and its `weight`; `selection_accuracy` and `accuracy`
        of the two; `gain` above the base alone on the split to score, with Wald's 95 % interval of
        paired differences, of a mean that of each image's mean over the strong models, and its `p`.
    models : list of str
        Keys of the strong models and of the pool.
    splits : list of str
        The split to select on, and the one to score.
    bases, pool : list of str
        Keys of the strong models, and of those to add.
    combination : {'probability', 'logit'}
        What is averaged.
    """
    known = Manifest.read(manifest).splits
    to_select, to_score = (known[split] for split in splits)
    fits = read_table(calibration).set_index("model")["temperature"]
    place = {model: number for number, model in enumerate(models)}

    def values(files: Sequence[str], model: str, split: Split) -> np.ndarray:
        with Outputs(files[place[model]], split) as file:
            logits = file.read("logits").astype(np.float64) / fits[model]
        return softmax(logits, axis=1) if combination == "probability" else logits

    strong = {base: values(selected, base, to_select) for base in bases}
    alone = {base: accuracy(own, to_select) for base, own in strong.items()}
    found: dict[tuple[str, float], tuple[float, str]] = {}
    progress = Progress(len(pool), "models")
    for model in pool:
        own = values(selected, model, to_select)
        own_accuracy = accuracy(own, to_select)
        for base in [base for base in bases if base != model and own_accuracy < alone[base]]:
            for weight in WEIGHTS:
                right = accuracy((1 - weight) * strong[base] + weight * own, to_select)
                if right > found.get((base, weight), (-1.0, ""))[0]:
                    found[base, weight] = right, model
        progress.advance(1, model)
    del strong
    rows, differences = [], {"equal": [], "chosen": []}
    for base in [base for base in bases if (base, WEIGHTS[0]) in found]:
        own = values(scored, base, to_score)
        before = own.argmax(axis=1) == to_score.labels
        best = max(WEIGHTS, key=lambda weight: found[base, weight][0])
        for weights, weight in (("equal", WEIGHTS[0]), ("chosen", best)):
            right_held_out, model = found[base, weight]
            other = values(scored, model, to_score)
            right = ((1 - weight) * own + weight * other).argmax(axis=1) == to_score.labels
            gain, low, high = paired_gain(right, before)
            rows.append(
                {"what": "base", "weights": weights, "base": base, "model": model}
                | {"weight": weight, "selection_accuracy": right_held_out}
                | {"accuracy": right.mean(), "gain": gain, "gain_low": low, "gain_high": high}
            )
            differences[weights].append(right.astype(float) - before)
    for weights, own in differences.items():
        rows.append({"what": "mean", "weights": weights} | mean_gain(np.array(own)))
    write_table(table, pd.DataFrame(rows, columns=COLUMNS))


COLUMNS = ["what", "weights", "base", "model", "weight", "selection_accuracy", "accuracy",
           "gain", "gain_low", "gain_high", "p"]  # fmt: skip


def accuracy(values: np.ndarray, split: Split) -> float:
    """Share of a split's images whose largest value is that of their label."""
    return float((values.argmax(axis=1) == split.labels).mean())


def mean_gain(differences: np.ndarray) -> dict[str, float]:
    """Mean over strong models and images, with its 95 % interval and p over images.

    Parameters
    ----------
    differences : ndarray of float64, shape (strong models, images)
        1 where the ensemble alone is right, -1 where the strong model alone is.
    """
    if not differences.size:
        return {"gain": np.nan, "gain_low": np.nan, "gain_high": np.nan, "p": np.nan}
    by_image = differences.mean(axis=0)
    gain, error = float(by_image.mean()), float(stats.sem(by_image))
    half = float(stats.norm.ppf(0.975)) * error
    p = 2 * float(stats.norm.sf(abs(gain) / error)) if error > 0 else np.nan
    return {"gain": gain, "gain_low": gain - half, "gain_high": gain + half, "p": p}


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(weaker, snakemake)
