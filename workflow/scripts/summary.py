"""Say with numbers which of the paper's claims hold in this study, and which do not."""

from collections.abc import Callable

import pandas as pd

from workflow.lib.measures import claims
from workflow.lib.measures.claims import Claim
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.run.files import replacing
from workflow.lib.show.escape import markdown

WORDS = {claims.YES: "Holds", claims.NO: "Does not hold", claims.UNCLEAR: "Unclear"}


def summary(
    *,
    pairs: str,
    classes: str | list[str],
    first: str | list[str],
    features: str | list[str],
    downstream: str | list[str],
    tsv: str,
    md: str,
    study: str,
    title: str,
    combination: str,
) -> None:
    """Write the claims as a table and as a page.

    Parameters
    ----------
    pairs : str
        Table of pairs.
    classes, first, features, downstream : str or empty list
        Table of class specialisation, of the best first members of greedy ensembles, and those
        that figures 6 and 7 draw;
        claims whose table the study does not have are left out.
    tsv, md : str
        Table and page to write.
    study, title : str
        Name and title of the study.
    combination : str
        Which combination of several models to take.
    """
    rows = claims.main_pairs(read_table(pairs), combination)
    found = [claims.inconsistency_grows(rows)]
    if combination != "confident" or rows["improvement"].notna().any():
        found += [claims.improvement_is_linear(rows), claims.conversion_grows(rows)]
    asked: list[tuple[str | list[str], Callable[[pd.DataFrame], Claim]]] = [
        (classes, claims.models_specialise),
        (first, lambda table: claims.low_accuracy_helps(table, combination)),
        (features, claims.combined_features_win),
        (features, claims.divergence_compresses),
        (downstream, claims.diverse_pairs_transfer),
    ]
    found += [ask(read_table(path)) for path, ask in asked if not isinstance(path, list)]
    write_table(tsv, pd.DataFrame(found))
    with replacing(md) as part:
        part.write_text(page(found, title or study, combination), encoding="utf-8")


def page(found: list[Claim], title: str, combination: str) -> str:
    """Write the claims as Markdown.

    Parameters
    ----------
    found : list of Claim
    title : str
        Of the study.
    combination : str
        Which combination of several models they are of.
    """
    means = {
        "unstated": "",
        "confident": " Of two models, an ensemble takes the more confident one's answer.",
    }.get(combination, f" Ensembles take the mean {combination}.")
    lines = [
        f"# {markdown(title)}: which of the paper's claims hold",
        "",
        "Intervals, in brackets, are of 95 %. A claim holds if its interval lies on the side of "
        "zero that the claim says, or the test named with it finds so at 5 %; otherwise it does "
        f"not, or stays unclear.{means}",
        "",
        "| | Claim | Shown in |",
        "| --- | --- | --- |",
        *(f"| **{WORDS[c.holds]}** | {c.claim} | {c.section} |" for c in found),
        "",
    ]
    for claim in found:
        lines += [f"**{WORDS[claim.holds]}: {claim.claim}** {markdown(claim.evidence)}", ""]
    return "\n".join(lines)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(summary, snakemake)
