"""Say with numbers what this study found, and which of the paper's claims hold in it."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd

from workflow.lib.data.manifest import Manifest
from workflow.lib.measures import claims
from workflow.lib.measures.bases import compare
from workflow.lib.measures.claims import Answers
from workflow.lib.measures.verdicts import NO, UNCLEAR, YES, Claim, judge
from workflow.lib.outputs.arrays import read_arrays
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.run.files import replacing
from workflow.lib.show.escape import markdown
from workflow.lib.show.updates import tell_updates

LEAST = 3  # models compared with the base, of which claims over models say something
WORDS = {YES: "Holds", NO: "Does not hold", UNCLEAR: "Unclear"}


def summary(
    *,
    findings: str | list[str],
    pairs: str,
    models: str,
    answers: str | list[str],
    manifest: str | list[str],
    weaker: str | list[str],
    features: str | list[str],
    probes: Sequence[str],
    right: Sequence[str],
    downstream: str | list[str],
    updates: str | list[str],
    update_classes: str | list[str],
    tsv: str,
    md: str,
    study: str,
    title: str,
    combination: str,
    bases: list[str],
    holds: str | Sequence[str] = (),
) -> None:
    """Write the claims as a table, and a page of the findings and the claims.

    Parameters
    ----------
    findings : str or empty list
        Table of findings.
    pairs, models : str
        Tables of pairs and of models.
    answers, manifest : str or empty list
        What models answer to the test images, as `counts` writes it, and the images.
    weaker, features, downstream : str or empty list
        Tables of what weaker models add, and those that figures 6 and 7 draw; claims whose table
        the study does not have are left out.
    probes, right : sequence of str
        Tables and arrays of the rule `features`.
    updates, update_classes : str or empty list
        Tables of updates, whole and by class.
    tsv, md : str
        Table and page to write.
    study, title : str
        Name and title of the study.
    combination : str
        Which combination of several models to take.
    bases : list of str
        Keys of the models that each serve as the base; none for the one base of published numbers.
    holds : str or empty list
        Table of what holds on further test sets.
    """
    compared = compare(read_table(pairs), combination, claims.COLUMNS, bases)
    known = _answers(answers, manifest)
    found = []
    if len(compared.models) >= LEAST:
        found.append(claims.inconsistency_grows(compared, known))
        gains = compared.values.get("improvement", np.array([np.nan]))
        if not np.isnan(gains).all():
            found += [claims.improvement_is_linear(compared), claims.conversion_grows(compared)]
        if known:
            found.append(claims.models_specialise(compared, known))
    if isinstance(weaker, str):
        rows = read_table(models)
        names = dict(zip(rows["model"], rows["name"].astype(str), strict=True))
        found.append(claims.low_accuracy_helps(read_table(weaker), names))
    if isinstance(features, str):
        table = read_table(features)
        kept = {Path(file).stem: read_arrays(file) for file in right}
        every = pd.concat([read_table(file) for file in probes], ignore_index=True)
        found.append(claims.combined_features_win(table, kept))
        found.append(claims.divergence_compresses(table, every))
    if isinstance(downstream, str):
        found.append(claims.diverse_pairs_transfer(read_table(downstream)))
    judged = judge(found)
    columns = [field.name for field in fields(Claim)]
    write_table(tsv, pd.DataFrame(judged, columns=columns))
    told = None if isinstance(findings, list) else read_table(findings)
    elsewhere = read_table(holds) if isinstance(holds, str) else None
    changed: list[str] = []
    if isinstance(updates, str) and isinstance(update_classes, str):
        changed += tell_updates(read_table(updates), read_table(update_classes), combination)
    with replacing(md) as part:
        text = page(judged, title or study, combination, told, changed, elsewhere)
        part.write_text(text, encoding="utf-8")


def _answers(answers: str | list[str], manifest: str | list[str]) -> Answers | None:
    """Read what each model gets right of the test images, if the study has it."""
    if not isinstance(answers, str) or not isinstance(manifest, str):
        return None
    known, labels = read_arrays(answers), Manifest.read(manifest).splits["test"].labels
    return Answers(known["models"].tolist(), known["top"] == labels, np.asarray(labels))


def page(
    found: list[Claim],
    title: str,
    combination: str,
    answers: pd.DataFrame | None = None,
    updates: Sequence[str] = (),
    elsewhere: pd.DataFrame | None = None,
) -> str:
    """Write the findings, the updates and the claims as Markdown.

    Parameters
    ----------
    found : list of Claim
    title : str
        Of the study.
    combination : str
        Which combination of several models they are of.
    answers : DataFrame
        `question`, `answer` and `detail`.
    updates : sequence of str
        What is said of each.
    elsewhere : DataFrame
        What holds on further test sets, as `robustness` writes it.
    """
    means = {
        "unstated": "",
        "confident": " Of two models, an ensemble takes the more confident one's answer.",
    }.get(combination, f" Ensembles take the mean {combination}.")
    lines = [
        f"# {markdown(title)}",
        "",
        *(
            line
            for row in ([] if answers is None else answers.to_dict("records"))
            for line in (f"**{markdown(row['answer'])}** {markdown(row['detail'])}", "")
        ),
    ]
    if updates:
        lines += ["## Updates", "", *(f"- {markdown(text)}" for text in updates), ""]
    if not found:
        return "\n".join(lines)
    lines += [
        "## Which of the paper's claims hold",
        "",
        "Intervals, in brackets, are of 95 %. A claim holds if its number has the claim's sign "
        "with every base, and a test says at 5 %, after Holm's correction for the number of "
        "claims, that it is not 0; with the other sign it does not hold, else it stays unclear. "
        "Numbers of pairs with a base are tested by drawing bases, models and, where their answers "
        f"are known, test images anew, and by permuting models.{means}",
        "",
        "| | Claim | p, corrected | Shown in |",
        "| --- | --- | ---: | --- |",
        *(f"| **{WORDS[c.holds]}** | {c.claim} | {_p(c.p_holm)} | {c.section} |" for c in found),
        "",
    ]
    for claim in found:
        lines += [f"**{WORDS[claim.holds]}: {claim.claim}** {markdown(claim.evidence)}", ""]
    if elsewhere is not None and len(elsewhere):
        lines += on_other_images(elsewhere)
    return "\n".join(lines)


def on_other_images(holds: pd.DataFrame) -> list[str]:
    """Say which of the first claims hold on each further test set: lines of Markdown."""
    asked = holds["question"].unique().tolist()
    lines = [
        "## What holds on other images",
        "",
        "The same questions on each further test set, corrected for all of them together; in "
        "brackets the number on the images that the test set is compared with.",
        "",
        f"| Test set | {' | '.join(asked)} |",
        f"| --- |{' --- |' * len(asked)}",
    ]
    for name, own in holds.groupby("test", sort=False):
        by = own.set_index("question")
        cells = [
            f"**{WORDS[by['holds'][key]]}**: {by['value'][key]:.2f} ({by['clean'][key]:.2f})"
            if key in by.index and pd.notna(by["value"][key])
            else "–"
            for key in asked
        ]
        lines.append(f"| {markdown(str(name))} | {' | '.join(cells)} |".replace("-0.", "−0."))
    lines.append("")
    for name, own in holds[holds["question"] == asked[0]].groupby("test", sort=False):
        lines += [f"**{markdown(str(name))}.** {markdown(own['evidence'].iloc[0])}", ""]
    return lines


def _p(p: float) -> str:
    return "" if np.isnan(p) else f"{p:.2g}"


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(summary, snakemake)
