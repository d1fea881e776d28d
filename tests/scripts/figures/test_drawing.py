"""Figures that draw what other stages computed: whole or not, and always the same bytes."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import rc_context

from workflow.lib.measures.summaries import angles
from workflow.lib.show import marks as plots
from workflow.lib.show.style import LOOKS, RC
from workflow.scripts.figures import figure4 as drawing
from workflow.scripts.figures.figure3 import figure3
from workflow.scripts.figures.figure4 import figure4
from workflow.scripts.figures.figure5 import figure5
from workflow.scripts.figures.pareto import named, pareto
from workflow.scripts.figures.sensitivity import draw_values, name_variant, sensitivity


def specialisation(category="arch") -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"confidence_1": rng.uniform(0.2, 1, 40), "confidence_2": 0.6})
    rows["theta"] = np.arctan2(rows["confidence_1"], 0.6) - np.pi / 4
    rows["outcome"] = ["both_right", "both_wrong", "only_1", "only_2"] * 10
    rows["prediction_1"] = ["a", "b"] * 20
    rows["prediction_2"] = rows["ensemble"] = ["a", "b", "b", "a"] * 10
    members = {"model_1": "one", "model_2": "two", "name_1": "One", "name_2": "Two"}
    return rows.assign(pair="one + two", category=category, union=True, **members)


def classes(categories=("base", "arch"), number=4) -> pd.DataFrame:
    rows = pd.DataFrame({"theta": np.linspace(-0.1, 0.1, number), "label": range(number)})
    rows["class"] = [f"class {i}" for i in range(number)]
    rows["theta_low"], rows["theta_high"] = rows["theta"] - 0.02, rows["theta"] + 0.02
    rows["specialist"] = ["two", *[None] * (number - 2), "one"]
    rows["what"] = ["class"] * (number - 1) + ["group"]
    members = {"model_1": "one", "model_2": "two", "name_1": "One", "name_2": "Two"}
    members |= {"category_1": categories[0], "category_2": categories[1]}
    return rows.assign(pair="one + two", **members)


def greedy() -> pd.DataFrame:
    rows = []
    for protocol in ("held-out", "paper"):
        for replacement in (False, True):
            for step, category in enumerate(("dataset", "arch", "reinit")):
                rows.append([protocol, replacement, step, category, 0.9 + 0.01 * step, 0.01 * step])
    columns = ["protocol", "replacement", "step", "category", "accuracy", "gain"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(combination="probability", base="strong", base_name="Strong")


def first(raises: bool) -> pd.DataFrame:
    row = greedy().query("step == 1 and protocol == 'held-out'").iloc[:1]
    return row.assign(raises=raises)


def recommendations(front=True) -> pd.DataFrame:
    sizes = [1, 1, 2, 3]
    table = pd.DataFrame({"size": sizes, "accuracy": [0.7, 0.8, 0.85, 0.84]})
    table["parameters"] = [1e6, 2e6, 3e6, 4e6]
    table["images_per_second"] = [100, np.nan, 50, 20]
    table["macs"] = [1e8, 2e8, 3e8, 4e8]
    for name in ("pareto", "pareto_parameters", "pareto_speed"):
        table[name] = [front, front, front, False]
    names = ["A", "B", "A + B", "A + B + C"]
    return table.assign(names=names, models=names, kind="ensemble", then=None)


def curves() -> pd.DataFrame:
    columns = ["models", "then", "target", "macs", "accuracy"]
    return pd.DataFrame([["A + B", "ensemble", "accuracy", 2e8, 0.8]], columns=columns)


def variants(chosen=True) -> pd.DataFrame:
    pairs = [
        {
            "number": number,
            "combination": combination,
            "temperature": "none",
            "chosen": chosen and combination != "logit",
        }
        for number in ("slope", "correlation", "improvement", "conversion_rate")
        for combination in ("probability", "logit")
    ]
    compression = {"number": "dimensions", "statistic": "covariance"}
    needed = [
        compression | {"category": name, "direction": way, "chosen": chosen and way == "lowest"}
        for way in ("lowest", "highest")
        for name in ("reinit", "dataset")
    ]
    table = pd.DataFrame(pairs + needed).assign(protocol=None, replacement=None)
    table["value"] = np.linspace(0.2, 0.6, len(table))
    return table.assign(value_low=table["value"] - 0.1, value_high=table["value"] + 0.1)


def write(folder, **tables) -> dict[str, str]:
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    return {name: str(folder / f"{name}.tsv") for name in tables}


CHOSEN = {"combination": "probability", "protocol": "held-out"}
CASES = {
    "figure3": (
        figure3,
        lambda: {"specialisation": specialisation(), "table": angles(specialisation())},
        {},
        False,
    ),
    "figure4": (figure4, lambda: {"table": classes()}, {}, True),
    "figure4 of one category": (figure4, lambda: {"table": classes(("arch", "arch"))}, {}, True),
    "figure4 of many classes": (figure4, lambda: {"table": classes(number=40)}, {}, True),
    "figure5": (figure5, lambda: {"greedy": greedy(), "first": first(True)}, CHOSEN, True),
    "figure5 not raised": (
        figure5,
        lambda: {"greedy": greedy(), "first": first(False)},
        CHOSEN,
        True,
    ),
    "pareto": (pareto, lambda: {"table": recommendations(), "curves": curves()}, {}, True),
    "pareto without a front": (
        pareto,
        lambda: {"table": recommendations(False), "curves": curves()},
        {},
        True,
    ),
    "sensitivity": (sensitivity, lambda: {"variants": variants()}, {}, True),
    "sensitivity of other choices": (sensitivity, lambda: {"variants": variants(False)}, {}, True),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_same_table_is_the_same_bytes(case, tmp_path):
    function, tables, settings, writes = CASES[case]
    given = write(tmp_path, **tables()) | settings
    drawn = []
    for time in ("first", "again"):
        (tmp_path / time).mkdir()
        kinds = ("pdf", "svg", "png", "tsv")[: 3 + writes]
        files = {kind: tmp_path / time / f"figure.{kind}" for kind in kinds}
        function(**given, **files)
        drawn.append({kind: path.read_bytes() for kind, path in files.items()})
    assert drawn[0] == drawn[1]
    assert all(drawn[0].values())


def test_the_second_specialist_of_one_category_is_hollow():
    rows = classes(("arch", "arch"))
    with rc_context(RC):
        _, (ax,) = plots.subplots(3, 2)
        drawing.mark_specialists(ax, rows, "label", 25)
    (points,) = ax.collections
    np.testing.assert_allclose(points.get_offsets()[:, 0], [0, 3])
    assert points.get_facecolor()[0].tolist() == [1, 1, 1, 1]
    assert points.get_edgecolor()[1].tolist() == [1, 1, 1, 1]
    np.testing.assert_allclose(points.get_facecolor()[1], points.get_edgecolor()[0])


def test_sensitivity_shows_every_value_filled_where_it_was_chosen():
    rows = variants().query("number == 'dimensions'")
    rows = rows.assign(variant=[name_variant(row) for row in rows.to_dict("records")])
    with rc_context(RC):
        _, (ax,) = plots.subplots(3, 2)
        draw_values(ax, rows, by_category=True)
    assert [text.get_text() for text in ax.get_yticklabels()] == list(rows["variant"].unique())
    lines = [line for line in ax.lines if np.isfinite(line.get_xdata()).any()]
    found = np.concatenate([line.get_xdata() for line in lines])
    np.testing.assert_allclose(np.sort(found[np.isfinite(found)]), np.sort(rows["value"]))
    hollow = [line for line in lines if line.get_markerfacecolor() == "white"]
    assert {line.get_marker() for line in hollow} == {
        LOOKS[name].marker for name in rows["category"]
    }
    values = np.concatenate([line.get_xdata() for line in hollow])
    expected = rows.loc[~rows["chosen"].astype(bool), "value"]
    np.testing.assert_allclose(np.sort(values[np.isfinite(values)]), np.sort(expected))


def test_the_ends_of_a_front_are_named():
    front = recommendations()
    assert list(named(front, "parameters", "pareto")["name"]) == ["A", "B", "A + B"]
    front["milliseconds"] = 1000 / front["images_per_second"]
    assert list(named(front, "milliseconds", "pareto_speed")["name"]) == ["A", "A + B"]
