"""Set all further test sets side by side: models, what is recommended, and what holds on each."""

import numpy as np
import pandas as pd

from workflow.lib.data.manifest import Manifest
from workflow.lib.measures import claims
from workflow.lib.measures.bases import Compared, X, compare, two_way_mean
from workflow.lib.measures.robustness import effective_robustness, probit_line
from workflow.lib.measures.verdicts import judge
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.study.categories import CATEGORIES

CLEAN = "clean"
LEAST = 3  # main models, below which categories are not compared
QUANTITIES = (X, "improvement")
HOLDS = ["test", "question", "clean", "value", "holds", "p_holm", "evidence"]
NOTHING = pd.DataFrame(columns=["kind", "models", "names", "combination", "test_accuracy"])
NO_SCORES = pd.DataFrame(columns=["models", "combination", "score"])
NO_CASCADES = pd.DataFrame(columns=["models"])
ROWS = ["kind", "models", "names", "category", "combination", "test", "examples", "test_accuracy",
        "clean_accuracy", "accuracy", "accuracy_low", "accuracy_high", "accuracy_of_all",
        "effective_robustness", "slope", "intercept"]  # fmt: skip


def robustness(
    *,
    manifest: str,
    models: str,
    recommended: str | list[str],
    own_scores: str | list[str],
    on_models: list[str],
    on_pairs: list[str],
    clean_pairs: list[str],
    scores: list[str],
    cascades: list[str],
    table: str,
    holds: str,
    shift: str,
    effective: str,
    sets: list[str],
    bases: list[str],
    combination: str,
) -> None:
    """Write what the report says of further test sets.

    Parameters
    ----------
    manifest, models, recommended, own_scores : str
        Of the study: its manifest, models.tsv, recommendations.tsv, scores.tsv.
    on_models, on_pairs, clean_pairs, scores, cascades : list of str
        Tables of each test set, in the order of `sets`; the last two may be none.
    table : str
        Table to write: a row a single model, and the best pair, triple and cascade of those that
        are recommended, with `accuracy` on the study's test images, accuracy_<set> on each test
        set, and the mean of their effective robustness, `effective_gain`.
    holds : str
        Table to write: whether the first two claims of the paper hold on each test set, by the
        tests of the summary, corrected for all of them together; `clean` is the number on the
        images beside it.
    shift : str
        Table to write: mean of each category, over bases and its models, of error inconsistency and
        improvement: on the test images of the study ("clean") and on each test set.
    effective : str
        Table to write: a row a test set and row of `table`, with the `combination` to take.
        `test_accuracy` is that on the study's test images, `clean_accuracy` that on those which the
        test set is compared with, `accuracy_of_all` that among all classes. `effective_robustness`
        is what `accuracy` is above the line of single models at their `test_accuracy`; `slope` and
        `intercept` are those of the line (`probit_line`).
    sets : list of str
    bases : list of str
    combination : str
    """
    known = read_table(models).set_index("model")
    count = len(Manifest.read(manifest).splits["test"].ids)
    best, ensembles = NOTHING, [[NO_SCORES, NO_CASCADES]] * len(sets)
    if isinstance(recommended, str) and isinstance(own_scores, str):
        best = pick(read_table(recommended), read_table(own_scores))
        ensembles = [
            [read_table(own) for own in both] for both in zip(scores, cascades, strict=True)
        ]
    rows, judged, means = [], [], []
    tables = zip(sets, on_models, on_pairs, clean_pairs, ensembles, strict=True)
    for name, *files, (scored, run) in tables:
        on_model, pairs, beside = map(read_table, files)
        rows.append(accuracies(name, on_model, known, best, scored, run, count))
        clean, here = (compare(own, combination, claims.COLUMNS, bases) for own in (beside, pairs))
        means += [category_means(clean, name, CLEAN), category_means(here, name, name)]
        if len(here.models) >= LEAST:
            judged.append((name, clean, here))
    result = pd.concat(rows, ignore_index=True)
    write_table(table, overview(result, sets))
    write_table(effective, result[ROWS])
    write_table(shift, pd.concat(means, ignore_index=True))
    write_table(holds, pd.DataFrame(questions(judged), columns=HOLDS))


