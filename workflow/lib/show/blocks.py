"""The blocks of a page: figures, tables, contact sheets, and the look-up of a pair.

Nothing here opens a file: contents come in as bytes and tables, and go out as what the template
shows.
"""

import gzip
import json
from collections.abc import Mapping, Sequence

import pandas as pd

from workflow.lib.measures.findings import UNKNOWN
from workflow.lib.show import page
from workflow.lib.show.updates import in_words
from workflow.lib.study.figures import FIGURES, SECTIONS

TABLES = {
    "recommendations": ("choose", "Recommendations", "ensembles, best on held-out images first"),
    "uncertainty": ("choose", "Uncertainty", "how sure the recommended ones are"),
    "lookup": ("different", "Two models", "look up any pair"),
    "novelty": ("different", "Each model", "its errors beside the base's"),
    "table1": ("models", "Table 1", "the base and the models of the main analyses"),
    "table2": ("models", "Table 2", "models of high accuracy"),
    "table3": ("models", "Table 3", "models of low accuracy"),
    "table4": ("models", "Table 4", "the other models, outside the band"),
    "accuracy": (
        "models",
        "Published accuracies",
        "public checkpoints, checked before anything else",
    ),
    "calibration": ("models", "Calibration", "temperatures fitted on held-out images"),
    "class_specialisation": (
        "specialisation",
        "Classes",
        "who is right more often, by class, group of classes and attribute",
    ),
    "contact_sheet": ("specialisation", "Contact sheets", ""),
    "updates": ("updates", "Alternatives", "the new model alone, and both together"),
    "update_classes": ("updates", "By class", "flips by class, group of classes and attribute"),
    "flip_sheets": ("updates", "Flipped images", "what each update loses and wins"),
    "image_sheets": ("images", "Sheets", "what no model gets right, and suspected labels"),
    "images": ("images", "Suspected labels", "images where models agree against the label"),
    "first": ("ensembles", "First members", "what to add first to each base"),
    "robustness": ("robustness", "Test sets", "accuracy of all models on each"),
    "holds": ("robustness", "Claims", "whether the first two of the paper hold on each test set"),
    "sensitivity": ("sensitivity", "All choices", "the headline numbers under each"),
}
"""Section, short name, and what a heading adds to it; in a section, tables follow its figures."""

COMPARED = [
    "name", "category", "objective", "train_data", "head", "temperature", "ece",
    "accuracy", "paper_accuracy", "error_inconsistency", "paper_error_inconsistency",
    "ensemble_accuracy", "paper_ensemble_accuracy", "added", "added_best",
]  # fmt: skip
COLUMNS = {f"table{number}": COMPARED for number in (1, 2, 3, 4)} | {
    "class_specialisation": [
        "pair", "what", "class", "examples", "theta", "advantage", "accuracy_1", "accuracy_2",
        "p_holm", "specialist",
    ],
    "first": [
        "base_name", "name", "category", "objective", "train_data", "accuracy", "gain", "raises",
    ],
    "updates": [
        "update", "system", "accuracy", "gain", "negative_flips", "positive_flips", "of_errors",
        "left",
    ],
    "update_classes": [
        "update", "what", "class", "examples", "negative_flips", "positive_flips", "gain",
        "p_holm", "verdict",
    ],
    "images": ["id", "rank", "class", "answer", "agree", "models", "confidence"],
    "novelty": [
        "name", "category", "accuracy", "error_inconsistency", "excess", "error_consistency",
        "added_nats", "only_right", "verdict",
    ],
    "recommendations": [
        "names", "kind", "size", "selection_accuracy", "accuracy", "gain", "as_good", "choice",
        "choice_accuracy", "nll", "nll_gain", "coverage_at_risk", "macs", "exits", "parameters",
        "pareto", "pareto_parameters",
    ],
    "uncertainty": [
        "kind", "names", "combination", "chosen", "accuracy", "nll", "nll_gain", "nll_diversity",
        "brier", "ece", "auroc", "aurc", "augrc", "coverage_at_risk", "risk_at_coverage",
    ],
}  # fmt: skip
"""Columns to show of tables that have more."""

