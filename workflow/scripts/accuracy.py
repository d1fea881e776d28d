"""Compare the accuracy of public checkpoints on the test split with what is published of them.

A checkpoint that is off was loaded or fed wrongly, so that nothing computed from its logits would
be true: the study ends here.
"""

import logging

import pandas as pd

from workflow.lib.measures.accuracy import allowed_difference
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.run.errors import InputError

log = logging.getLogger("uncorrelated")


def accuracy(
    *,
    correct: str,
    table: str,
    claims: dict[str, dict],
    population: int,
    tolerance: float,
) -> None:
    """Write a table of published and measured accuracies, a row a public checkpoint.

    Parameters
    ----------
    correct : str
        Table of how many images each model gets right, as `calibration` writes it.
    table : str
        Table to write: model, source, checkpoint; top-1 `published` and `measured`, as fractions;
        `images` scored; the `difference`, and how much is `allowed`; the `verdict`, and a `note`.
    claims : dict of str to dict
        See `workflow.lib.measures.accuracy.claims`.
    population : int
        Images that the published accuracies are of.
    tolerance : float

    Raises
    ------
    InputError
        If a model is further off than allowed; it names all that are.
    """
    known = read_table(correct).set_index("model")
    rows = []
    for model, claim in claims.items():
        images, right = (int(known.at[model, name]) for name in ("images", "right"))
        row = {"model": model, **claim, "images": images, "verdict": "none published"}
        if claim["published"] is not None:
            row |= judge(right, claim["published"], images, population, tolerance)
            if not row.pop("judged", True):
                row["verdict"] = "not judged"
        rows.append(row)
        log.info("%s (%s): %s", model, claim["checkpoint"], row["verdict"])
    columns = ["model", "source", "checkpoint", "published", "measured", "images", "difference",
               "allowed", "verdict", "note"]  # fmt: skip
    found = pd.DataFrame(rows, columns=columns)
    wrong = found[found["verdict"] == "differs"]
    if len(wrong):
        raise InputError(explain(wrong, bool((found["verdict"] == "agrees").any())))
    write_table(table, found, float_format="%.5f")


def judge(
    correct: int, published: float, examples: int, population: int, tolerance: float
) -> dict[str, float | str]:
    """Compare a measured accuracy with a published one."""
    measured = correct / examples
    allowed = allowed_difference(published, examples, population, tolerance)
    difference = measured - published
    # Rounding must not decide at the very edge.
    verdict = "agrees" if abs(difference) <= allowed + 1e-9 else "differs"
    return {"measured": measured, "difference": difference, "allowed": allowed, "verdict": verdict}


def explain(wrong: pd.DataFrame, others_agree: bool) -> str:
    """Say which models are off, by how much, and what to look at."""
    lines = [
        f"{row.model} ({row.source}: {row.checkpoint}) has an accuracy of {row.measured:.4f} on "
        f"{row.images} test images, but {row.published:.4f} is published, and a difference of "
        f"{row.allowed:.4f} is allowed{f' ({row.note})' if row.note else ''}"
        for row in wrong.itertuples()
    ]
    labels = (
        "the labels and the order of the classes are right, since other models agree"
        if others_agree
        else "whether the test images are ImageNet's validation images with their labels, and the "
        "classes in ImageNet's order, which nothing confirms here"
    )
    return (
        f"{'; '.join(lines)}. Look at: its preprocessing (size, crop, interpolation, mean and std "
        f"of `input`); whether its weights are those of that name (`sha256`, and a `checkpoint` of "
        f"your own); {labels}. If the number is right as it is, raise accuracy_tolerance in the "
        f"study's file, or leave the model out"
    )


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(accuracy, snakemake)
