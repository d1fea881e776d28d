from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import rc_context
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.markers import MarkerStyle

from workflow.lib.measures.statistics import fit_line, mean_interval
from workflow.lib.measures.summaries import add_fits, models_and_means
from workflow.lib.show import marks as plots
from workflow.lib.show.labels import label_points
from workflow.lib.show.style import LOOKS, RC
from workflow.scripts.comparison import comparison
from workflow.scripts.figures.figure1 import figure1
from workflow.scripts.figures.figure2 import figure2
from workflow.scripts.figures.figure8 import figure8

X, Y = "error_inconsistency", "improvement"
QUANTITIES = [X, Y, "ensemble_accuracy", "conversion_rate", "both_right", "both_wrong"]
SHAPES = {
    marker: MarkerStyle(marker).get_path().transformed(MarkerStyle(marker).get_transform()).vertices
    for marker in ["*", *(look.marker for look in LOOKS.values())]
}
INCONSISTENCY = {
    "reinit": [0.08],
    "arch": [0.10, 0.11, 0.15],
    "dataset": [0.20, 0.16],
}


def make_pairs(**overrides) -> pd.DataFrame:
    """Six models beside the base; half of the rows have the base second, out of order."""
    rng = np.random.default_rng(0)
    rows = []
    for category, values in INCONSISTENCY.items():
        for number, value in enumerate(values):
            names = ["base", f"{category}-{number}"]
            if number % 2:
                names.reverse()
            first, second = (name.partition("-")[0] for name in names)
            row = {
                "model_1": names[0],
                "model_2": names[1],
                "name_1": names[0].upper(),
                "name_2": names[1].upper(),
                "category_1": first,
                "category_2": second,
                "category": category,
                "with_base": True,
                "main": True,
                "combination": "probability",
            }
            for quantity in QUANTITIES:
                share = value if quantity == X else rng.uniform(0.3, 0.6)
                row |= {quantity: share, f"{quantity}_low": share - 0.01}
                row |= {f"{quantity}_high": share + 0.01}
            rows.append(row | overrides)
    return pd.DataFrame(rows[::-1])


@pytest.fixture
def pairs() -> pd.DataFrame:
    return make_pairs()


@pytest.fixture
def table(pairs) -> pd.DataFrame:
    return add_fits(models_and_means(pairs, "probability", QUANTITIES))


def draw(table: pd.DataFrame, function, *columns):
    with rc_context(RC):
        figure, (ax,) = plots.subplots(3, 2)
        function(ax, plots.in_percent(table, *QUANTITIES), *columns)
        figure.draw_without_rendering()
    return ax


def markers(ax) -> dict[str, np.ndarray]:
    """Coordinates of the markers of each shape, which have the colour of the same category."""
    found = {}
    for points in ax.collections:
        if isinstance(points, PathCollection):
            paths, colours = points.get_paths(), points.get_facecolor()
            for place, xy in enumerate(points.get_offsets()):
                (shape,) = {
                    marker
                    for marker, path in SHAPES.items()
                    if np.array_equal(paths[place % len(paths)].vertices, path)
                }
                if shape != "*":
                    (look,) = (look for look in LOOKS.values() if look.marker == shape)
                    assert to_hex(colours[place % len(colours)]) == look.colour.lower()
                found.setdefault(shape, []).append(xy)
    return {marker: np.array(parts) for marker, parts in found.items()}


def test_models_are_named_after_the_one_that_is_not_the_base(table):
    models = table[table["what"] == "model"]
    assert set(models["base"]) == {"base"}
    assert set(models["model"]) == {
        f"{category}-{n}" for category, x in INCONSISTENCY.items() for n in range(len(x))
    }
    assert (models["name"] == models["model"].str.upper()).all()


def test_only_main_pairs_with_the_base_of_the_wanted_mean_count(pairs):
    others = [
        make_pairs(with_base=False),
        make_pairs(main=False),
        make_pairs(combination="logit"),
    ]
    with_others = models_and_means(pd.concat([pairs, *others]), "probability", [X])
    pd.testing.assert_frame_equal(with_others, models_and_means(pairs, "probability", [X]))


