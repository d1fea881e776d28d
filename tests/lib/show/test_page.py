import base64
import io
import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from workflow.lib.show import page as report
from workflow.lib.show.numbers import write_interval
from workflow.lib.show.page import grid
from workflow.lib.show.style import LOOKS

NAN = float("nan")
NAMES = {"base": "ResNet", "seed-1": "ResNet (seed 1)", "clip": "CLIP"}
MODELS = pd.read_csv(
    io.StringIO("""
model,name,category,group,head,temperature,converged,accuracy,accuracy_low,accuracy_high
base,ResNet,base,base,trained,1.25,True,0.76,0.75,0.77
seed-1,ResNet (seed 1),reinit,main,trained,0.5,False,0.7,0.69,0.71
clip,CLIP,dataset,main,lbfgs,,True,0.8,0.79,0.81
""")
)


def texts(table: report.Grid) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def column(table: report.Grid, label: str) -> list[report.Cell]:
    return [row[table.labels.index(label)] for row in table.rows]


def test_a_caption_is_paragraphs_with_bold():
    assert report.render_rst("**Figure 1: a\nb.** Then c.\n\n**d** and e\n") == (
        "<p><strong>Figure 1: a b.</strong> Then c.</p>\n<p><strong>d</strong> and e</p>"
    )
    assert report.render_rst(" \n") == ""


def test_a_caption_is_escaped_and_nothing_else_is_markup():
    assert report.render_rst('**a < b** & "c" `d`') == (
        "<p><strong>a &lt; b</strong> &amp; &#34;c&#34; `d`</p>"
    )
    assert report.render_rst("2 ** 3, and *one*") == "<p>2 ** 3, and *one*</p>"


def test_per_cent_signs_stay_with_their_numbers():
    assert report.tie("from 8.5 % to 9 %") == "from 8.5\N{NO-BREAK SPACE}% to 9\N{NO-BREAK SPACE}%"


@pytest.mark.parametrize(
    ("caption", "sentence"),
    [
        ("**Figure 1: more than\n8.5 of them.** And more.", "Figure 1: more than 8.5 of them."),
        ("no full stop", "no full stop"),
        ("", ""),
    ],
)
def test_first_sentence(caption, sentence):
    assert report.first_sentence(caption) == sentence


def test_a_data_uri_holds_the_file():
    head, content = report.data_uri(b"a\tb\n\xff", "tsv").split(",")
    assert head == "data:text/tab-separated-values;base64"
    assert base64.b64decode(content) == b"a\tb\n\xff"


def test_widths_of_figures_are_those_they_were_drawn_at(tmp_path):
    figure = Figure(figsize=(3.3, 2))
    figure.savefig(tmp_path / "a.svg")
    figure.savefig(tmp_path / "a.png", dpi=300)
    assert report.svg_width((tmp_path / "a.svg").read_bytes()) == pytest.approx(3.3)
    assert report.png_width((tmp_path / "a.png").read_bytes()) == pytest.approx(3.3)
    assert report.svg_width(b'<svg viewBox="0 0 1 1">') is None
    with pytest.raises(ValueError, match="not a PNG"):
        report.png_width(b"GIF89a" + bytes(20))


@pytest.mark.parametrize(
    ("numbers", "options", "text"),
    [
        ((87.54, 86.9, 88.2, 2), {}, "87.54 ± 0.65"),
        ((99.0, 97.0, 99.5, 1), {"ends": True}, "99.0 (97.0 to 99.5)"),
        ((-0.004, -1.5, 1.492, 2), {"sign": True, "ends": True}, "0.00 (−1.50 to +1.49)"),
        ((-0.05, NAN, NAN, 2), {}, "−0.05"),
        ((12345.6, NAN, 1.0, 0), {}, "12,346"),
        ((NAN, 0.0, 1.0, 2), {}, "–"),
    ],
)
def test_numbers_and_their_intervals(numbers, options, text):
    assert write_interval(*numbers, **options) == text


