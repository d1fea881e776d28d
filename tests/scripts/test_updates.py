"""From outputs files to what updates lose and win, their figure, sheets and sentences."""

import copy

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.scripts.test_combining import KEYS, Study, run
from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.ensembles.updates import CASCADES
from workflow.lib.measures.updates import NEW
from workflow.lib.outputs.arrays import read_arrays, write_arrays
from workflow.lib.outputs.tables import read_table, write_table
from workflow.lib.run.errors import InputError
from workflow.lib.show.updates import SYSTEMS, tell_updates
from workflow.scripts.counts import counts
from workflow.scripts.figures.flip_sheet import flip_sheet
from workflow.scripts.figures.flips import NAMED, choose, flips
from workflow.scripts.update_answers import update_answers
from workflow.scripts.updates import updates

pytestmark = pytest.mark.numeric

UPDATES = [["m0", "m4"], ["m3", "m2"]]
NAMES = {"m0": "Old", "m4": "New", "m3": "Large", "m2": "Small"}
GROUPS = {"vowels": ["a", "e"]}


def update(study, together="together.npz", attributes=()):
    of = study.path
    updates(
        manifest=of("manifest.tsv"),
        answers=of("answers.npz"),
        together=of(together) if together else [],
        attributes=attributes or [],
        table=of("updates.tsv"),
        parts=of("update_classes.tsv"),
        updates=UPDATES,
        names=NAMES,
        groups=GROUPS,
        split="test",
    )
    return study


def answer(study):
    """Count answers, and find what both models of each update answer together."""
    of = study.path
    shared = {"manifest": of("manifest.tsv"), "split": "test"}
    counts(
        **shared,
        calibrations=[of("calibration.tsv")],
        outputs=study.files("test"),
        counts=of("counts.npz"),
        answers=of("answers.npz"),
        models=KEYS,
        fitted_on=["calibration"],
        threads=1,
    )
    models = ["m0", "m4", "m3", "m2"]
    update_answers(
        **shared,
        calibration=of("calibration.tsv"),
        answers=of("answers.npz"),
        weights=of("weights.tsv"),
        cascades=of("cascades.tsv"),
        outputs=[str(study.folder / key / "test.h5") for key in models],
        classes=of("together.npz"),
        models=models,
        updates=UPDATES,
    )
    return study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return update(answer(run(Study(tmp_path_factory.mktemp("updates")))))


def right(study, key):
    return study.logits[key, "test"].argmax(axis=1) == study.splits["test"].labels


def test_flips_agree_with_a_plain_computation(study):
    table, labels = study.read("updates.tsv"), study.splits["test"].labels
    fitted = study.read("weights.tsv").set_index("models")["weights"]
    for old, new in UPDATES:
        rows = table[(table["old"] == old) & (table["new"] == new)].set_index("system")
        joint = " + ".join(sorted([old, new]))
        weights = [float(w) for w in fitted[joint].split()]
        found = {
            name: study.p(joint, kind=name, weights=weights).argmax(axis=1) == labels
            for name in ("probability", "logit", "weighted")
        }
        was, now = right(study, old), right(study, new)
        found |= {NEW: now, "oracle": was | now}
        sure = [study.p(key).max(axis=1) for key in (old, new)]
        found["confident"] = np.where(sure[0] >= sure[1], was, now)
        assert {*rows.index} - {*CASCADES.values()} == {*found}
        for name, ours in found.items():
            lost, won = (was & ~ours).mean(), (ours & ~was).mean()
            assert rows.at[name, "accuracy"] == pytest.approx(ours.mean())
            assert rows.at[name, "negative_flips"] == pytest.approx(lost)
            assert rows.at[name, "positive_flips"] == pytest.approx(won)
            assert rows.at[name, "of_errors"] == pytest.approx(lost / (~ours).mean())
            assert rows.at[name, "left"] == pytest.approx(lost / (was & ~now).mean())


def test_accuracies_are_those_of_scores_and_cascades(study):
    table, scored = study.read("updates.tsv"), study.read("scores.tsv")
    scored = scored[(scored["score"] == "accuracy") & (scored["kind"] == "pair")]
    scored = scored.set_index(["models", "combination"])["value"]
    cascaded = study.read("cascades.tsv")
    cascaded = cascaded[cascaded["target"] == "accuracy"]
    cascaded = cascaded.set_index(["models", "then"])["accuracy"]
    then = {system: name for name, system in CASCADES.items()}
    seen = set()
    for row in table.to_dict("records"):
        joint = " + ".join(sorted([row["old"], row["new"]]))  # m0 is the cheapest
        if row["system"] in then:
            seen.add(row["system"])
            expected = cascaded[joint, then[row["system"]]]
            assert row["accuracy"] == pytest.approx(expected)
        elif row["system"] != NEW:
            assert row["accuracy"] == pytest.approx(scored[joint, row["system"]])
    assert "cascade-both" in seen