def test_means_are_in_order_of_divergence_with_intervals_of_student(table):
    means = table[table["what"] == "mean"].set_index("category")
    assert list(means.index) == ["reinit", "arch", "dataset"]
    assert list(means["models"]) == [1, 3, 2]
    np.testing.assert_allclose(means[X], [0.08, 0.12, 0.18])
    assert np.isnan(means.at["reinit", f"{X}_low"])
    # Two values ± 0.02 about their mean have a standard error of 0.02; t(0.975, 1) is 12.7062.
    assert means.at["dataset", f"{X}_high"] == pytest.approx(0.18 + 12.7062 * 0.02, abs=1e-6)
    assert means.at["dataset", f"{X}_low"] == pytest.approx(0.18 - 12.7062 * 0.02, abs=1e-6)


def test_empty_cells_are_left_out_of_mean_and_interval():
    full = pd.Series([0.1, 0.2, 0.4])
    holed = pd.Series([0.1, np.nan, 0.2, 0.4])
    assert mean_interval(holed) == mean_interval(full)


def test_line_is_that_of_numpy():
    rng = np.random.default_rng(1)
    x, y = pd.Series(rng.random(20)), pd.Series(rng.random(20))
    holed = y.where(y.index != 3)
    slope, intercept, r = fit_line(x, holed)
    x, y = x.drop(3), y.drop(3)
    np.testing.assert_allclose([slope, intercept], np.polyfit(x, y, 1))
    assert r == pytest.approx(np.corrcoef(x, y)[0, 1])


@pytest.mark.parametrize("x", [[0.1, 0.2], [0.1, 0.1, 0.1]])
def test_no_line_through_too_few_points_or_one_above_another(x):
    y = pd.Series(np.arange(len(x), dtype=float))
    assert np.isnan(fit_line(pd.Series(x), y)).all()


def test_strip_has_a_marker_for_each_model_and_a_star_at_each_mean(table):
    ax = draw(table, plots.draw_strip, X)
    found = markers(ax)
    for category, values in INCONSISTENCY.items():
        drawn = found[LOOKS[category].marker][:, 0]
        np.testing.assert_allclose(np.sort(drawn), 100 * np.sort(values))
    np.testing.assert_allclose(np.sort(found["*"][:, 0]), [8, 12, 18])
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == [LOOKS[category].name for category in INCONSISTENCY]


def test_strip_keeps_rows_apart(table):
    ax = draw(table, plots.draw_strip, X)
    for row, category in enumerate(INCONSISTENCY):
        heights = markers(ax)[LOOKS[category].marker][:, 1]
        assert (np.abs(heights - ax.get_yticks()[row]) < plots.PITCH / 2).all()


def test_panels_that_share_rows_agree_on_them_when_a_category_has_no_value(table):
    table.loc[table["category"] == "reinit", X] = np.nan
    found = markers(draw(table, plots.draw_strip, X))
    assert LOOKS["reinit"].marker not in found
    assert (found[LOOKS["dataset"].marker][:, 1] > 1.5 * plots.PITCH).all()  # still the third


def test_scatter_has_markers_stars_and_the_fitted_line(table):
    ax = draw(table, plots.draw_scatter, X, Y)
    found = markers(ax)
    assert sum(len(found[LOOKS[category].marker]) for category in INCONSISTENCY) == 6
    means = table[table["what"] == "mean"]
    np.testing.assert_allclose(found["*"], 100 * means[[X, Y]].to_numpy(float))
    (line,) = [line for line in ax.lines if line.get_linestyle() == "-"]
    models = table[table["what"] == "model"]
    x, y = line.get_data()
    np.testing.assert_allclose(np.polyfit(x / 100, y / 100, 1), np.polyfit(models[X], models[Y], 1))


def test_scatter_leaves_out_models_with_an_empty_cell(table):
    table.loc[table["model"] == "arch-1", Y] = np.nan
    found = markers(draw(table, plots.draw_scatter, X, Y))
    np.testing.assert_allclose(np.sort(found[LOOKS["arch"].marker][:, 0]), [10, 15])