@pytest.mark.parametrize(("p", "text"), [(0.0004, "< 0.001"), (0.0214, "0.021"), (NAN, "–")])
def test_p_values(p, text):
    assert report.write_p(p) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("clip", "CLIP"),
        ("base+clip", "ResNet + CLIP"),
        ("base--seed-1", "ResNet + ResNet (seed 1)"),
        ("base, clip, seed-1", "ResNet + CLIP + ResNet (seed 1)"),
        ("base + vit", None),
        ("", None),
    ],
)
def test_models_are_told_by_name(text, told):
    assert report.as_names(text, NAMES) == told


def test_a_table_is_as_people_read_it_and_sorted_by_what_it_is():
    table = grid(MODELS, {}, NAMES)
    # The key says what the name does; the interval is in the accuracy's column.
    assert table.labels == [
        "Model", "Category", "Group", "Head", "Temperature", "Converged", "Accuracy (%)",
    ]  # fmt: skip
    assert table.numbers == [False, False, False, False, True, False, True]
    assert texts(table) == [
        ["ResNet", "Base", "base", "trained", "1.25", "yes", "76.0 ± 1.0"],
        ["ResNet (seed 1)", "Reinitialisation", "main", "trained", "0.50†", "no", "70.0 ± 1.0"],
        ["CLIP", "Dataset", "main", "lbfgs", "–", "yes", "80.0 ± 1.0"],
    ]
    assert [cell.sort for cell in column(table, "Accuracy (%)")] == [0.76, 0.7, 0.8]
    assert [cell.sort for cell in column(table, "Temperature")] == [1.25, 0.5, None]
    categories = column(table, "Category")
    assert [cell.colour for cell in categories] == [
        LOOKS[name].colour for name in ("base", "reinit", "dataset")
    ]
    assert [cell.sort for cell in categories] == sorted(cell.sort for cell in categories)
    assert not table.searchable


def test_columns_can_be_chosen():
    table = grid(MODELS, {}, NAMES, ["accuracy", "unknown", "name"])
    assert table.labels == ["Accuracy (%)", "Model"]


def test_the_order_of_rows_changes_no_cell():
    order = [2, 0, 1]
    shuffled = grid(MODELS.iloc[order].reset_index(drop=True), {}, NAMES)
    assert shuffled.rows == [grid(MODELS, {}, NAMES).rows[i] for i in order]


def test_keys_of_models_become_names_and_words_stay():
    table = pd.DataFrame({"added": ["clip", None], "pair": ["base + clip", "a, b"], "head": "clip"})
    assert texts(grid(table, {}, NAMES)) == [
        ["CLIP", "base + clip", "clip"],
        ["–", "a, b", "clip"],
    ]


def test_lopsided_intervals_show_both_ends_in_the_whole_column():
    shares = pd.DataFrame(
        {"accuracy": [0.5, 0.99], "accuracy_low": [0.4, 0.94], "accuracy_high": [0.6, 1.0]}
    )
    assert texts(grid(shares, {}, {})) == [["50.0 (40.0 to 60.0)"], ["99.0 (94.0 to 100.0)"]]


@pytest.mark.parametrize(
    ("name", "values", "label", "text"),
    [
        ("gain", [-0.0123], "Gain (points)", "−1.23"),
        ("improvement", [0.0123], "Improvement (points)", "+1.23"),
        ("base_accuracy", [0.5], "Base accuracy (%)", "50.00"),
        ("gain_over_best", [0.5], "Gain over best (points)", "+50.00"),
        ("learning_rate", [2.5], "Learning rate", "2.50"),  # no fraction
        ("parameters", [1234567], "Parameters", "1,234,567"),
        ("only_1", [381], "Only model 1 right", "381"),
        ("only_1", [0.0381], "Only model 1 right (%)", "3.81"),
        ("p_holm", [0.0001], "p (Holm)", "< 0.001"),
        ("chosen", [True], "Chosen", "yes"),
        ("error_consistency", [0.69903], "Error consistency (κ)", "0.699"),
    ],
)
def test_names_and_values_tell_what_a_number_is(name, values, label, text):
    table = grid(pd.DataFrame({name: values}), {}, {})
    assert (table.labels, texts(table)) == ([label], [[text]])


