"""What a visitor wants to know first: which models to combine, and which one is different.

`novelty.tsv` compares each model's errors with the base's, beside those of reseeded pairs;
`only_right.tsv` lists the images that a single model gets right; `findings.tsv` has the answers in
sentences, for the page, the summary and the terminal.
"""

import pandas as pd

from workflow.lib.data.manifest import Manifest
from workflow.lib.measures import findings as measured
from workflow.lib.outputs.arrays import read_arrays
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.show import findings as words
from workflow.lib.study.categories import BASE


def findings(
    *,
    manifest: str,
    models: str,
    pairs: str,
    answers: str,
    recommendations: str | list[str],
    added: str | list[str],
    scores: str | list[str],
    findings: str,
    novelty: str,
    only_right: str,
    combination: str,
    places: dict[str, str],
    cards: dict[str, str],
) -> None:
    """Write the answers, and the tables that they follow from.

    Parameters
    ----------
    manifest : str
        It knows how many images are held out, and which the test images are.
    models, pairs : str
        Tables of models and of pairs.
    answers : str
        What each model answers on the test images, as `counts` writes it.
    recommendations, added, scores : str or empty list
        Tables of recommendations, of what models add to the base's likelihood, and of the scores of
        all combinations.
    findings, novelty, only_right : str
        Tables to write: the answers (`question`, `answer`, `detail`); a row a model as
        `measures.findings.novelty` gives it; and `id`, `class`, `model` and `name` of each image
        that exactly one model gets right.
    combination : str
        Which combination of several models to take.
    places : dict of str to str
        Where each model's weights or outputs are.
    cards : dict of str to str
        Deployment cards, by name.
    """
    known = Manifest.read(manifest)
    test, own = known.splits["test"], known.splits.get("calibration")
    held_out = len(own.labels) if own else 0  # of answers alone, nothing is
    table, every = read_table(models), read_table(pairs)
    names = dict(zip(table["model"], table["name"].astype(str), strict=True))
    found = read_arrays(answers)
    keys = found["models"].tolist()
    alone = measured.count_only_right(found["top"] == test.labels)
    rows = [row for row in range(len(alone)) if alone[row] >= 0]
    listed = pd.DataFrame(
        {
            "id": [test.ids[row] for row in rows],
            "class": [known.classes[test.labels[row]] for row in rows],
            "model": [keys[alone[row]] for row in rows],
        }
    )
    listed["name"] = listed["model"].map(names)
    write_table(only_right, listed.sort_values(["model", "id"], kind="stable"))
    counts = {key: int((alone == place).sum()) for place, key in enumerate(keys)}
    novel = measured.novelty(
        table, every, counts, None if isinstance(added, list) else read_table(added)
    )
    write_table(novelty, novel)
    ranked = [] if isinstance(recommendations, list) else [read_table(recommendations)]
    scored = None if isinstance(scores, list) else read_table(scores)
    bases = table.loc[table["group"] == BASE, "name"]
    write_table(
        findings,
        words.findings(
            measured.recommend(ranked[0], every, held_out, scored) if ranked else None,
            novel,
            str(bases.iloc[0]) if len(bases) else None,
            combination=combination,
            names=names,
            places=places,
            cards=cards,
            examples=len(test.labels),
        ),
    )


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(findings, snakemake)
