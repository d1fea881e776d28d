"""The report of a study: one page that holds all its figures and tables, and needs nothing else.

Its first screen answers what a visitor asks. What a study does not have is left out, with its
section if nothing else is in it; all files that a page shows can be saved from it.
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
from workflow.lib.show import blocks, page

log = logging.getLogger("uncorrelated")

UNKNOWN = "not known (too few models"  # evidence of a claim that the study cannot judge
VERDICTS = {"yes": "Holds", "no": "Does not hold", "unclear": "Unclear"}

PACKAGES = ["numpy", "scipy", "pandas", "scikit-learn", "torch", "timm", "open_clip_torch"]
PACKAGES += ["matplotlib", "seaborn", "snakemake"]


def report(
    *,
    template: str,
    figures: list[str],
    tsvs: list[str],
    captions: list[str],
    tables: list[str],
    sheets: list[str],
    flip_sheets: list[str],
    image_sheets: list[str],
    findings: list[str] | str,
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
    figures, tsvs : list of str
        SVG, PNG and PDF files of the figures, and the tables that they draw. Files of one figure
        have the same stem.
    captions : list of str
        Of figures and tables by their stems, and `contact_sheet.rst`, `flip_sheets.rst` and
        `image_sheets.rst` of sheets.
    tables : list of str
        Tables by their stems: those of `blocks.TABLES`, or any other.
    sheets : list of str
        Contact sheets of pairs, `<first>--<second>.png`.
    flip_sheets, image_sheets : list of str
        Those of updates, `<old>--<new>.png`, and of images by all models.
    findings : str or empty list
        Table of findings.
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
        If two figures or tables have the same name, or a file is damaged.
    """
    known, every = read_table(models), read_table(pairs)
    names = dict(zip(known["model"], known["name"].astype(str), strict=True))
    answers = _read(findings)
    stems = _by_stem(tables)
    texts = _by_stem(captions)
    parts = gather(
        names,
        drawings={kind: _by_stem(path for path in figures if path.endswith(kind))
                  for kind in (".svg", ".png", ".pdf")},
        tsvs=_by_stem(tsvs),
        captions=texts,
        tables=stems,
        sheets={
            "contact_sheet": _by_stem(sheets),
            "flip_sheets": _by_stem(flip_sheets),
            "image_sheets": _by_stem(image_sheets),
        },
    )  # fmt: skip
    if answers is not None:
        first = _recommended(stems)
        parts["lookup"] = blocks.lookup(every, study["ensemble"], first, read_sealed(pairs))
    shown = {place: block for place, block in parts.items() if block}
    claims = _read(summary)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = environment.from_string(Path(template).read_text(encoding="utf-8")).render(
        study=study,
        head=page.headline(known, every, study["ensemble"]),
        classes=len(Manifest.read(_one(manifest)).classes) if manifest else None,
        problems=[
            problem
            for path in tables
            if Path(path).stem == "calibration"
            for problem in problems_of(read_table(path), names)
        ],
        answers=[] if answers is None else answers.map(page.tie).to_dict("records"),
        sections=blocks.arrange(shown),
        claims=[]
        if claims is None
        else [
            {
                **row,
                "evidence": page.tie(str(row["evidence"])),
                "verdict": VERDICTS.get(row["holds"], row["holds"]),
                "link": row["section"] if row["section"] in shown else None,
            }
            for row in claims.to_dict("records")
            if UNKNOWN not in str(row["evidence"])
        ],
        configuration=yaml.safe_dump(study, sort_keys=False, allow_unicode=True, width=100),
        versions=versions(),
    )
    with replacing(html) as part:
        part.write_text(text, encoding="utf-8")
    log.info("%s: %d blocks, %.1f MB", html, len(shown), len(text.encode()) / 1e6)


def gather(
    names: Mapping[str, str],
    *,
    drawings: Mapping[str, Mapping[str, str]],
    tsvs: Mapping[str, str],
    captions: Mapping[str, str],
    tables: Mapping[str, str],
    sheets: Mapping[str, Mapping[str, str]],
) -> dict[str, dict | None]:
    """Read all figures and tables into what the template shows.

    Parameters
    ----------
    names : mapping of str to str
        Names of the models, by key.
    drawings : mapping of str to mapping of str to str
        Files of figures, by suffix and stem.
    tsvs, captions, tables : mapping of str to str
        Files, by stem.
    sheets : mapping of str to mapping of str to str
        Contact sheets by stem, by their block.

    Returns
    -------
    dict of str to dict or None
        By the anchor of each block; None has nothing to show.
    """
    found: dict[str, dict | None] = {}
    for stem in drawings[".svg"]:
        files = {kind[1:]: _drawing(own[stem]) for kind, own in drawings.items() if stem in own}
        drawn = tsvs.get(stem)
        rows = read_table(drawn) if drawn else None
        if rows is None or (len(rows) and (stem != "pareto" or blocks.costs_known(rows))):
            content = read_sealed(drawn) if drawn else None
            caption = _text(captions.get(stem))
            found[blocks.anchor(stem)] = blocks.figure(stem, files, content, caption)
    for stem, path in tables.items():
        caption = _text(captions.get(stem))
        found[stem] = blocks.table(stem, read_table(path), names, read_sealed(path), caption)
    if "sensitivity" in tsvs and "sensitivity" not in tables:
        drawn = read_table(tsvs["sensitivity"])
        found["sensitivity"] = blocks.table("sensitivity", drawn, names, None)
    if "figure5" in tsvs:
        drawn = read_table(tsvs["figure5"])
        if "what" in drawn and (drawn["what"] == "first").any():
            first = drawn[drawn["what"] == "first"].drop(columns="what")
            found["first"] = blocks.table("first", first, names, None)
    for place, own in sheets.items():
        shown = [
            blocks.sheet(*blocks.sheet_words(place, stem, names), _drawing(path))
            for stem, path in own.items()
        ]
        if shown:
            caption = page.render_rst(_text(captions.get(place)))
            block = {"kind": "sheets", "caption": caption, "sheets": shown}
            found[place] = block | blocks.titled(place)
    return found


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


def _recommended(tables: Mapping[str, str]) -> list[str]:
    """Keys of the pair that is best on held-out images, if there is one."""
    if "recommendations" not in tables:
        return []
    rows = read_table(tables["recommendations"])
    pairs = rows[rows["size"] == 2]
    if pairs.empty:
        return []
    return pairs.loc[pairs["selection_accuracy"].idxmax(), "models"].split(" + ")


def _drawing(path: str) -> bytes:
    """Read an SVG, PNG or PDF file, refusing one that is cut short."""
    content = read_sealed(path)
    if not content.rstrip().endswith((b"</svg>", b"IEND\xaeB`\x82", b"%%EOF")):
        raise InputError(f"{path} is no whole drawing; {AGAIN}")
    return content


def _by_stem(paths) -> dict[str, str]:
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


def _read(paths: Sequence[str] | str) -> pd.DataFrame | None:
    return read_table(_one(paths)) if paths else None


def _text(path: str | None) -> str:
    return Path(path).read_text(encoding="utf-8") if path else ""


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(report, snakemake)
