"""What a page shows of a study: captions, tables and numbers as people read them, files as text.

Nothing here opens a file. Markup is made in the template; what is marked as safe here has been
escaped first.
"""

import base64
import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd
from markupsafe import Markup, escape

from workflow.lib.measures.claims import main_pairs
from workflow.lib.measures.statistics import correlation, mean_interval
from workflow.lib.show.numbers import (
    COUNT,
    GAIN,
    NONE,
    PLAIN,
    SHARE,
    P,
    decimals_of,
    is_lopsided,
    minus,
    write_interval,
    write_p,
)
from workflow.lib.show.style import LOOKS
from workflow.lib.study.categories import BASE, CATEGORIES

FILTERED = 30  # rows above which a table can be searched
LEAST = 3  # models of which a mean has an interval
POINTS, DOTS = 72, 300  # in an inch, of the figures' SVG and PNG

KINDS = {"svg": "image/svg+xml", "png": "image/png", "pdf": "application/pdf"}
KINDS |= {"tsv": "text/tab-separated-values", "gz": "application/gzip"}

"""Kinds of numbers: a fraction shown in per cent, a difference of such, a whole number, any other
number, and a p-value."""

MEASURES = {
    "accuracy": ("Accuracy (%)", SHARE),
    "accuracy_1": ("Accuracy of model 1 (%)", SHARE),
    "accuracy_2": ("Accuracy of model 2 (%)", SHARE),
    "ensemble_accuracy": ("Ensemble accuracy (%)", SHARE),
    "paper_accuracy": ("Paper: accuracy (%)", SHARE),
    "paper_ensemble_accuracy": ("Paper: ensemble accuracy (%)", SHARE),
    "paper_error_inconsistency": ("Paper: error inconsistency (%)", SHARE),
    "error_inconsistency": ("Error inconsistency (%)", SHARE),
    "conversion_rate": ("Conversion rate (%)", SHARE),
    "published": ("Published (%)", SHARE),
    "measured": ("Measured (%)", SHARE),
    "allowed": ("Allowed difference (points)", SHARE),
    "excess": ("Above new seeds (points)", GAIN),
    "added_nats": ("Added nats", PLAIN),
    "only_right": ("Right alone (images)", COUNT),
    "both_right": ("Both right (%)", SHARE),
    "both_wrong": ("Both wrong (%)", SHARE),
    "average_precision": ("Average precision (%)", SHARE),
    "ece": ("Calibration error (%)", SHARE),
    "ece_before": ("Calibration error before (%)", SHARE),
    "ece_after": ("Calibration error after (%)", SHARE),
    "improvement": ("Improvement (points)", GAIN),
    "gain": ("Gain (points)", GAIN),
    "effective_gain": ("Effective robustness (points)", GAIN),
    "behind": ("Behind the first (points)", GAIN),
    "nll_gain": ("Gains on the best member (nats)", PLAIN),
    "nll_diversity": ("Of it, diversity (nats)", PLAIN),
    "added": ("Adds to the base (nats)", PLAIN),
    "added_best": ("Adds to the best single (nats)", PLAIN),
    "choice_accuracy": ("Accuracy so combined (%)", SHARE),
    "coverage_at_risk": ("Coverage at 5 % risk (%)", SHARE),
    "risk_at_coverage": ("Risk at 80 % coverage (%)", SHARE),
    "exits": ("Answered by the first (%)", SHARE),
    "nll": ("Negative log-likelihood (nats)", PLAIN),
    "brier": ("Brier score", PLAIN),
    "auroc": ("AUROC", PLAIN),
    "aurc": ("AURC", PLAIN),
    "augrc": ("AUGRC", PLAIN),
    "macs": ("Multiply-adds", COUNT),
    "temperature": ("Temperature", PLAIN),
    "nll_before": ("Negative log-likelihood before", PLAIN),
    "nll_after": ("Negative log-likelihood after", PLAIN),
    "error_consistency": ("Error consistency (κ)", PLAIN),
    "theta": ("Angle θ (rad)", PLAIN),
    "advantage": ("Accuracy of model 1 over 2 (points)", GAIN),
    "negative_flips": ("Negative flips (%)", SHARE),
    "positive_flips": ("Positive flips (%)", SHARE),
    "of_errors": ("Of the errors (%)", SHARE),
    "left": ("Negative flips left (%)", SHARE),
    "agree": ("Models that agree", COUNT),
    "confidence": ("Their mean confidence (%)", SHARE),
    "only_1": ("Only model 1 right", COUNT),
    "only_2": ("Only model 2 right", COUNT),
    "p": ("p", P),
    "p_holm": ("p (Holm)", P),
}
"""Label and kind of the columns that are known."""

