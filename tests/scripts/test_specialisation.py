"""From outputs files to the tables, figures and contact sheets of specialisation."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.measures.parts import find_parts, group_labels
from workflow.lib.measures.specialisation import OUTCOMES
from workflow.lib.outputs.store import write
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.run.errors import InputError
from workflow.scripts.angles import angles
from workflow.scripts.class_specialisation import by_part, class_specialisation
from workflow.scripts.counts import counts
from workflow.scripts.figures.contact_sheet import choose, contact_sheet, describe
from workflow.scripts.figures.figure3 import figure3
from workflow.scripts.figures.figure4 import figure4
from workflow.scripts.pair_classes import pair_classes
from workflow.scripts.specialisation import COLUMNS, specialisation

CLASSES = ("coat", "NA", "shoe", "absent")
MEMBERS = {
    "base": {"name": "ResNet", "category": "base"},
    "seed": {"name": "Seed", "category": "reinit"},
    "clip": {"name": "CLIP", "category": "dataset"},
}
TEMPERATURES = {"base": 1.0, "seed": 2.0, "clip": 0.5}
PAIRS = [["base", "seed"], ["clip", "base"]]
EXAMPLES = 600
LABELS = np.arange(EXAMPLES) % 3
GROUPS = {"clothes": ["coat", "NA"], "gone": ["absent"]}


def make_study(folder, examples=EXAMPLES):
    """Three models that are right on some 70 %; clip gets shoes right, and is sure of it."""
    labels = LABELS[:examples]
    split = Split(np.array([f"test/{i:03d}" for i in range(examples)]), labels)
    # The class "absent" is in another split only.
    other = Split(np.array([f"train/{i}" for i in range(4)]), np.arange(4))
    manifest = folder / "manifest.tsv"
    Manifest(CLASSES, {"train": other, "test": split}).write(manifest)
    rng = np.random.default_rng(0)
    logits = {}
    for key in MEMBERS:
        values = rng.normal(0, 1, (examples, 4)).astype(np.float32)
        boost = np.where((labels == 2) & (key == "clip"), 5.0, 1.4)
        values[np.arange(examples), labels] += boost.astype(np.float32)
        logits[key] = values
        path = folder / key / "test.h5"
        write(path, split, lambda rows, v=values: (v[rows], v[rows, :1]), {"model": key})
    calibration = folder / "calibration.tsv"
    pd.DataFrame(TEMPERATURES.items(), columns=["model", "temperature"]).to_csv(
        calibration, sep="\t", index=False
    )
    return manifest, calibration, logits


def run(folder, pairs=PAIRS, combination="probability"):
    """Make specialisation.tsv and give its path; models in the order of the configuration."""
    manifest, calibration, _ = make_study(folder)
    keys = [key for key in MEMBERS if any(key in pair for pair in pairs)]
    outputs = {key: str(folder / key / "test.h5") for key in MEMBERS}
    shared = {"manifest": str(manifest), "split": "test"}
    answers, classes = str(folder / "answers.npz"), str(folder / "classes.npz")
    counts(
        **shared,
        calibrations=[str(calibration)],
        outputs=list(outputs.values()),
        counts=str(folder / "counts.npz"),
        answers=answers,
        models=list(MEMBERS),
        fitted_on=["calibration"],
        threads=2,
    )
    pair_classes(
        **shared,
        calibration=str(calibration),
        answers=answers,
        outputs=[outputs[key] for key in keys],
        classes=classes,
        models=keys,
        pairs=pairs,
    )
    path = folder / "specialisation.tsv"
    specialisation(
        **shared,
        answers=answers,
        classes=classes,
        table=str(path),
        members={key: MEMBERS[key] for key in keys},
        pairs=pairs,
        combination=combination,
    )
    return path


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    run(folder)
    by_class(folder)
    return folder


def by_class(folder, groups=GROUPS, attributes=()):
    path = folder / "class_specialisation.tsv"
    class_specialisation(
        manifest=str(folder / "manifest.tsv"),
        specialisation=str(folder / "specialisation.tsv"),
        attributes=attributes or [],
        table=str(path),
        groups=groups,
        split="test",
    )
    return path


def files(folder, name):
    return {kind: str(folder / f"{name}.{kind}") for kind in ("pdf", "svg", "png", "tsv")}


@pytest.mark.numeric
def test_table_of_angles_agrees_with_a_plain_computation(study, tmp_path):
    table = read_table(study / "specialisation.tsv")
    _, _, logits = make_study(tmp_path)
    assert list(table) == COLUMNS
    assert len(table) == len(PAIRS) * EXAMPLES
    odds = {key: np.exp(logits[key].astype(float) / TEMPERATURES[key]) for key in MEMBERS}
    shares = {key: value / value.sum(axis=1, keepdims=True) for key, value in odds.items()}
    names = np.array(CLASSES, dtype=object)
    for (_, rows), (first, second) in zip(table.groupby("pair", sort=False), PAIRS, strict=True):
        c1, c2 = shares[first].max(axis=1), shares[second].max(axis=1)
        np.testing.assert_allclose(rows["confidence_1"], c1)
        np.testing.assert_allclose(rows["confidence_2"], c2)
        np.testing.assert_allclose(rows["theta"], np.arctan2(c1, c2) - np.pi / 4, atol=1e-14)
        top = names[shares[first].argmax(axis=1)], names[shares[second].argmax(axis=1)]
        assert rows["prediction_1"].tolist() == top[0].tolist()
        assert rows["prediction_2"].tolist() == top[1].tolist()
        expected = names[(shares[first] + shares[second]).argmax(axis=1)]
        assert rows["ensemble"].tolist() == expected.tolist()
        assert rows["class"].tolist() == names[LABELS].tolist()
        right = (top[0] == names[LABELS]).astype(int) + 2 * (top[1] == names[LABELS])
        kinds = np.array(["both_wrong", "only_1", "only_2", "both_right"])
        assert rows["outcome"].tolist() == kinds[right].tolist()


def test_pairs_are_described_in_their_own_order(study):
    table = read_table(study / "specialisation.tsv").drop_duplicates("pair")
    assert table["pair"].tolist() == ["base + seed", "clip + base"]
    assert table["name_1"].tolist() == ["ResNet", "CLIP"]
    assert table["category_2"].tolist() == ["reinit", "base"]
    assert table["category"].tolist() == ["reinit", "dataset"]


def test_union_is_the_same_for_all_pairs(study):
    table = read_table(study / "specialisation.tsv")
    unions = [set(rows.loc[rows["union"], "id"]) for _, rows in table.groupby("pair")]
    alone = table["outcome"].isin(["only_1", "only_2"])
    assert unions[0] == unions[1] == set(table.loc[alone, "id"])
    assert 0 < len(unions[0]) < EXAMPLES
    assert table.loc[~table["union"], "outcome"].isin(["both_right", "both_wrong"]).all()


@pytest.mark.numeric
def test_swapped_pair_has_mirrored_rows(study, tmp_path):
    one = read_table(study / "specialisation.tsv").query("pair == 'clip + base'")
    other = read_table(run(tmp_path, [["base", "clip"]]))
    np.testing.assert_allclose(other["theta"], -one["theta"], rtol=0, atol=1e-15)
    swap = {"only_1": "only_2", "only_2": "only_1"}
    assert other["outcome"].tolist() == one["outcome"].replace(swap).tolist()
    assert other["ensemble"].tolist() == one["ensemble"].tolist()


def test_the_logit_combination_is_another_ensemble(study, tmp_path):
    one = read_table(study / "specialisation.tsv")
    other = read_table(run(tmp_path, combination="logit"))
    assert other["theta"].tolist() == one["theta"].tolist()
    differ = (other["ensemble"] != one["ensemble"]).to_numpy()
    assert 0 < differ.sum() < 0.2 * len(one)
    assert (one["prediction_1"] != one["prediction_2"])[differ].all()


def draw3(specialisation, folder):
    made = files(folder, "figure3")
    table = made.pop("tsv")
    angles(specialisation=specialisation, table=table)
    figure3(specialisation=specialisation, table=table, **made)


def test_no_pairs_give_empty_tables_and_figures_that_say_so(tmp_path):
    table = run(tmp_path, [])
    assert table.read_text() == "\t".join(COLUMNS) + "\n"
    summary = by_class(tmp_path)
    assert len(read_table(summary)) == 0
    draw3(str(table), tmp_path)
    figure4(table=str(summary), **files(tmp_path, "figure4"))
    for number in (3, 4):
        assert len(pd.read_csv(tmp_path / f"figure{number}.tsv", sep="\t")) == 0
        ink = np.asarray(Image.open(tmp_path / f"figure{number}.png").convert("L"))
        assert 0 < (ink < 128).mean() < 0.05


@pytest.mark.numeric
def test_classes_and_groups_add_up(study):
    table = read_table(study / "class_specialisation.tsv")
    rows = read_table(study / "specialisation.tsv")
    assert table["class"].tolist() == 2 * [*CLASSES, *GROUPS]
    for pair, mine in table.groupby("pair", sort=False):
        mine = mine.set_index("class")
        theirs = rows[rows["pair"] == pair]
        assert mine["examples"].to_dict() == {
            "coat": 200, "NA": 200, "shoe": 200, "absent": 0, "clothes": 400, "gone": 0,
        }  # fmt: skip
        shoes = theirs[theirs["class"] == "shoe"]
        assert mine.at["shoe", "theta"] == pytest.approx(shoes["theta"].mean())
        assert mine.at["shoe", "only_1"] == (shoes["outcome"] == "only_1").mean()
        halves = mine.loc[["coat", "NA"], "theta"].mean()
        assert mine.at["clothes", "theta"] == pytest.approx(halves)
        assert mine.loc[["absent", "gone"], "theta":"p_holm"].isna().all(axis=None)
        known = mine.dropna(subset="p")
        assert (known["p_specialist"] >= known["p"]).all()
        assert (known["p_holm"] >= known["p_specialist"]).all()
        assert known["p_holm"].min() == pytest.approx(min(4 * known["p_specialist"].min(), 1))


@pytest.mark.numeric
def test_specialist_is_the_model_made_to_be_one(study):
    table = read_table(study / "class_specialisation.tsv")
    mine = table[table["pair"] == "clip + base"].set_index("class")
    assert mine.at["shoe", "specialist"] == "clip"
    assert mine.at["shoe", "theta_low"] > 0.1
    assert mine.drop("shoe")["specialist"].isna().all()


def test_a_model_that_is_stronger_everywhere_specialises_in_nothing():
    # Of 40 images of each of three classes, the first alone is right on 20, the second on 5.
    outcomes = np.tile(["only_1"] * 20 + ["only_2"] * 5 + ["both_right"] * 15, 3)
    rows = pd.DataFrame({"label": np.repeat([0, 1, 2], 40), "outcome": outcomes, "theta": 0.1})
    pair = dict.fromkeys(["pair", "name_1", "name_2", "category_1", "category_2", "category"], "x")
    rows = rows.assign(**pair | {"model_1": "strong", "model_2": "weak"})
    parts = find_parts(rows["label"].to_numpy(), ("a", "b", "c"), {}, {})
    table = by_part(rows, parts)
    assert (table["p"] < 0.01).all()  # it is better in each
    assert (table["p_specialist"] == 1).all() and (table["specialist"] == "").all()
    # Where the weak one wins one class, both specialise: in what they are better at than elsewhere.
    rows.loc[rows["label"] == 2, "outcome"] = ["only_2"] * 30 + ["both_right"] * 10
    table = by_part(rows, parts)
    assert table["specialist"].tolist() == ["strong", "strong", "weak"]


def test_specialist_of_a_swapped_pair_is_the_same(tmp_path):
    run(tmp_path, [["base", "clip"]])
    table = read_table(by_class(tmp_path)).set_index("class")
    assert table.at["shoe", "specialist"] == "clip"
    assert table.at["shoe", "theta_high"] < -0.1


def test_a_class_without_examples_is_named(study, caplog, tmp_path):
    by_class(study)
    named = [message for message in caplog.messages if "'absent'" in message]
    assert len(named) == len(PAIRS)
    assert "clip + base: no test image of the class 'absent', the group 'gone'" in named


def test_attributes_are_parts_like_classes_and_corrected_with_them(study, tmp_path):
    shoes = np.where(LABELS == 2, "shoe", np.where(LABELS == 1, "", "other"))
    columns = {"id": [f"test/{i:03d}" for i in range(EXAMPLES)], "sort": shoes}
    columns["odd"] = (np.arange(EXAMPLES) % 2).astype(str)
    write_table(tmp_path / "attributes.tsv", pd.DataFrame(columns))
    plain = read_table(by_class(study, {}))
    table = read_table(by_class(study, {}, str(tmp_path / "attributes.tsv")))
    assert table["class"].tolist() == 2 * [*CLASSES, "sort: other", "sort: shoe", "odd"]
    for pair, mine in table.groupby("pair", sort=False):
        mine = mine.set_index("class")
        measured = [name for name in plain if name not in ("what", "label", "class", "p_holm")]
        pd.testing.assert_series_equal(
            mine.loc["sort: shoe", measured], mine.loc["shoe", measured], check_names=False
        )
        assert mine.at["odd", "examples"] == EXAMPLES // 2
        known = mine.dropna(subset="p_specialist")
        assert known["p_holm"].min() == pytest.approx(min(6 * known["p_specialist"].min(), 1))
        if pair == "clip + base":
            assert mine.at["sort: shoe", "specialist"] == "clip"
    figure4(table=str(study / "class_specialisation.tsv"), **files(tmp_path, "figure4"))
    ink = np.asarray(Image.open(tmp_path / "figure4.png").convert("L"))
    assert (ink[:, -ink.shape[1] // 6 :] < 128).mean() > 0.002  # the last panel
    by_class(study)


def test_a_group_with_an_unknown_class_is_an_error_that_names_both(study):
    with pytest.raises(InputError, match=r"groups\.feet: .* no class 'shoes'; do you mean 'shoe'"):
        by_class(study, {"feet": ["shoes"]})


def test_a_group_can_be_a_range_of_classes_both_ends_included(study):
    named = read_table(by_class(study, {"some": list(CLASSES[1:3])}))
    ranged = read_table(by_class(study, {"some": [1, 2]}))
    pd.testing.assert_frame_equal(named, ranged)
    assert (ranged.query("what == 'group'")["examples"] > 0).all()
    single = read_table(by_class(study, {"one": [2, 2]})).query("pair == 'clip + base'")
    ours, theirs = single[single["class"] == "one"], single[single["label"] == 2]
    assert ours["examples"].item() == theirs["examples"].item() > 0
    assert ours["theta"].item() == theirs["theta"].item()


def test_a_range_beyond_the_last_class_is_an_error_that_names_it(study):
    last = len(CLASSES) - 1
    with pytest.raises(InputError, match=rf"groups\.all: there is no class {last + 1}; .* {last}$"):
        by_class(study, {"all": [0, last + 1]})


def test_a_range_among_classes_called_by_other_numbers_is_refused():
    numbers = tuple(str(number) for number in range(1, 11))
    with pytest.raises(InputError, match=r'groups\.g: .* in quotes: \["3", "7"\]'):
        group_labels("g", [3, 7], numbers)
    assert group_labels("g", ["3", "7"], numbers) == [2, 6]
    with pytest.raises(InputError, match=r"differs only in its form of Unicode: write it as there"):
        group_labels("g", ["cafe\u0301"], ("bar", "caf\u00e9"))
    assert group_labels("g", [3, 4], ("0", *numbers)) == [3, 4]


def test_figure3_draws_what_its_table_counts(study, tmp_path):
    draw3(str(study / "specialisation.tsv"), tmp_path)
    table = pd.read_csv(tmp_path / "figure3.tsv", sep="\t")
    rows = read_table(study / "specialisation.tsv")
    bars = table[table["what"] == "histogram"]
    union = rows[rows["union"]]
    counts = bars.groupby(["pair", "outcome"])["count"].sum()
    for pair, mine in union.groupby("pair"):
        expected = mine["outcome"].value_counts().reindex(OUTCOMES, fill_value=0)
        assert counts[pair].reindex(OUTCOMES).tolist() == expected.tolist()
    edges = bars.groupby(["pair", "outcome"])[["bin_low", "bin_high"]].agg(tuple)
    assert edges.map(lambda values: values == edges.iloc[0, 0]).iloc[:, 0].all()
    least = table[table["what"] == "prevailing"]
    assert least["model"].tolist() == ["base", "seed", "clip", "base"]
    found = least.dropna(subset="theta")
    assert len(found) > 0
    assert (found["share"] >= 0.99).all()
    differ = rows[(rows["pair"] == "clip + base") & (rows["prediction_1"] != rows["prediction_2"])]
    clip = least[least["model"] == "clip"].iloc[0]
    beyond = differ[differ["theta"] >= clip["theta"] - 1e-12]
    assert len(beyond) == clip["count"]
    assert (beyond["ensemble"] == beyond["prediction_1"]).mean() == pytest.approx(clip["share"])


@pytest.mark.slow
def test_figures_are_the_same_bytes_every_time(study, tmp_path):
    for turn in ("a", "b"):
        table = study / "specialisation.tsv"
        draw3(str(table), tmp_path / turn)
        figure4(table=str(study / "class_specialisation.tsv"), **files(tmp_path / turn, "figure4"))
    made = sorted(path.name for path in (tmp_path / "a").glob("[!.]*"))
    assert len(made) == 8
    for name in made:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_one_pair_without_groups_is_drawn(tmp_path):
    table, summary = run(tmp_path, [["base", "seed"]]), by_class(tmp_path, {})
    draw3(str(table), tmp_path)
    figure4(table=str(summary), **files(tmp_path, "figure4"))
    bars = pd.read_csv(tmp_path / "figure3.tsv", sep="\t").query("what == 'histogram'")
    counts = bars.groupby("outcome")["count"].sum()
    # The union of one pair is what exactly one gets right.
    assert counts["both_right"] == counts["both_wrong"] == 0 < counts["only_1"]
    for number in (3, 4):
        ink = np.asarray(Image.open(tmp_path / f"figure{number}.png").convert("L"))
        assert (ink < 128).mean() > 0.005


def test_figure4_writes_the_table_it_draws(study, tmp_path):
    figure4(table=str(study / "class_specialisation.tsv"), **files(tmp_path, "figure4"))
    one, other = (
        read_table(path) for path in (study / "class_specialisation.tsv", tmp_path / "figure4.tsv")
    )
    pd.testing.assert_frame_equal(one, other)


def sheet(study, folder, channels=1, pair=("clip", "base"), examples=EXAMPLES, number=10):
    """Draw a sheet of images that are each of one brightness, their number's."""
    pixels = np.zeros((examples, channels, 4, 4), np.uint8)
    pixels += (np.arange(examples) % 250).astype(np.uint8)[:, None, None, None]
    np.save(folder / "test.npy", pixels)
    paths = {kind: folder / f"sheet.{kind}" for kind in ("png", "tsv")}
    contact_sheet(
        specialisation=str(study / "specialisation.tsv"),
        images=str(folder / "test.npy"),
        pair=list(pair),
        number=number,
        **{kind: str(path) for kind, path in paths.items()},
    )
    return np.asarray(Image.open(paths["png"]).convert("RGB")), read_table(paths["tsv"])