def test_every_model_lies_in_the_panel_however_wide_an_interval(table):
    table.loc[table["what"] == "mean", [f"{X}_high", f"{Y}_high"]] = 40.0
    ax = draw(table, plots.draw_scatter, X, Y)
    assert ax.get_xlim()[0] < 8 and 20 < ax.get_xlim()[1] < 30
    low, high = ax.get_ylim()
    models = 100 * table.loc[table["what"] == "model", Y]
    assert ((models > low) & (models < high)).all()


def test_labels_overlap_neither_each_other_nor_the_frame(table):
    table = plots.in_percent(table, *QUANTITIES)
    models = table[table["what"] == "model"]
    with rc_context(RC):
        figure, (ax,) = plots.subplots(3, 2.4)
        plots.draw_scatter(ax, table, X, Y)
        label_points(ax, models, X, Y)
        figure.draw_without_rendering()
    boxes = [text.get_bbox_patch().get_window_extent() for text in ax.texts]
    assert [text.get_text() for text in ax.texts] == list(models["name"])
    assert not any(box.overlaps(other) for box in boxes for other in boxes if other is not box)
    assert all(ax.bbox.padded(1).fully_containsx(x) for box in boxes for x in (box.x0, box.x1))


def run(function, pairs, folder, **parameters):
    folder.mkdir(exist_ok=True)
    pairs.to_csv(folder / "pairs.tsv", sep="\t", index=False)
    tables = {f"figure{n}": str(folder / f"figure{n}.tsv") for n in (1, 2, 8)}
    comparison(pairs=str(folder / "pairs.tsv"), combination="probability", bases=[], **tables)
    files = {kind: folder / f"figure.{kind}" for kind in ("pdf", "svg", "png")}
    function(table=tables[function.__name__], **parameters, **files)
    return files | {"tsv": Path(tables[function.__name__])}


FIGURES = [
    (figure1, {}),
    (figure2, {"combination": "probability", "label": [["base", "arch-0"]]}),
    (figure8, {}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("function", "parameters"), FIGURES)
def test_the_same_figure_is_the_same_bytes(function, parameters, pairs, tmp_path):
    first = run(function, pairs, tmp_path / "first", **parameters)
    again = run(function, pairs, tmp_path / "again", **parameters)
    for kind, path in first.items():
        assert path.stat().st_size > 0
        assert path.read_bytes() == again[kind].read_bytes(), kind
    left = {path.name for path in (tmp_path / "first").iterdir()}
    made = {*(path.name for path in first.values()), "figure1.tsv", "figure2.tsv", "figure8.tsv"}
    assert left == {"pairs.tsv", *made, *(f".{name}.sha256" for name in made)}


@pytest.mark.parametrize(("function", "parameters"), FIGURES)
def test_a_study_without_main_models_still_has_figures(function, parameters, tmp_path):
    files = run(function, make_pairs(main=False), tmp_path, **parameters)
    assert "no models" not in files["tsv"].read_text()
    assert not (pd.read_csv(files["tsv"], sep="\t")["what"] == "model").any()
    assert files["png"].stat().st_size > 0


def test_figure_2_labels_only_the_wanted_pairs(pairs, tmp_path, monkeypatch):
    named = []
    monkeypatch.setitem(
        figure2.__wrapped__.__globals__,
        "label_points",
        lambda ax, points, x, y: named.append(points),
    )
    wanted = [["arch-1", "base"], ["base", "dataset-0"], ["arch-0", "reinit-0"], ["base", "gone"]]
    run(figure2, pairs, tmp_path, combination="probability", label=wanted)
    assert len(named) == 3
    assert all(list(points["name"]) == ["ARCH-1", "DATASET-0"] for points in named)


def test_figure_2_writes_its_fits(pairs, tmp_path):
    files = run(figure2, pairs, tmp_path, combination="probability", label=[])
    table = pd.read_csv(files["tsv"], sep="\t")
    models, fits = (table[table["what"] == what] for what in ("model", "fit"))
    assert list(fits["quantity"]) == [Y, "ensemble_accuracy", "conversion_rate"]
    for fit in fits.to_dict("records"):
        y = models[fit["quantity"]]
        np.testing.assert_allclose([fit["slope"], fit["intercept"]], np.polyfit(models[X], y, 1))
        assert fit["r"] == pytest.approx(np.corrcoef(models[X], y)[0, 1])