LABELS = {
    "name": "Model",
    "model": "Model",
    "name_1": "Model 1",
    "name_2": "Model 2",
    "model_1": "Model 1",
    "model_2": "Model 2",
    "train_data": "Training data",
    "what": "Of",
    "holds": "Verdict",
    "combination": "Combination",
    "choice": "Combine by",
    "as_good": "As good as the first",
    "first": "First member",
    "base_name": "Base",
    "names": "Models",
    "verdict": "Verdict",
    "test": "Test set",
    "clean": "On the images beside it",
    "system": "Answered by",
    "models": "Of models",
    "answer": "What they answer",
    "raises": "Raises the accuracy that it is selected by",
    "pareto": "Best for its multiply-adds",
    "pareto_parameters": "Best for its parameters",
    "pareto_speed": "Best for its time",
}

LESS_IS_BETTER = {
    "p", "p_holm", "rank", "size", "parameters", "macs", "cost", "seconds", "both_wrong",
    "error_consistency", "ece_before", "ece_after", "nll_before", "nll_after", "nll", "brier",
    "ece", "aurc", "augrc", "temperature", "negative_flips", "of_errors", "left",
}  # fmt: skip
"""Columns of numbers whose best comes first where the least does."""

# Words in the name of an unknown column that tell what its numbers are, if they are of that size.
GAINS = {"gain", "gains", "improvement", "difference"}
SHARES = {"accuracy", "inconsistency", "rate"}

WORDS = {"category", "category_1", "category_2", "head", "objective", "train_data", "group", "set"}
WORDS |= {"what", "class", "task", "id", "prediction_1", "prediction_2", "answer", "verdict"}
WORDS |= {"system", "update"}
"""Columns of words that may happen to be a model's key, or True, and mean something else."""


class Cell(NamedTuple):
    """A cell of a table.

    Attributes
    ----------
    text : str
        As people read it.
    sort : float, str or None
        What it is sorted by; None comes last.
    colour : str or None
        Of its category.
    """

    text: str
    sort: float | str | None
    colour: str | None = None


@dataclass(frozen=True)
class Grid:
    """A table as people read it.

    Attributes
    ----------
    labels : list of str
        Of the columns.
    numbers : list of bool
        Whether each column holds numbers.
    best : list of str
        The direction in which the best of each column comes first: "ascending" or "descending".
    rows : list of list of Cell
    """

    labels: list[str]
    numbers: list[bool]
    best: list[str]
    rows: list[list[Cell]]

    @property
    def searchable(self) -> bool:
        """Whether the table is so long that people will want to search it."""
        return len(self.rows) > FILTERED


def render_rst(text: str) -> Markup:
    """Make HTML of a caption: paragraphs, of text and **bold**.

    Parameters
    ----------
    text : str
        That subset of reStructuredText. All else is shown as it stands.
    """
    paragraphs = [tie(" ".join(part.split())) for part in re.split(r"\n\s*\n", text.strip())]
    return Markup("\n").join(
        Markup("<p>")
        + Markup(re.sub(r"\*\*(\S(?:.*?\S)?)\*\*", r"<strong>\1</strong>", str(escape(part))))
        + Markup("</p>")
        for part in paragraphs
        if part
    )


def tie(text: str) -> str:
    """Keep per cent signs in the line of their numbers."""
    return re.sub(r"(?<=\d) (?=%)", "\N{NO-BREAK SPACE}", text)


def first_sentence(text: str) -> str:
    """Give the first sentence of a caption, plain."""
    plain = " ".join(text.replace("**", "").split())
    return re.sub(r"(?<=[.!?])\s.*", "", plain, count=1)