@pytest.mark.parametrize("channels", [1, 3])
def test_contact_sheet_shows_the_images_of_its_table(study, tmp_path, channels):
    ink, table = sheet(study, tmp_path, channels)
    assert ink.shape[1] > ink.shape[0]
    assert table["outcome"].tolist() == 10 * ["only_1"] + 10 * ["only_2"]
    # Each image is one area of its brightness; letters and their edges are smaller.
    greys = ink[..., 0][(ink[..., 0] == ink[..., 1]) & (ink[..., 1] == ink[..., 2])]
    areas = np.bincount(greys.ravel(), minlength=256)
    for row in table["row"]:
        assert areas[row % 250] > 0.9 * (0.8 * 300) ** 2


def test_the_surest_come_first(study):
    rows = read_table(study / "specialisation.tsv").query("pair == 'clip + base'")
    table = choose(rows, 5)
    for member in (1, 2):
        mine = table[table["outcome"] == f"only_{member}"]
        alone = rows[rows["outcome"] == f"only_{member}"]
        best = alone[f"confidence_{member}"].nlargest(5)
        assert mine[f"confidence_{member}"].tolist() == best.tolist()
        assert mine["rank"].tolist() == [1, 2, 3, 4, 5]
        assert mine[f"prediction_{member}"].tolist() == mine["class"].tolist()
        assert mine["id"].tolist() == [f"test/{row:03d}" for row in mine["row"]]