NUMBERS = {
    "slope": ("Slope of improvement by inconsistency", 1, 3),
    "correlation": ("Correlation of improvement and inconsistency", 1, 3),
    "improvement": ("Mean improvement (points)", 100, 2),
    "conversion_rate": ("Mean conversion rate (%)", 100, 1),
    "greedy_gain": ("Mean gain of greedy ensembles (points)", 100, 2),
    "dimensions": ("Dimensions to reach the target", 1, 0),
}
"""Of the table of sensitivity: label, scale and decimals."""

CHOICES = {
    ("combination", "probability"): "mean of probabilities",
    ("combination", "logit"): "mean of logits",
    ("combination", "weighted"): "weighted logits",
    ("combination", "confident"): "the most confident model",
    ("temperature", "none"): "not calibrated",
    ("temperature", "calibration"): "temperatures of held-out images",
    ("temperature", "test"): "temperatures of the test images",
    ("protocol", "held-out"): "selected on held-out images",
    ("protocol", "paper"): "selected on the test images",
    ("replacement", "True"): "a model may come in twice",
    ("replacement", "False"): "no model twice",
}
"""What the choices in that table mean; any other is written as its name and value."""

LOOKED_UP = {
    "error_inconsistency": ("Exactly one is right", 100, 1, " %"),
    "error_consistency": ("Error consistency κ", 1, 2, ""),
    "both_right": ("Both right", 100, 1, " %"),
    "both_wrong": ("Both wrong", 100, 1, " %"),
    "only_1": ("Only the first right", 100, 1, " %"),
    "only_2": ("Only the second right", 100, 1, " %"),
    "ensemble_accuracy": ("Accuracy of both together", 100, 2, " %"),
    "improvement": ("Above the mean of both", 100, 2, " points"),
    "conversion_rate": ("Of the inconsistent, right together", 100, 1, " %"),
}
"""What the look-up says of a pair: label, scale, decimals and unit."""

SHEETS = {
    "none-right": "Images that no model gets right",
    "suspected-labels": "Images where models agree against the label",
}
"""Titles of the sheets of images by all models, by their files' stems."""

SUSPECTS = 100  # suspected labels that a page lists
MOST_PAIRS = 20_000  # that a page holds for looking up
PLAIN = 500_000  # bytes up to which text is put into a page as it is


def anchor(stem: str) -> str:
    """Where a figure is in the page: a table may have the same stem as the figure that draws it."""
    return stem if stem.startswith("figure") else f"figure-{stem}"


def titled(place: str) -> dict[str, str]:
    """Short name and heading of the block at an anchor."""
    plain = place.removeprefix("figure-").replace("figure", "figure ").replace("_", " ")
    titles = {anchor(figure.name): figure.title for figure in FIGURES}
    _, short, rest = TABLES.get(place, ("", titles.get(place, plain.capitalize()), ""))
    return {"short": short, "title": f"{short}: {rest}" if rest else short}


def attach(stem: str, kind: str, content: bytes) -> dict:
    """Put a file into the page to be saved: text that is large, packed."""
    label = "table" if kind == "tsv" else kind.upper()
    if len(content) <= PLAIN or kind not in ("tsv", "svg"):
        return {"name": f"{stem}.{kind}", "kind": label, "href": page.data_uri(content, kind)}
    packed = page.data_uri(gzip.compress(content, mtime=0), "gz")
    return {"name": f"{stem}.{kind}.gz", "kind": f"{label} (gzip)", "href": packed}


def figure(stem: str, drawings: Mapping[str, bytes], tsv: bytes | None, caption: str) -> dict:
    """Put a figure into the page, as SVG or PNG, whichever is smaller, with all files beside it.

    Parameters
    ----------
    stem : str
        Its name.
    drawings : mapping of str to bytes
        By 'svg', and if there are any 'png' and 'pdf'.
    tsv : bytes or None
        The table that it draws.
    caption : str
        In the subset of reStructuredText of `page.render_rst`.
    """
    names = titled(anchor(stem))
    shown = min((k for k in ("svg", "png") if k in drawings), key=lambda k: len(drawings[k]))
    width = page.svg_width(drawings["svg"])
    if not width and "png" in drawings:
        width = page.png_width(drawings["png"])
    # What is shown is not put in twice: the page gives the link the image's own address.
    files = [
        {"name": f"{stem}.{kind}", "kind": kind.upper(), "href": None}
        if kind == shown
        else attach(stem, kind, content)
        for kind, content in drawings.items()
    ]
    if tsv:
        files.append(attach(stem, "tsv", tsv))
    return {
        "kind": "figure",
        **names,
        "alt": page.first_sentence(caption) or names["short"],
        "caption": page.render_rst(caption),
        "source": page.data_uri(drawings[shown], shown),
        "inches": width or 6.9,
        "files": files,
    }