def test_both_together_lose_only_what_the_new_model_loses(study):
    shared, labels = read_arrays(study.path("together.npz")), study.splits["test"].labels
    for place, classes in zip(shared["update"], shared["classes"], strict=True):
        was, now = (right(study, key) for key in UPDATES[place])
        assert not (was & now & (classes != labels)).any()
    table = study.read("updates.tsv")
    by_update = table.set_index(["update", "system"])["negative_flips"].unstack()
    assert (by_update.le(by_update[NEW], axis=0) | by_update.isna()).all(axis=None)
    assert (by_update["oracle"] == 0).all()


def test_parts_add_up_and_are_tested_as_classes_of_pairs_are(study, tmp_path):
    labels = study.splits["test"].labels
    values = np.where(labels == 3, "yes", "no")
    columns = {"id": study.splits["test"].ids, "hard": values}
    write_table(tmp_path / "attributes.tsv", pd.DataFrame(columns))
    update(study, attributes=str(tmp_path / "attributes.tsv"))
    parts, whole = study.read("update_classes.tsv"), study.read("updates.tsv")
    update(study)
    assert parts["class"].tolist() == 2 * [*"abcde", "vowels", "hard: no", "hard: yes"]
    for (old, new), (_, rows) in zip(UPDATES, parts.groupby("update", sort=False), strict=True):
        rows = rows.set_index("class")
        was, now = right(study, old), right(study, new)
        classes = rows.loc[list("abcde")]
        total = (classes["negative_flips"] * classes["examples"]).sum() / len(labels)
        alone = whole[(whole["old"] == old) & (whole["system"] == NEW)]
        assert total == pytest.approx(alone["negative_flips"].item())
        here = labels == 3
        assert rows.at["d", "positive_flips"] == pytest.approx((now & ~was)[here].mean())
        for column in ("negative_flips", "p", "p_specialist", "p_holm", "gain_low"):
            assert rows.at["d", column] == rows.at["hard: yes", column]
        known = rows["p_specialist"]
        assert rows["p_holm"].min() == pytest.approx(min(len(rows) * known.min(), 1))


def test_of_answers_alone_there_is_the_more_confident_one_or_none(study):
    update(study, together=None)
    assert {*study.read("updates.tsv")["system"]} == {NEW, "confident", "oracle"}
    known = read_arrays(study.path("answers.npz"))
    without = known | {"log_confidence": np.full(known["top"].shape, np.nan)}
    write_arrays(study.path("answers.npz"), **without)
    update(study, together=None)
    assert {*study.read("updates.tsv")["system"]} == {NEW, "oracle"}
    write_arrays(study.path("answers.npz"), **known)
    update(study)


def test_without_costs_there_is_no_cascade(tmp_path):
    study = update(answer(run(Study(tmp_path, macs={}))))
    systems = set(study.read("updates.tsv")["system"])
    assert systems == {*SYSTEMS} - {*CASCADES.values()}


def test_a_class_that_the_update_ruins_is_named(study, tmp_path):
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(5), 120)
    was = rng.random(600) < 0.7
    now = np.where(labels == 3, was & (rng.random(600) < 0.4), was | (rng.random(600) < 0.3))
    other = copy.copy(study)
    other.folder = tmp_path
    split = Split(study.splits["test"].ids, labels)
    Manifest(tuple("abcde"), {"test": split}).write(tmp_path / "manifest.tsv")
    tops = [np.where(own, labels, (labels + 1) % 5) for own in (was, now, was, was)]
    sure = np.full((4, 600), np.nan)
    write_arrays(tmp_path / "answers.npz", models=list(NAMES), top=tops, log_confidence=sure)
    update(other, together=None)
    parts = other.read("update_classes.tsv")
    first = parts[parts["old"] == "m0"].set_index("class")
    assert first.at["d", "verdict"] == "worse" and first.at["d", "gain_high"] < 0
    assert {*first["verdict"].drop(["d", "vowels"]).dropna()} <= {"better"}
    assert parts.loc[parts["old"] == "m3", "verdict"].isna().all()  # nothing changes
    told = list(tell_updates(other.read("updates.tsv"), parts, "confident"))
    assert "From Old to New: " in told[0] and "does worse than elsewhere in: d." in told[0]
    assert told[1].startswith("From Large to Small: 0.0 % (0.0 to 0.6) of the images are lost")
    assert "Of the new model's errors" not in told[1]