def data_uri(content: bytes, kind: str) -> str:
    """Put a file into an address that needs no file.

    Parameters
    ----------
    content : bytes
    kind : {'svg', 'png', 'pdf', 'tsv', 'gz'}
    """
    return f"data:{KINDS[kind]};base64,{base64.b64encode(content).decode()}"


def svg_width(content: bytes) -> float | None:
    """Width of one of matplotlib's SVG files in inches; None if it does not say."""
    found = re.search(rb'<svg[^>]*\swidth="([\d.]+)pt"', content)
    return float(found.group(1)) / POINTS if found else None


def png_width(content: bytes) -> float:
    """Width in inches of a PNG file of `DOTS` pixels an inch (PNG specification, IHDR)."""
    if content[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("not a PNG file")
    return struct.unpack(">I", content[16:20])[0] / DOTS


def grid(
    table: pd.DataFrame,
    written: Mapping[str, Sequence[str]],
    names: Mapping[str, str],
    only: Sequence[str] = (),
) -> Grid:
    """Write a table as people read it.

    Fractions become per cent, `x` with `x_low` and `x_high` one column, keys of models their names,
    and a temperature whose fit did not converge gets a dagger. Columns without any value are left
    out, and so are those that say what another column says.

    Parameters
    ----------
    table : DataFrame
    written : mapping of str to sequence of str
        Cells of columns of numbers that have been written already.
    names : mapping of str to str
        Names of the models, by key.
    only : sequence of str
        Columns to show, in this order, as far as the table has them; by default all.
    """
    wanted = [column for column in only if column in table] or list(table)
    ends = {column + end for column in table for end in ("_low", "_high")}
    columns: dict[str, tuple[str, bool, list[Cell]]] = {}
    seen = []
    for column in wanted:
        values = table[column]
        if column in ends or (len(table) and values.isna().all()):
            continue
        label, cells = _column(table, column, names)
        if column in written:
            cells = [c._replace(text=t) for c, t in zip(cells, written[column], strict=True)]
        texts = [cell.text for cell in cells]
        if column == "category" and table[column].nunique() - (BASE in set(table[column])) < 2:
            continue  # says nothing: all differ from the base in the same way, or are alone
        if len(table) and texts in seen and not pd.api.types.is_numeric_dtype(values):
            continue
        seen.append(texts)
        columns[column] = label, _is_number(values), cells
    if "temperature" in columns and "converged" in table:
        label, number, cells = columns["temperature"]
        failed = table["converged"].eq(False) & table["temperature"].notna()
        cells = [
            cell._replace(text=cell.text + "†") if bad else cell
            for cell, bad in zip(cells, failed, strict=True)
        ]
        columns["temperature"] = label, number, cells
    return Grid(
        [label for label, _, _ in columns.values()],
        [number for _, number, _ in columns.values()],
        [
            "descending" if number and column not in LESS_IS_BETTER else "ascending"
            for column, (_, number, _) in columns.items()
        ],
        [list(row) for row in zip(*(cells for _, _, cells in columns.values()), strict=True)],
    )


def headline(models: pd.DataFrame, pairs: pd.DataFrame, combination: str) -> dict:
    """Gather the numbers that stand at the top of a page.

    Parameters
    ----------
    models, pairs : DataFrame
        As in models.tsv and pairs.tsv.
    combination : str
        Which combination of two models to take.

    Returns
    -------
    dict
        `models`, `inside` (how many are in the main analyses, the base included) and `examples`;
        `base`, `accuracy` and `accuracy_interval`, its name and its accuracy in per cent; `r`, the
        correlation of improvement and inconsistency over the `compared` models, and `r_interval`;
        and `categories`: `name`, `colour`, `models`, `text` and `share` (of the largest) of the
        mean error inconsistency of each. Intervals are of 95 %; what is not known is None.
    """
    rows = main_pairs(pairs, combination)
    known = models[models["group"] == BASE].iloc[:1]
    base = known.iloc[0] if len(known) else None
    r, low, high = correlation(rows["error_inconsistency"], rows["improvement"])
    means = [
        (name, *mean_interval(group["error_inconsistency"]), len(group))
        for name in CATEGORIES
        if len(group := rows[rows["category"] == name])
    ]
    most = max((mean for _, mean, *_ in means), default=0) or 1
    return {
        "models": len(models),
        "inside": int(models["group"].isin([BASE, "main"]).sum()),
        "examples": int(pairs["examples"].max()) if len(pairs) else None,
        "base": None if base is None else base["name"],
        "accuracy": None if base is None else f"{100 * base['accuracy']:.2f}",
        "accuracy_interval": None
        if base is None
        else f"{100 * base['accuracy_low']:.2f} to {100 * base['accuracy_high']:.2f}",
        "r": None if math.isnan(r) else minus(f"{r:.2f}"),
        "r_interval": None if math.isnan(r) else minus(f"{low:.2f} to {high:.2f}"),
        "compared": len(rows),
        "categories": [
            {
                "name": LOOKS[name].name,
                "colour": LOOKS[name].colour,
                "models": count,
                "text": f"{100 * mean:.1f}"
                + ("" if math.isnan(high) or count < LEAST else f" ± {100 * (high - mean):.1f}"),
                "share": mean / most,
            }
            for name, mean, _, high, count in means
        ],
    }


def as_names(text: str, names: Mapping[str, str]) -> str | None:
    """Give the names of one or several models by their keys; None if these are no keys."""
    keys = [key for key in re.split(r"\s*[+,;|]\s*|\s+|--", text) if key]
    if not keys or any(key not in names for key in keys):
        return None
    return " + ".join(str(names[key]) for key in keys)


def _column(table: pd.DataFrame, column: str, names: Mapping) -> tuple[str, list[Cell]]:
    """Give the label and the cells of a column, together with its interval."""
    values = table[column]
    if not _is_number(values):
        return _label(column), _words(values, column, names)
    numbers = values.astype(float)
    label, kind = _measure(column, numbers)
    scale = 100 if kind in (SHARE, GAIN) else 1
    low, high = (
        scale * table.get(column + end, pd.Series(math.nan, table.index)).astype(float)
        for end in ("_low", "_high")
    )
    shown = scale * numbers
    if kind == P:
        texts = [write_p(value) for value in shown]
    else:
        decimals = decimals_of(column, kind, shown, (high - low) / 2)
        # One way of writing for the whole column.
        rows = list(zip(shown, low, high, strict=True))
        ends = any(is_lopsided(*row, decimals) for row in rows)
        texts = [write_interval(*row, decimals, sign=kind == GAIN, ends=ends) for row in rows]
    return label, [
        Cell(text, None if math.isnan(value) else value)
        for text, value in zip(texts, numbers, strict=True)
    ]


def _words(values: pd.Series, column: str, names: Mapping) -> list[Cell]:
    """Write cells of words, of truth values, of categories, or of models."""
    texts = ["" if pd.isna(value) else str(value) for value in values]
    if column.startswith("category") and all(text in ("", *LOOKS) for text in texts):
        return [
            Cell(LOOKS[text].name, list(LOOKS).index(text), LOOKS[text].colour)
            if text
            else Cell(NONE, None)
            for text in texts
        ]
    if column not in WORDS and set(texts) - {""} <= {"True", "False"}:
        texts = [{"True": "yes", "False": "no"}.get(text, "") for text in texts]
    elif column not in WORDS:
        named = {text: as_names(text, names) for text in set(texts) - {""}}
        if None not in named.values():
            texts = [named.get(text) or "" for text in texts]
    return [Cell(text or NONE, text or None) for text in texts]


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _measure(column: str, numbers: pd.Series) -> tuple[str, str]:
    """Label and kind of a column of numbers, the latter by its name and values if it is unknown."""
    small = numbers.abs().max() <= 1
    known = MEASURES.get(column)
    whole = bool((numbers.dropna() % 1 == 0).all())
    if known and known[1] == COUNT and not whole:
        known = known[0] + " (%)", SHARE
    if known:
        return known
    words, label = set(column.split("_")), _label(column)
    if small and words & GAINS:
        return f"{label} (points)", GAIN
    if small and words & SHARES:
        return f"{label} (%)", SHARE
    return label, COUNT if whole else PLAIN


def _label(column: str) -> str:
    words = column.replace("_", " ").strip()
    return LABELS.get(column, words[:1].upper() + words[1:])
