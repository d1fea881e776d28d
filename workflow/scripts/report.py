"""The report of a study: one page that holds all its figures and tables, and needs nothing else.

Figures are put into the page as SVG, or as PNG where that is smaller; small tables can be saved
from it. What a study does not have is left out, with its section if nothing else is in it.
"""

import logging
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import jinja2
import pandas as pd
import yaml

from workflow.lib.data.manifest import Manifest
from workflow.lib.outputs.tables import read_table
from workflow.lib.run.errors import InputError
from workflow.lib.run.files import AGAIN, read_sealed, replacing
from workflow.lib.show import page
from workflow.lib.study.figures import FIGURES, SECTIONS

log = logging.getLogger("uncorrelated")

TABLES = {
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
        "who is right more often, by class and group of classes",
    ),
    "contact_sheet": ("specialisation", "Contact sheets", ""),
    "first": ("ensembles", "First members", "what to add first to each base"),
    "recommendations": ("ensembles", "Recommendations", "ensembles worth their cost"),
    "uncertainty": ("ensembles", "Uncertainty", "how sure the recommended ones are"),
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
    "recommendations": [
        "names", "kind", "size", "selection_accuracy", "accuracy", "gain", "as_good", "choice",
        "choice_accuracy", "nll", "nll_gain", "coverage_at_risk", "macs", "exits", "parameters",
        "images_per_second", "pareto", "pareto_parameters", "pareto_speed",
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

VERDICTS = {"yes": "Holds", "no": "Does not hold", "unclear": "Unclear"}

PACKAGES = ["numpy", "scipy", "pandas", "scikit-learn", "torch", "timm", "open_clip_torch"]
PACKAGES += ["matplotlib", "seaborn", "snakemake"]


def report(
    *,
    template: str,
    figures: list[str],
    pngs: list[str],
    tsvs: list[str],
    captions: list[str],
    tables: list[str],
    sheets: list[str],
    summary: list[str] | str,
    models: str,
    pairs: str,
    study: dict,
    html: str,
    manifest: Sequence[str] = (),
) -> None:
    """Write the page.

    Parameters
    ----------
    template : str
        Jinja template of the page.
    figures, pngs, tsvs : list of str
        SVG and PNG files of the figures, and the tables that they draw. Files of one figure have
        the same stem.
    captions : list of str
        Of figures by their stems, and `contact_sheet.rst` of all sheets.
    tables : list of str
        Tables by their stems: `table1` to `table4`, `accuracy`, `calibration`,
        `class_specialisation`, `recommendations`, `sensitivity`, or any other.
    sheets : list of str
        Contact sheets of pairs, `<first>--<second>.png`.
    summary : str or empty list
        Table of claims.
    models, pairs : str
        Tables of models and of pairs.
    study : dict
        The completed configuration.
    html : str
        Page to write.
    manifest : str or empty list
        Knows the classes, if the study has a dataset.

    Raises
    ------
    InputError
        If two figures or tables have the same name.
    """
    known = read_table(models)
    names = dict(zip(known["model"], known["name"].astype(str), strict=True))
    blocks = gather(
        names,
        figures=_by_stem(figures),
        pngs=_by_stem(pngs),
        tsvs=_by_stem(tsvs),
        captions=_by_stem(captions),
        tables=_by_stem(tables),
        sheets=_by_stem(sheets),
    )
    claims = _read(summary) if summary else pd.DataFrame()
    recommended = [path for path in tables if Path(path).stem == "recommendations"]
    here = {name for name, block in blocks.items() if block}
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = environment.from_string(Path(template).read_text(encoding="utf-8")).render(
        study=study,
        head=page.headline(known, read_table(pairs), study["ensemble"]),
        classes=len(Manifest.read(_one(manifest)).classes) if manifest else None,
        problems=[
            problem
            for path in tables
            if Path(path).stem == "calibration"
            for problem in problems_of(read_table(path), names)
        ],
        best=best_pair(read_table(recommended[0])) if recommended else None,
        sections=arrange(blocks),
        claims=[
            {
                **row,
                "evidence": page.tie(str(row["evidence"])),
                "verdict": VERDICTS.get(row["holds"], row["holds"]),
                "link": row["section"] if row["section"] in here else None,
            }
            for row in claims.to_dict("records")
        ],
        configuration=yaml.safe_dump(study, sort_keys=False, allow_unicode=True, width=100),
        versions=versions(),
    )
    with replacing(html) as part:
        part.write_text(text, encoding="utf-8")
    log.info(
        "%s: %d figures and sheets, %d tables, %.1f MB",
        html, len(figures) + len(sheets), len(tables), len(text.encode()) / 1e6,
    )  # fmt: skip


def gather(
    names: Mapping[str, str],
    *,
    figures: Mapping[str, str],
    pngs: Mapping[str, str],
    tsvs: Mapping[str, str],
    captions: Mapping[str, str],
    tables: Mapping[str, str],
    sheets: Mapping[str, str],
) -> dict[str, dict]:
    """Read all figures and tables into what the template shows.

    Parameters
    ----------
    names : mapping of str to str
        Names of the models, by key.
    figures, pngs, tsvs, captions, tables, sheets : mapping of str to str
        Files, by stem.

    Returns
    -------
    dict of str to dict
        By the anchor of each block.
    """
    blocks = {}
    for stem, path in figures.items():
        blocks[_anchor(stem)] = figure(
            stem, path, pngs.get(stem), tsvs.get(stem), captions.get(stem)
        )
    for stem, path in tables.items():
        rows = read_table(path)
        if stem == "recommendations":
            rows = rows.sort_values("selection_accuracy", ascending=False, kind="stable")
        caption = _text(captions.get(stem))
        blocks[stem] = table(stem, rows, names, read_sealed(path), caption)
    if "sensitivity" in tsvs and "sensitivity" not in tables:
        drawn = read_table(tsvs["sensitivity"])
        blocks["sensitivity"] = table("sensitivity", drawn, names, None)
    if "figure5" in tsvs:
        drawn = read_table(tsvs["figure5"])
        if "what" in drawn and (drawn["what"] == "first").any():
            first = drawn[drawn["what"] == "first"].drop(columns="what")
            blocks["first"] = table("first", first, names, None)
    if sheets:
        blocks["contact_sheet"] = {
            "kind": "sheets",
            **_title("contact_sheet"),
            "caption": page.render_rst(_text(captions.get("contact_sheet"))),
            "sheets": [
                sheet(page.as_names(stem, names) or stem, path) for stem, path in sheets.items()
            ],
        }
    return blocks


def arrange(blocks: Mapping[str, dict]) -> list[dict]:
    """Put blocks into sections, those without any left out.

    Parameters
    ----------
    blocks : mapping of str to dict
        Of `gather`.

    Returns
    -------
    list of dict
        `id`, `title`, `lead` and `blocks`, each with its `id`.
    """
    section_of = {_anchor(figure.name): figure.section for figure in FIGURES}
    section_of |= {stem: section for stem, (section, _, _) in TABLES.items()}
    section_of |= {anchor: "further" for anchor in blocks if anchor not in section_of}
    sections = []
    for key, (title, lead) in SECTIONS.items():
        anchors = [anchor for anchor in section_of if section_of[anchor] == key]
        mine = [blocks[anchor] | {"id": anchor} for anchor in anchors if anchor in blocks]
        if mine:
            sections.append({"id": key, "title": title, "lead": lead, "blocks": mine})
    return sections


def figure(stem: str, svg: str, png: str | None, tsv: str | None, caption: str | None) -> dict:
    """Put a figure into the page, in whichever format is smaller, with the table that it draws."""
    drawing, text = _drawing(svg), _text(caption)
    title = _title(_anchor(stem))
    width = page.svg_width(drawing)
    source = page.data_uri(drawing, "svg")
    if png:
        pixels = _drawing(png)
        width = width or page.png_width(pixels)
        if len(pixels) < len(drawing):
            source = page.data_uri(pixels, "png")
    return {
        "kind": "figure",
        **title,
        "alt": page.first_sentence(text) or title["short"],
        "caption": page.render_rst(text),
        "source": source,
        "inches": width or 6.9,
        "file": f"{stem}.tsv",
        "download": _attach(read_sealed(tsv)) if tsv else None,
    }


def table(
    stem: str,
    rows: pd.DataFrame,
    names: Mapping[str, str],
    content: bytes | None,
    caption: str = "",
) -> dict:
    """Put a table into the page.

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
    if stem == "sensitivity" and "number" in rows:
        view = page.grid(*variants(rows), names)
    else:
        view = page.grid(rows, {}, names, COLUMNS.get(stem, ()))
    notes = []
    if any(column.endswith("_low") for column in rows):
        notes.append("Intervals are of 95 %.")
    if "†" in "".join(cell.text for row in view.rows for cell in row):
        notes.append("† The fit of this temperature did not converge.")
    return {
        "kind": "table",
        **_title(stem),
        "caption": page.render_rst(caption),
        "grid": view,
        "notes": notes,
        "file": f"{stem}.tsv",
        "download": _attach(content) if content else None,
    }


def sheet(title: str, path: str) -> dict:
    """Put a contact sheet into the page."""
    content = _drawing(path)
    return {
        "title": title,
        "alt": f"Images that exactly one of {title} gets right.",
        "source": page.data_uri(content, "png"),
        "inches": page.png_width(content),
    }


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


def best_pair(recommendations: pd.DataFrame) -> str | None:
    """Name the first pair of a table of recommendations, and its gain; None if it has none."""
    pairs = recommendations[recommendations["size"] == 2]
    if "kind" in pairs:
        pairs = pairs[pairs["kind"] == "ensemble"]
    if pairs.empty:
        return None
    first = pairs.iloc[0]
    shown = f"{100 * first['accuracy']:.2f} %, {100 * first['gain']:+.2f} points".replace("-", "−")
    return f"{first['names']}: {shown}"


def problems_of(calibration: pd.DataFrame, names: Mapping[str, str]) -> list[tuple[str, str]]:
    """Name the models whose outputs have something wrong, and say what."""
    known = calibration.dropna(subset="problem")
    return [
        (names.get(key, key), text)
        for key, text in zip(known["model"], known["problem"], strict=True)
    ]


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that matter for results, as far as they are here."""
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _anchor(stem: str) -> str:
    """Where a figure is in the page: a table may have the same stem as the figure that draws it."""
    return stem if stem.startswith("figure") else f"figure-{stem}"


def _title(anchor: str) -> dict[str, str]:
    """Short name and heading of a block."""
    plain = anchor.removeprefix("figure-").replace("figure", "figure ").replace("_", " ")
    titles = {_anchor(figure.name): figure.title for figure in FIGURES}
    _, short, rest = TABLES.get(anchor, ("", titles.get(anchor, plain.capitalize()), ""))
    return {"short": short, "title": f"{short}: {rest}" if rest else short}


def _choice(choice: str, value: object) -> str:
    return CHOICES.get((choice, str(value)), f"{choice} {value}")


def _attach(content: bytes) -> str | None:
    return page.data_uri(content, "tsv") if len(content) <= page.ATTACHED else None


def _drawing(path: str) -> bytes:
    """Read an SVG or PNG file, refusing one that is cut short."""
    content = read_sealed(path)
    if not content.rstrip().endswith((b"</svg>", b"IEND\xaeB`\x82")):
        raise InputError(f"{path} is no whole drawing; {AGAIN}")
    return content


def _by_stem(paths: Sequence[str] | str) -> dict[str, str]:
    """Give files by stem, refusing that one is lost behind another."""
    paths = [paths] if isinstance(paths, str) else list(paths)
    files = {Path(path).stem: path for path in paths}
    for path in paths:
        if files[Path(path).stem] != path:
            raise InputError(
                f"{path} and {files[Path(path).stem]} have the same name; rename one of them"
            )
    return files


def _one(paths: Sequence[str] | str) -> str:
    return paths if isinstance(paths, str) else paths[0]


def _read(paths: Sequence[str] | str) -> pd.DataFrame:
    return read_table(_one(paths))


def _text(path: str | None) -> str:
    return Path(path).read_text(encoding="utf-8") if path else ""


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(report, snakemake)