def test_sentences_say_what_both_together_leave(study):
    table, parts = study.read("updates.tsv"), study.read("update_classes.tsv")
    told = list(tell_updates(table, parts, "probability"))
    row = table[(table["old"] == "m0") & (table["system"] == "probability")].iloc[0]
    text = f"both models together leave {100 * row['left']:.1f} %"
    assert len(told) == 2 and text in told[0]


def draw(folder, table, parts):
    kinds = {kind: str(folder / f"flips.{kind}") for kind in ("pdf", "svg", "png", "tsv")}
    flips(table=table, parts=parts, **kinds)
    return np.asarray(Image.open(kinds["png"]).convert("L")), read_table(kinds["tsv"])


def test_the_figure_draws_what_its_table_holds_the_same_bytes_each_time(study, tmp_path):
    drawn = []
    for turn in ("a", "b"):
        (tmp_path / turn).mkdir()
        ink, table = draw(
            tmp_path / turn, study.path("updates.tsv"), study.path("update_classes.tsv")
        )
        drawn.append({p.suffix: p.read_bytes() for p in (tmp_path / turn).glob("[!.]*")})
    assert drawn[0] == drawn[1] and len(drawn[0]) == 4
    assert (ink < 128).mean() > 0.01
    assert "oracle" not in set(table["system"])
    assert set(table["what"]) == {"all", "class", "group"}


def test_the_new_model_alone_needs_no_second_panel(study, tmp_path):
    rows = read_table(study.path("updates.tsv"))
    write_table(tmp_path / "updates.tsv", rows[rows["system"] == NEW])
    ink, table = draw(tmp_path, str(tmp_path / "updates.tsv"), study.path("update_classes.tsv"))
    assert set(table["system"].dropna()) == {NEW}
    dark = np.flatnonzero((ink < 128).any(axis=0))
    assert dark[-1] > 0.9 * ink.shape[1]  # the one panel takes the whole width


def test_of_many_classes_both_ends_are_drawn():
    rows = pd.DataFrame({"what": "class", "gain": np.arange(100.0), "examples": 10})
    rows.loc[7, "examples"] = 0
    more = pd.DataFrame({"what": ["group", "attribute"], "gain": 0.0, "examples": 10})
    chosen = choose(pd.concat([rows, more], ignore_index=True))
    assert len(chosen) == NAMED + 2
    gains = chosen.loc[chosen["what"] == "class", "gain"].tolist()
    assert gains == [*range(7), *range(8, 16), *range(85, 100)]


def sheet(study, folder, examples=600, number=10):
    pixels = np.zeros((examples, 1, 4, 4), np.uint8)
    pixels += (np.arange(examples) % 250).astype(np.uint8)[:, None, None, None]
    np.save(folder / "test.npy", pixels)
    flip_sheet(
        manifest=study.path("manifest.tsv"),
        answers=study.path("answers.npz"),
        images=str(folder / "test.npy"),
        png=str(folder / "sheet.png"),
        tsv=str(folder / "sheet.tsv"),
        update=["m0", "m4"],
        names=["Old", "New"],
        number=number,
        split="test",
    )
    return np.asarray(Image.open(folder / "sheet.png").convert("RGB"))


def test_the_sheet_shows_flips_of_either_kind_surest_first(study, tmp_path):
    ink, table = sheet(study, tmp_path), read_table(tmp_path / "sheet.tsv")
    was, now = right(study, "m0"), right(study, "m4")
    assert table["flip"].tolist() == ["negative"] * 10 + ["positive"] * 10
    for flip, flipped in (("negative", was & ~now), ("positive", now & ~was)):
        mine = table[table["flip"] == flip]
        assert flipped[mine["row"]].all()
        sure = study.p("m4").max(axis=1)
        best = np.sort(sure[flipped])[::-1][:10]
        np.testing.assert_allclose(mine["confidence_2"], best)
    greys = ink[..., 0][(ink[..., 0] == ink[..., 1]) & (ink[..., 1] == ink[..., 2])]
    areas = np.bincount(greys.ravel(), minlength=256)
    for row in table["row"]:
        assert areas[row % 250] > 0.9 * (0.8 * 300) ** 2


def test_a_sheet_of_other_images_is_refused(study, tmp_path):
    with pytest.raises(InputError, match=r"test.npy holds 599 images, but the split test has 600"):
        sheet(study, tmp_path, examples=599)