def test_what_has_been_written_is_shown_and_sorted_by_its_number():
    table = grid(pd.DataFrame({"value": [0.25, 48.0]}), {"value": ["25 %", "48"]}, {})
    assert [(cell.text, cell.sort) for cell in column(table, "Value")] == [
        ("25 %", 0.25),
        ("48", 48.0),
    ]


def test_empty_columns_are_left_out_and_empty_tables_are_not():
    assert grid(pd.DataFrame({"a": [1, 2], "b": [NAN, NAN]}), {}, {}).labels == ["A"]
    empty = grid(MODELS.iloc[:0], {}, NAMES)
    assert empty.rows == [] and "Accuracy (%)" in empty.labels


def test_long_tables_can_be_searched():
    assert not grid(pd.DataFrame({"a": range(30)}), {}, {}).searchable
    assert grid(pd.DataFrame({"a": range(31)}), {}, {}).searchable


def pairs(inconsistency: dict[str, list[float]]) -> pd.DataFrame:
    rows = [
        {"category": category, "error_inconsistency": value}
        for category, values in inconsistency.items()
        for value in values
    ]
    fixed = {"with_base": True, "main": True, "combination": "logit", "examples": 5000}
    table = pd.DataFrame(rows).assign(**fixed)
    # On a line: r = 1, and -1 for the other mean.
    table["improvement"] = 0.4 * table["error_inconsistency"]
    other = table.assign(combination="probability", improvement=-table["improvement"])
    return pd.concat([table, other], ignore_index=True)


def test_the_headline():
    head = report.headline(MODELS, pairs({"reinit": [0.1, 0.2], "arch": [0.3, 0.3, 0.3]}), "logit")
    assert {key: head[key] for key in ("models", "inside", "examples", "base", "compared")} == {
        "models": 3, "inside": 3, "examples": 5000, "base": "ResNet", "compared": 5,
    }  # fmt: skip
    assert (head["accuracy"], head["accuracy_interval"]) == ("76.00", "75.00 to 77.00")
    assert head["r"] == "1.00"
    reinit, arch = head["categories"]
    # No interval of two values: half of it would be 12.706 * 0.05 = 0.635.
    assert (reinit["text"], reinit["models"]) == ("15.0", 2)
    assert (arch["text"], arch["share"]) == ("30.0 ± 0.0", 1)
    assert math.isclose(reinit["share"], 0.5)
    assert report.headline(MODELS, pairs({"arch": [0.1, 0.2, 0.3, 0.4]}), "probability")["r"] == (
        "−1.00"
    )


def test_the_headline_of_almost_nothing():
    head = report.headline(MODELS.iloc[:1], pairs({"arch": [0.1]}), "logit")
    assert head["r"] is None and head["categories"][0]["text"] == "10.0"
    none = report.headline(MODELS.iloc[1:], pairs({"arch": [0.1]}).iloc[:0], "logit")
    assert none["base"] is None and none["categories"] == [] and none["examples"] is None


def test_integers_with_gaps_stay_whole():
    table = pd.DataFrame({"step": np.array([1, np.nan, 3])})
    assert texts(grid(table, {}, {})) == [["1"], ["–"], ["3"]]


def test_words_of_the_users_mean_what_they_say():
    columns = {"class": ["True", "False"], "task": ["clip", "base"], "raises": [True, False]}
    table = pd.DataFrame(columns)
    rows = grid(table, {}, NAMES).rows
    assert [[cell.text for cell in row] for row in rows] == [
        ["True", "clip", "yes"],
        ["False", "base", "no"],
    ]