def table(
    stem: str,
    rows: pd.DataFrame,
    names: Mapping[str, str],
    content: bytes | None,
    caption: str = "",
) -> dict | None:
    """Put a table into the page; None if it has no rows.

    Parameters
    ----------
    stem : str
        Its name, which gives the title and the columns to show.
    rows : DataFrame
    names : mapping of str to str
        Names of the models, by key.
    content : bytes or None
        The file, to save from the page.
    caption : str
    """
    if rows.empty:
        return None
    if stem == "recommendations":
        rows = rows.sort_values("selection_accuracy", ascending=False, kind="stable")
        gains = [column for column in rows if column.startswith("gain")]
        rows.loc[rows["size"] == 1, gains] = float("nan")  # over itself
        rows = rows.drop(columns=[c for c in ("pareto",) if c in rows and not costs_known(rows)])
    if stem in ("updates", "update_classes"):
        rows = in_words(rows)
    if stem == "update_classes":  # the worst of each update first
        place = rows["update"].map({name: i for i, name in enumerate(rows["update"].unique())})
        rows = rows.assign(place=place).sort_values(["place", "gain"], kind="stable")
    if stem == "images":  # there may be very many
        rows, content = rows[rows["rank"] <= SUSPECTS].sort_values("rank"), None
    if stem == "novelty" and (rows["verdict"] == UNKNOWN).all():
        rows = rows.drop(columns="verdict")
        caption = caption.partition("\n\n")[0]
    if stem == "sensitivity" and "number" in rows:
        view = page.grid(*variants(rows), names)
    else:
        view = page.grid(rows, {}, names, COLUMNS.get(stem, ()))
    notes = [f"The first {SUSPECTS}; images.tsv has all images."] if stem == "images" else []
    if any(column.endswith("_low") for column in rows):
        notes.append("Intervals are of 95 %.")
    if "†" in "".join(cell.text for row in view.rows for cell in row):
        notes.append("† The fit of this temperature did not converge.")
    files = [attach(stem, "tsv", content)] if content else []
    return {
        "kind": "table",
        **titled(stem),
        "caption": page.render_rst(caption),
        "grid": view,
        "notes": notes,
        "files": files,
    }


def costs_known(rows: pd.DataFrame) -> bool:
    """Whether a table says what anything costs."""
    costs = [column for column in ("macs", "parameters", "images_per_second") if column in rows]
    return not costs or bool(rows[costs].notna().any(axis=None))