def test_few_or_no_images_leave_places_empty(study, tmp_path):
    rows = read_table(study / "specialisation.tsv")
    first = rows.query("pair == 'clip + base' and outcome == 'only_1'").index
    rows.loc[rows["outcome"] == "only_2", "outcome"] = "both_wrong"
    rows.loc[first[3:], "outcome"] = "both_right"
    rows.to_csv(tmp_path / "specialisation.tsv", sep="\t", index=False)
    ink, table = sheet(tmp_path, tmp_path)
    assert table["outcome"].tolist() == 3 * ["only_1"]
    assert sorted(table["id"]) == rows.loc[first[:3], "id"].tolist()
    # On the right is the title alone.
    right = ink[ink.shape[0] // 5 :, ink.shape[1] // 2 :]
    assert (right == 255).all()


def test_both_predictions_are_told():
    row = {"outcome": "only_2", "prediction_1": "pullover", "prediction_2": "coat"}
    assert describe(row) == "1: pullover\n2: coat\xa0✓"
    long = row | {"prediction_1": "black-footed ferret of the northern great plains"}
    text = describe(long).split("\n")
    assert len(text) == 3
    assert max(map(len, text)) <= 18
    assert text[0].startswith("1: black")
    assert text[1].endswith("…")


def test_a_pair_that_is_not_compared_is_an_error_that_names_it(study, tmp_path):
    with pytest.raises(InputError, match=r"no pair base \+ clip; add \[base, clip\] to `pairs`"):
        sheet(study, tmp_path, pair=("base", "clip"))


def test_images_of_another_dataset_are_an_error(study, tmp_path):
    with pytest.raises(InputError, match=r"test.npy holds 599 images, .* has 600 examples"):
        sheet(study, tmp_path, examples=599)
