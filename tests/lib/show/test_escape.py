"""The user's words are shown as they are, whatever they mean in a library's markup."""

import io
import logging
from pathlib import Path

import pandas as pd
import pytest
from fontTools.ttLib import TTFont
from matplotlib import font_manager, rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workflow.lib.measures.verdicts import Claim
from workflow.lib.show import escape, fonts, marks
from workflow.lib.show.style import RC
from workflow.scripts import summary
from workflow.scripts.figures.figure4 import figure4

WORDS = ["Ba$$in", "$x$", "a_b^{c}", r"\frac{1}", "50 %", "R&D &lt; *b*", "_hidden"]


@pytest.mark.parametrize("text", WORDS)
def test_figures_show_any_text(text, tmp_path):
    with rc_context(RC):
        figure = Figure()
        ax = figure.subplots()
        ax.set_xticks([0], [text])
        ax.set_title(text)
        handle = Line2D([], [], label=escape.label(text))
        legend = ax.legend(handles=[handle])
        marks.save(figure, tmp_path / "a.png", tmp_path / "a.pdf", tmp_path / "a.svg")
    assert [entry.get_text().lstrip("\N{ZERO WIDTH SPACE}") for entry in legend.get_texts()] == [
        text
    ]


def test_every_figure_is_drawn_by_the_style():
    for path in Path("workflow/scripts/figures").glob("[!_]*.py"):
        assert "@rc_context(RC)" in path.read_text(), path


def test_classes_and_models_of_figure_4_may_be_called_anything(tmp_path):
    rows = [
        {
            "pair": "a + b",
            "model_1": "a",
            "model_2": "b",
            "name_1": "_a $",
            "name_2": "b $$",
            "category_1": "base",
            "category_2": "arch",
            "category": "arch",
            "what": what,
            "label": label,
            "class": name,
            "theta": 0.1,
            "theta_low": 0.0,
            "theta_high": 0.2,
            "specialist": "a",
        }
        for what, label, name in (("class", 0, "Ba$$in"), ("class", 1, "$"), ("group", -1, "_$"))
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    files = {kind: str(tmp_path / f"figure4.{kind}") for kind in ("pdf", "svg", "png", "tsv")}
    figure4(table=str(tmp_path / "t.tsv"), **files)
    assert all(Path(file).stat().st_size > 300 for file in files.values())


def test_markdown_and_latex():
    assert escape.markdown("R&D &lt; *b*\n_c_") == r"R&D \&lt; \*b\* \_c\_"
    assert escape.latex("R&D_50 %") == r"R\&D\_50 \%"
    claim = Claim("a claim", "figure1", "yes", "best: <b>*x*</b>", 0.01, 0.02)
    text = summary.page([claim], "my_*study*", "probability")
    assert text.startswith("# my\\_\\*study\\*\n")
    assert r"best: \<b>\*x\*\</b>" in text


@pytest.fixture
def lent(tmp_path, monkeypatch):
    """A font that is installed, whose A has the place of a Chinese letter as well."""
    path = tmp_path / "lent.ttf"
    font = TTFont(font_manager.findfont("DejaVu Sans"))
    for table in font["cmap"].tables:
        if table.isUnicode():
            table.cmap = {0x4E2D: "A"}
    for record in font["name"].names:
        if record.nameID in (1, 4, 16):
            record.string = "Lent"
    font.save(path)
    manager = font_manager.fontManager
    monkeypatch.setattr(manager, "ttflist", list(manager.ttflist))
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(path)])
    return path


def drawn(text):
    with rc_context(RC):
        figure = Figure()
        figure.text(0.5, 0.5, text)
        content = io.BytesIO()
        missing = fonts.lend_letters(figure)
        figure.savefig(content)
    return figure, missing, content.getvalue()


def test_letters_are_lent_by_installed_fonts(lent, caplog):
    figure, missing, content = drawn("x \u4e2d")
    assert missing == "" and caplog.text == ""
    assert figure.texts[0].get_fontfamily() == ["DejaVu Sans", "Lent"]
    assert content == drawn("x A")[2]


def test_letters_that_no_font_has_are_told(monkeypatch, caplog, tmp_path):
    monkeypatch.setattr(fonts, "_fonts", lambda: [])
    with caplog.at_level(logging.WARNING), rc_context(RC):
        figure = Figure()
        figure.text(0.5, 0.5, "a \u4e2d \u0e01 caf\u00e9")
        marks.save(figure, tmp_path / "a.svg")
    assert "no installed font has the letters \u0e01\u4e2d, which" in caplog.text
    assert figure.texts[1].get_text() == (
        "Boxes: letters that no installed font has (U+0E01, U+4E2D)"
    )
    plain = Figure()
    plain.text(0.5, 0.5, "a θ ± ✓ café")
    assert fonts.lend_letters(plain) == ""
