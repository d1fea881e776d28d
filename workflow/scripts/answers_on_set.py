"""Read what models answer on a further test set, and count what each pair has in common there."""

import numpy as np

from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.ensembles.answers import count_pairs
from workflow.lib.ensembles.counts import write_counts
from workflow.lib.ensembles.logits import accepted_of
from workflow.lib.outputs.answers import AnswersFile
from workflow.lib.outputs.arrays import read_arrays, write_arrays

NONE = "none"  # how temperatures of 1 are named


def answers_on_set(
    *,
    study: str,
    manifest: str,
    own: str,
    counts: str,
    answers: str,
    clean_counts: str,
    models: dict[str, str],
    file: str | None,
    combination: str,
) -> None:
    """Write counts of pairs there and on the images beside it, and answers there.

    Parameters
    ----------
    study, manifest : str
        Manifests of the study, and of the test set.
    own : str
        Answers on the study's test images.
    counts, clean_counts : str
        Files to write: see `write_counts`, without temperatures.
    answers : str
        File to write, as `counts_on_set` does.
    models : dict of str to str
        Of each model that has answers there, its name in the file.
    file : str or None
        Of answers; None if only the labels are others.
    combination : str
        How the combination of two is called.
    """
    dataset, splits = Manifest.read(study), Manifest.read(manifest).splits
    test, beside = splits["test"], splits["clean"]
    known = read_arrays(own)
    rows = [known["models"].tolist().index(key) for key in models]
    top, sure = known["top"][rows], np.exp(known["log_confidence"][rows])
    places = {example: n for n, example in enumerate(dataset.splits["test"].ids.tolist())}

    def at(split: Split) -> list[int]:
        return [places[example] for example in split.ids.tolist()]

    clean = at(beside)
    right = top[:, clean] == beside.labels
    found = count_pairs(right, top[:, clean], sure[:, clean], combination)
    write_counts(clean_counts, list(models), {NONE: found})
    if file is None:
        here = at(test)
        top, sure = top[:, here], sure[:, here]
    else:
        source = AnswersFile(file)
        every = [source.of(name, {"test": test}, "test", dataset.classes)
                 for name in models.values()]  # fmt: skip
        top = np.stack([each.top for each in every])
        unknown = np.full(len(test.ids), np.nan)
        sure = np.stack([unknown if a.confidence is None else a.confidence for a in every])
    # No answer is -1, as is no further label.
    right = ((top[..., None] == accepted_of(test)) & (top >= 0)[..., None]).any(axis=-1)
    write_counts(counts, list(models), {NONE: count_pairs(right, top, sure, combination)})
    with np.errstate(divide="ignore"):
        write_arrays(answers, models=list(models), top=top, right=right, right_of_all=right,
                     log_confidence=np.log(sure))  # fmt: skip


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(answers_on_set, snakemake)
