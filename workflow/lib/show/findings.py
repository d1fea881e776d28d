"""What a study found, in sentences with intervals: for the page, the summary and the terminal."""

import os
import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd

from workflow.lib.measures.findings import (
    MORE,
    UNKNOWN,
    Recommendation,
    cost_column,
    least_gain,
    most_different,
)
from workflow.lib.outputs.tables import read_numbers
from workflow.lib.show.numbers import minus

COMBINE, DIFFERENT, LIMIT = (
    "Which models together?",
    "Which model is different?",
    "What can these images show?",
)
COLUMNS = ["question", "answer", "detail"]
WAYS = {
    "probability": "average the calibrated probabilities of its members",
    "logit": "average the calibrated logits of its members",
    "weighted": "add the members' logits, weighted as combining/weights.tsv says",
    "vote": "take the class that most members answer",
    "confident": "take the answer of the most confident member",
}
"""How an ensemble answers."""

WIDTH = 96  # characters of a line in a terminal

COSTS = {"macs": "multiply-adds", "parameters": "parameters"}


def findings(
    recommendation: Recommendation | None,
    table: pd.DataFrame,
    base: str | None,
    *,
    combination: str,
    names: Mapping[str, str],
    places: Mapping[str, str],
    cards: Mapping[str, str],
    examples: int,
) -> pd.DataFrame:
    """Answer a visitor's questions.

    Parameters
    ----------
    recommendation : Recommendation or None
    table : DataFrame
        Of `measures.findings.novelty`.
    base : str or None
        Name of the base.
    combination : str
        Which combination of several models the study takes.
    names, places : mapping of str to str
        What each model is called, and where its weights or outputs are, by key.
    cards : mapping of str to str
        Deployment cards of the first single model, pair and triple.
    examples : int
        Test images.

    Returns
    -------
    DataFrame
        `question`, `answer` (a sentence) and `detail` (more of them), a row a question.
    """
    rows = []
    if recommendation is not None and recommendation.candidate is not None:
        rows.append((COMBINE, *combine(recommendation, combination, names, places, cards)))
    if base is not None and len(table):
        rows.append((DIFFERENT, *different(table, base, examples)))
    if recommendation is not None and recommendation.candidate is not None:
        rows.append((LIMIT, *limit(recommendation)))
    return pd.DataFrame(rows, columns=COLUMNS)


def combine(
    found: Recommendation,
    combination: str,
    names: Mapping[str, str],
    places: Mapping[str, str],
    cards: Mapping[str, str],
) -> tuple[str, str]:
    """Say which models to combine, how, what it gains and costs, and where they are."""
    row, best = found.candidate or {}, found.best
    kind = {2: "pair", 3: "triple"}.get(int(row["size"]), "ensemble")
    gain = points(found.gain, found.low, found.high)
    images = f"{found.tested:,} test images"
    members, single = _named(row, names), _named(best, names)
    if found.beyond_chance:
        answer = f"Combine {members}: {gain} over the best single model, {single}, on {images}."
        if found.pair is not None:
            two = _named(found.pair, names)
            answer += f" Of two, {two}: {points(*found.pair_gain)}."
    elif found.low > 0:  # the rule does not look at test images, however many
        answer = (
            f"Take {single} alone: {found.held_out:,} held-out images, by which ensembles are "
            f"chosen, show no {kind} that is better beyond chance. The best {kind} there is "
            f"{members}, on {images} {gain} over it."
        )
    else:
        answer = (
            f"Take {single} alone: no {kind} is better than the best model beyond chance on "
            f"{images}. The best {kind} is {members}: {gain}."
        )
    detail = [
        f"Accuracy {percent(row['accuracy'])} instead of {percent(best['accuracy'])}.",
        _cost(row, best, single),
        _way(row, combination),
        f"Chosen by {found.held_out:,} held-out images: the fewest members within one standard "
        f"error ({100 * found.error:.2f} points) of the best of all listed: "
        f"{found.ensembles:,} {'ensemble' if found.ensembles == 1 else 'ensembles'}, and the "
        f"single models."
        if found.beyond_chance
        else f"On {found.held_out:,} held-out images the best single model lies within one "
        f"standard error ({100 * found.error:.2f} points) of the best ensemble."
        if found.chosen["size"] == 1
        else f"It is the choice of {found.held_out:,} held-out images, which test images do not "
        f"bear out.",
        _where(row if found.beyond_chance else best, places, cards),
    ]
    return answer, " ".join(filter(None, detail))