def lookup(
    pairs: pd.DataFrame, combination: str, first: Sequence[str], content: bytes
) -> dict | None:
    """Let a reader look up any pair; None without pairs.

    Parameters
    ----------
    pairs : DataFrame
        As in pairs.tsv.
    combination : str
        Which combination of two models to show.
    first : sequence of str
        Keys of the two models that are shown before any is chosen; any pair if it is no pair.
    content : bytes
        The file of all pairs, to save from the page.
    """
    named = pairs.get("combination", pd.Series(dtype=str)) == combination
    rows = pairs[named] if named.any() else pairs
    if rows.empty or not {"model_1", "model_2", "name_1", "name_2"} <= set(rows):
        return None
    called = _called(rows)
    names, place = list(called.values()), {key: number for number, key in enumerate(called)}
    known = [column for column in LOOKED_UP if column in rows and rows[column].notna().any()]
    ends = [column + end for column in known for end in ("", "_low", "_high")]
    values = rows.head(MOST_PAIRS).reindex(columns=ends).astype(float).round(6)
    data = {
        "names": names,
        "rows": [LOOKED_UP[column] for column in known],
        "pairs": [
            [place[one], place[two], *(None if pd.isna(v) else v for v in numbers)]
            for one, two, numbers in zip(
                rows["model_1"], rows["model_2"], values.to_numpy().tolist(), strict=False
            )
        ],
        "first": [place[key] for key in first] if set(first) <= set(place) else [],
        "swap": [known.index(c) for c in ("only_1", "only_2") if c in known],
    }
    return {
        "kind": "lookup",
        **titled("lookup"),
        "names": sorted(names, key=str.casefold),
        # Nothing in it may end the element that holds it.
        "data": json.dumps(data, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c"),
        "files": [attach("pairs", "tsv", content)],
    }


def _called(rows: pd.DataFrame) -> dict[str, str]:
    """Name models by their keys, with the key behind a name that several have."""
    names = dict(zip(rows["model_1"], rows["name_1"], strict=True))
    names |= dict(zip(rows["model_2"], rows["name_2"], strict=True))
    given = list(names.values())
    return {k: n if given.count(n) == 1 else f"{n} [{k}]" for k, n in names.items()}


def sheet(title: str, alt: str, content: bytes) -> dict:
    """Put a contact sheet into the page."""
    return {
        "title": title,
        "alt": alt,
        "source": page.data_uri(content, "png"),
        "inches": page.png_width(content),
    }


def sheet_words(place: str, stem: str, names: Mapping[str, str]) -> tuple[str, str]:
    """Title a contact sheet, and say what is on it, by its block and its file's stem."""
    if place == "image_sheets":
        return SHEETS[stem], f"{SHEETS[stem]}."
    title = page.as_names(stem, names) or stem
    if place == "flip_sheets":
        title = title.replace(" + ", " to ", 1)
        return f"From {title}", f"Images that the update from {title} loses and wins."
    return title, f"Images that exactly one of {title} gets right."


def arrange(blocks: Mapping[str, dict]) -> list[dict]:
    """Put blocks into sections, those without any left out.

    Parameters
    ----------
    blocks : mapping of str to dict
        By their anchors.

    Returns
    -------
    list of dict
        `id`, `title`, `lead` and `blocks`, each with its `id`.
    """
    section_of = {anchor(figure.name): figure.section for figure in FIGURES}
    section_of |= {stem: section for stem, (section, _, _) in TABLES.items()}
    section_of |= {place: "further" for place in blocks if place not in section_of}
    sections = []
    for key, (title, lead) in SECTIONS.items():
        places = [place for place in section_of if section_of[place] == key]
        mine = [blocks[place] | {"id": place} for place in places if place in blocks]
        if mine:
            sections.append({"id": f"part-{key}", "title": title, "lead": lead, "blocks": mine})
    return sections


def variants(rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Give the table of sensitivity one column for all choices, and numbers in their own units.

    Parameters
    ----------
    rows : DataFrame
        `number`, `category`, the choices, `value` with its interval, and `chosen`.

    Returns
    -------
    table : DataFrame
    written : dict of str to list of str
        The cells of `value`, as people read them.
    """
    measured = {"number", "category", "value", "value_low", "value_high", "chosen"}
    choices = [column for column in rows if column not in measured]
    records = rows.to_dict("records")
    shown = [NUMBERS.get(row["number"], (row["number"], 1, 3)) for row in records]
    table = pd.DataFrame(
        {
            "number": [label for label, _, _ in shown],
            "category": rows["category"].to_numpy(),
            "choices": [
                ", ".join(_choice(name, row[name]) for name in choices if pd.notna(row[name]))
                for row in records
            ],
            "value": rows["value"].to_numpy(),
            "the study's own": rows["chosen"].to_numpy(),
        }
    )
    written = [
        page.write_interval(
            scale * row["value"],
            scale * row["value_low"],
            scale * row["value_high"],
            decimals,
            ends=True,
        )
        for row, (_, scale, decimals) in zip(records, shown, strict=True)
    ]
    return table, {"value": written}


def _choice(choice: str, value: object) -> str:
    return CHOICES.get((choice, str(value)), f"{choice} {value}")
