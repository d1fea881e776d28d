"""What each model adds to another: nats of likelihood, beside how differently the two err.

The better of the two models, by its likelihood on the calibration images, is set against their
weighted logits. The difference on the test images says whether the other one knows something that
the better one does not, also where no answer changes; the likelihood ratio tests it on the images
that the weights were fitted on.
"""

import re

import pandas as pd

from workflow.lib.ensembles.listed import JOIN
from workflow.lib.outputs.tables import read_table, write_table


def added(
    *, weights: str, scores: str, models: str, pairs: str, table: str, figure: str, base: str
) -> None:
    """Write a table of what each model adds, and the one that a figure draws.

    Parameters
    ----------
    weights, scores : str
        What `weights` fitted, and `scores` found.
    models, pairs : str
        Tables of models and of pairs.
    table : str
        Table to write, a row a model and `reference`: the "base", or the "best" single model by
        calibration likelihood, whose key is `with`. `added` are nats, with their interval of paired
        differences; `best_member` is which of the two is the better one; `likelihood_ratio`, `p`
        and whether the weights' fit `converged`.
    figure : str
        Table to write: of the main models and the reference "base", `added` in thousandths of a nat
        against `error_inconsistency` with the base, each with its interval.
    base : str
        Key of the base.
    """
    fitted = read_table(weights)
    known = read_table(models)
    nll = fitted[fitted["kind"] == "single"].set_index("models")["nll_best"]
    weighted = read_table(scores).query("combination == 'weighted' and score == 'nll'")
    found = weighted.assign(pair=weighted["models"].map(pair_of)).drop_duplicates("pair")
    found = found[found["pair"].str.count(re.escape(JOIN)) == 1].set_index("pair")
    tests = fitted.assign(pair=fitted["models"].map(pair_of)).drop_duplicates("pair")
    tests = tests.set_index("pair")
    rows = []
    for reference, other in (("base", base), ("best", nll.idxmin())):
        for model in known["model"]:
            pair = JOIN.join(sorted([model, other]))
            if model == other or pair not in found.index:
                continue
            own, test = found.loc[pair], tests.loc[pair]
            rows.append(
                {
                    "model": model,
                    "reference": reference,
                    "with": other,
                    "best_member": own["best_member"],
                    "added": -own["difference"],
                    "added_low": -own["difference_high"],
                    "added_high": -own["difference_low"],
                    "likelihood_ratio": test["likelihood_ratio"],
                    "p": test["p"],
                    "converged": test["converged"],
                }
            )
    columns = ["model", "reference", "with", "best_member", "added", "added_low", "added_high",
               "likelihood_ratio", "p", "converged"]  # fmt: skip
    result = pd.DataFrame(rows, columns=columns)
    write_table(table, result)
    write_table(figure, beside(result, known, read_table(pairs)))


def pair_of(models: str) -> str:
    """Keys of an ensemble, in alphabetical order."""
    return JOIN.join(sorted(models.split(JOIN)))


def beside(added: pd.DataFrame, models: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Put what the main models add to the base beside their error inconsistency with it."""
    rows = pairs[pairs["with_base"] & pairs["main"]].drop_duplicates(["model_1", "model_2"])
    other = rows["model_1"].where(rows["category_2"] == "base", rows["model_2"])
    columns = [f"error_inconsistency{end}" for end in ("", "_low", "_high")]
    own = added[added["reference"] == "base"].set_index("model")
    table = rows[columns].assign(model=other).reset_index(drop=True)
    named = models.set_index("model")
    table["name"], table["category"] = (table["model"].map(named[c]) for c in ("name", "category"))
    for end in ("", "_low", "_high"):
        table[f"added{end}"] = 1000 * table["model"].map(own[f"added{end}"])
    table["p"] = table["model"].map(own["p"])
    table["better"] = table["model"] == table["model"].map(own["best_member"])
    return table


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(added, snakemake)