def different(table: pd.DataFrame, base: str, examples: int) -> tuple[str, str]:
    """Say which model's errors differ most from the base's, and whether beyond a new seed's."""
    row = most_different(table)
    if row is None and table["excess"].isna().all():  # kappa of none: each is right where it is
        return (
            f"No model errs differently from {base}: each is right on the same of {examples:,} "
            f"test images.",
            "Images of which some are answered wrongly could tell models apart.",
        )
    if row is None:
        first = table.iloc[0]
        excess = points(first["excess"], first["excess_low"], first["excess_high"])
        return (
            f"No model errs differently from {base} beyond what a new seed does, on {examples:,} "
            f"test images.",
            f"The nearest is {first['name']}: {excess} of error inconsistency more than reseeded "
            f"models have with {base}.",
        )
    kappa = number(
        row["error_consistency"], row["error_consistency_low"], row["error_consistency_high"]
    )
    apart = percent(
        row["error_inconsistency"], row["error_inconsistency_low"], row["error_inconsistency_high"]
    )
    answer = (
        f"{row['name']} is the most different from {base}: exactly one of them is right on {apart} "
        f"of the images"
        if len(table) > 1
        else f"Exactly one of {base} and {row['name']} is right on {apart} of the images"
    )
    if row["verdict"] == MORE:
        excess = points(row["excess"], row["excess_low"], row["excess_high"]).replace("+", "")
        answer += f", {excess} more than with a new seed"
    detail = [f"Error consistency κ = {kappa}; 1 is the same errors, 0 is chance."]
    if pd.notna(row["only_right"]):
        detail.append(
            f"{row['name']} alone is right on {int(row['only_right']):,} of {examples:,} images."
        )
    if pd.notna(row.get("added_nats", np.nan)):
        ends = row["added_nats_low"], row["added_nats_high"]
        detail.append(
            f"With {base} it lowers the negative log-likelihood of the better of both by "
            f"{minus('{:.3f} nats ({:.3f} to {:.3f})'.format(row['added_nats'], *ends))}."
        )
    judged = table[table["verdict"] != UNKNOWN]
    if len(judged):
        more = int((judged["verdict"] == MORE).sum())
        detail.append(
            f"{more} of {len(judged)} models differ from {base} more than a new seed does."
        )
    return f"{answer}.", " ".join(detail)


def limit(found: Recommendation) -> tuple[str, str]:
    """Say what so many images can show."""
    row = found.candidate or {}
    half = (found.high - found.low) / 2
    least = least_gain(found.tested, 0.1)
    kind, images = "pair" if row["size"] == 2 else "ensemble", f"{found.tested:,} test images"
    return (
        f"On {images} a gain below {100 * half:.2f} points cannot be told from zero for this "
        f"{kind}."
        if half > 1e-12
        else f"The {kind} and the best single model are right on the same of {images}, which "
        f"cannot show which is better.",
        f"In general the least gain that shows is 1.96 √(d / N), where d is the share of images "
        f"that exactly one of the two compared gets right: {100 * least:.2f} points where that is "
        f"10 %. Intervals are of 95 %, over test images; another training run is another draw.",
    )


def points(value: float, low: float, high: float) -> str:
    """Write a difference of fractions in points, with its interval."""
    digits = 2 if high - low < 0.02 else 1
    text = f"{100 * value:+.{digits}f}"
    if not np.isnan(low):
        text += f" ({100 * low:+.{digits}f} to {100 * high:+.{digits}f})"
    head, _, tail = minus(text).partition(" ")
    return f"{head} points {tail}".strip()


def percent(value: float, low: float = np.nan, high: float = np.nan) -> str:
    """Write a fraction in per cent, with its interval if there is one."""
    text = f"{100 * value:.1f} %"
    return text if np.isnan(low) else f"{text} ({100 * low:.1f} to {100 * high:.1f})"


def number(value: float, low: float, high: float) -> str:
    """Write a number of two digits with its interval."""
    return minus(f"{value:.2f} ({low:.2f} to {high:.2f})")


def _named(row: Mapping, names: Mapping[str, str]) -> str:
    """Name the members of an ensemble, or a single model."""
    listed = [names.get(key, key) for key in str(row["models"]).split(" + ")]
    return " and ".join([", ".join(listed[:-1]), listed[-1]] if len(listed) > 1 else listed)


def _cost(row: Mapping, best: Mapping, single: str) -> str:
    cost = cost_column(pd.DataFrame([row, best]))
    own, one = (pd.to_numeric(each.get(cost), errors="coerce") for each in (row, best))
    if pd.isna(own) or pd.isna(one) or not one:
        return ""
    return f"It costs {own / one:.1f} times the {COSTS[cost]} of {single}."


def _way(row: Mapping, combination: str) -> str:
    own = row.get("combination", combination)
    way = WAYS.get(str(combination if pd.isna(own) else own))
    return f"To combine them, {way} (temperatures: calibration.tsv)." if way else ""


def _where(row: Mapping, places: Mapping[str, str], cards: Mapping[str, str]) -> str:
    keys = [key for key in str(row["models"]).split(" + ") if key in places]
    files = [places[key] for key in keys]
    card = {1: "single", 2: "pair", 3: "triple"}.get(int(row["size"]), "")
    if card in cards and row.get("rank") == 1:
        files.append(f"{cards[card]} to use it elsewhere")
    return f"Files: {', '.join(files)}." if files else ""


def told_findings(folder: str | os.PathLike) -> str:
    """Give what a terminal says of a study when its run ends: answers, and the report's path.

    Parameters
    ----------
    folder : path
        The results of the study. What is not there is left out.
    """
    lines, path = [], os.path.join(folder, "findings.tsv")
    if os.path.exists(path):
        for row in read_numbers(path).to_dict("records"):
            lines += ["", *_wrapped(row["answer"], "")]
            lines += _wrapped(row["detail"], "  ")
    report = os.path.join(folder, "report.html")
    if os.path.exists(report):
        lines += ["", f"Report: {report}"]
    return "\n".join(lines)


def told_problems(calibration: str | os.PathLike) -> list[str]:
    """Read what is wrong with models from calibration.tsv, if that is there; a line a model."""
    if not os.path.exists(calibration):
        return []
    table = read_numbers(calibration)
    rows = zip(table["model"], table["problem"], strict=True)
    return [f"{model}: {problem}" for model, problem in rows if problem]


def _wrapped(text: str, indent: str) -> list[str]:
    """Break text into lines, paths and names left whole."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent,
        break_on_hyphens=False, break_long_words=False,
    )  # fmt: skip