def pick(recommended: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Choose the best single model, pair, triple and cascade, with accuracies on the test images.

    Returns
    -------
    DataFrame
        `kind`, `models`, `names`, `combination`, `test_accuracy`.
    """
    found = []
    ensembles = recommended[recommended["kind"] == "ensemble"]
    for size, kind in ((1, "single"), (2, "pair"), (3, "triple")):
        found += [(kind, row) for row in ensembles[ensembles["size"] == size][:1].itertuples()]
    cascades = recommended[recommended["kind"] == "cascade"]
    found += [("cascade", row) for row in cascades[:1].itertuples()]
    own = scores[scores["score"] == "accuracy"].set_index(["models", "combination"])["value"]
    return pd.DataFrame(
        [
            {
                "kind": kind, "models": row.models, "names": row.names, "combination": row.choice,
                "test_accuracy": (
                    row.accuracy if kind == "cascade" else own[row.models, row.choice]
                ),
            }
            for kind, row in found
        ],
        columns=list(NOTHING),
    )  # fmt: skip


def accuracies(
    name: str,
    on_models: pd.DataFrame,
    known: pd.DataFrame,
    best: pd.DataFrame,
    scores: pd.DataFrame,
    cascades: pd.DataFrame,
    count: int,
) -> pd.DataFrame:
    """Accuracy of models, and of what is recommended, on a test set."""
    singles = on_models.rename(columns={"model": "models", "name": "names"})
    singles = singles.assign(kind="single", combination="single")
    singles["test_accuracy"] = known["accuracy"].reindex(singles["models"]).to_numpy()
    own = scores[scores["score"] == "accuracy"].set_index(["models", "combination"])
    run = cascades.set_index("models")
    ensembles = []
    for row in best[best["kind"] != "single"].itertuples(index=False):
        if row.kind == "cascade":
            there = run.loc[[row.models]].iloc[0] if row.models in run.index else None
            values = ["accuracy", "accuracy_low", "accuracy_high"]
        else:
            key = row.models, row.combination
            there = own.loc[key] if key in own.index else None
            values = ["value", "low", "high"]
        if there is not None:
            numbers = zip(("accuracy", "accuracy_low", "accuracy_high"), values, strict=True)
            ensembles.append(row._asdict() | {key: there[column] for key, column in numbers})
    examples = int(on_models["examples"].iloc[0])
    table = pd.concat([singles, *([pd.DataFrame(ensembles)] * bool(ensembles))], ignore_index=True)
    table["examples"], table["test"] = examples, name
    line = probit_line(
        singles["test_accuracy"].to_numpy(), singles["accuracy"].to_numpy(), (count, examples)
    )
    table["slope"], table["intercept"] = line
    table["effective_robustness"] = effective_robustness(
        table["test_accuracy"].to_numpy(), table["accuracy"].to_numpy(), line, count
    )
    return table


def overview(result: pd.DataFrame, sets: list[str]) -> pd.DataFrame:
    """Put the test sets side by side."""
    keys = ["kind", "models", "combination"]
    first = ["names", "kind", "category", "models", "combination", "test_accuracy"]
    rows = result.drop_duplicates(keys)[first]
    rows = rows.rename(columns={"test_accuracy": "accuracy"})
    by_set = result.pivot_table(index=keys, columns="test", values="accuracy", sort=False)
    by_set = by_set.reindex(columns=sets).add_prefix("accuracy_")
    gain = result.groupby(keys, sort=False)["effective_robustness"].mean().rename("effective_gain")
    return rows.merge(by_set, on=keys, how="left").merge(gain, on=keys, how="left")


def category_means(compared: Compared, name: str, where: str) -> pd.DataFrame:
    """Mean of each quantity by category, with its interval over bases and models."""
    rows = []
    for quantity in QUANTITIES:
        if quantity not in compared.values:
            continue
        for rank, category in enumerate(CATEGORIES):
            own = compared.values[quantity][:, compared.rank == rank]
            if own.size:
                mean, low, high = two_way_mean(own)
                rows.append(
                    {"test": name, "where": where, "quantity": quantity,
                     "category": category, "models": own.shape[1], "mean": mean, "low": low,
                     "high": high}
                )  # fmt: skip
    return pd.DataFrame(rows)


def questions(judged: list[tuple[str, Compared, Compared]]) -> list[dict]:
    """Ask the first two claims on each test set, all of them corrected together."""
    asked, rows = [], []
    for name, beside, here in judged:
        known = not np.isnan(here.values["improvement"]).all()
        for ask in (claims.inconsistency_grows, *[claims.improvement_is_linear] * known):
            asked.append(ask(here))
            rows.append({"test": name, "question": asked[-1].claim, "clean": ask(beside).value})
    for row, claim, finding in zip(rows, judge(asked), asked, strict=True):
        row |= {"value": finding.value, "holds": claim.holds, "p_holm": claim.p_holm}
        row["evidence"] = claim.evidence
    return rows


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(robustness, snakemake)
