"""Exactly what changed runs again: asked of Snakemake itself, on a finished study."""

import os
import re
import shutil
import time

import h5py
import numpy as np
import pytest

from tests.run.conftest import SMALL, Checkout


def once(*rules: str) -> dict[str, int]:
    return dict.fromkeys(rules, 1)


DRAWN = {
    **once("figure1", "figure2", "figure8", "report"),
    **once("paper_figure1", "paper_figure2", "paper_figure8", "paper_report"),
    **once("figure3", "figure4", "figure5", "figure6", "figure7", "pareto", "sensitivity"),
    **once("contact_sheet", "map", "clusters", "nats", "risk", "flips", "image_sheets"),
    **once("shift", "effective"),
    "flip_sheet": 2,
}
AFTER_VARIANTS = once("sensitivity", "report")
FOUND = once("findings", "summary", "report")
SETS, SHOWN = 3, 2  # further test sets, and those of images of their own
ROBUST = once("robustness", "shift", "effective", "summary", "report")
PAIRS_ON_SETS = {"pairs_on_set": SETS, **ROBUST}
SCORES_ON_SETS = {"scores_on_set": SETS, **ROBUST}
MAPS = once("distances", "map", "clusters")
ADDED = {**once("added", "nats"), **FOUND}
AFTER_PAIRS = {
    **MAPS,
    **once("comparison", "figure1", "figure2", "figure8", "combined", "figure6", "transfer"),
    **once("figure7", "tables", "summary", "variants", *ADDED),
    **AFTER_VARIANTS,
    **PAIRS_ON_SETS,
}
SPECIALISATION = once(
    "specialisation", "angles", "class_specialisation", "contact_sheet", "figure3", "figure4",
    "report",
)  # fmt: skip
CHANGED = {**once("updates", "flips", "summary", "report"), "flip_sheet": 2}
RECOMMENDATIONS = {**once("recommendations", "pareto", "uncertainty", "risk", "card"), **FOUND,
                   **ROBUST}  # fmt: skip
SELECTED = {
    **once("selection", "weights", "scores", "cascades", "tables", "variants"),
    **once("update_answers", "updates", "flips"),
    **ADDED,
    **RECOMMENDATIONS,
    **AFTER_VARIANTS,
    **SCORES_ON_SETS,
    "cascades_on_set": SETS,
}
GREEDY = {**once("greedy", "figure5", "variants"), **AFTER_VARIANTS}
NAMED = {"pairs": 1, **AFTER_PAIRS, **SPECIALISATION, **RECOMMENDATIONS, **GREEDY}
IMAGES = once("image_answers", "image_sheets")
COUNTED = {**once("counts", "pair_classes"), **SELECTED, **NAMED, **CHANGED, **IMAGES}
AGGREGATES = {**once("calibration", "calibration_on_test", "weaker"), **COUNTED,
              "counts_on_set": SETS}  # fmt: skip
ON_ONE_SET = {
    **once("test_set", "counts_on_set", "pairs_on_set", "scores_on_set", "cascades_on_set"),
    **ROBUST,
}


def test_nothing_after_a_finished_run(finished):
    assert finished.planned() == {}


def test_nothing_after_touching_everything(checkout):
    now = time.time() + 5
    for folder, _, names in os.walk(checkout.path):
        if ".snakemake" not in folder:
            for name in names:
                os.utime(os.path.join(folder, name), (now, now))
                now += 0.001
    assert checkout.planned() == {}


def test_nothing_after_a_fresh_clone_with_the_results_carried_over(finished, tmp_path):
    clone = Checkout.new(tmp_path / "clone")
    for name in ("results", ".snakemake"):
        shutil.copytree(finished.path / name, clone.path / name, dirs_exist_ok=True)
    assert clone.planned() == {}


def test_nothing_after_comments_docstrings_and_layout(checkout):
    for path in (checkout.path / "workflow").rglob("*.py"):
        path.write_text('"""Another docstring."""\n\n# a comment\n' + path.read_text())
    for path in (checkout.path / "workflow/rules").glob("*.smk"):
        path.write_text(path.read_text() + "\n\n# a comment\n")
    assert checkout.planned() == {}


@pytest.mark.parametrize(
    ("name", "old", "new", "jobs"),
    [
        # modules of the engine
        ("workflow/lib/ensembles/pairs.py", "confidences: bool = False", "confidences: bool = 0",
         {**COUNTED, "counts_on_set": SETS}),
        ("workflow/lib/ensembles/greedy.py", "CANDIDATES = 16", "CANDIDATES = 17",
         {**SELECTED, **GREEDY}),
        # the probes: no network is trained again
        ("workflow/lib/probes/fit.py", "HISTORY = 60", "HISTORY = 61",
         {"head": 4, "extract": 4, "features": 2, "downstream": 3, "extract_features": 1,
          "extract_tasks": 1, "extract_set": SHOWN, **AGGREGATES}),
        # the look of figures
        ("workflow/lib/show/style.py", '"""\n\n', '"""\n\nCHANGED = 1\n', DRAWN),
        ("workflow/report/report.html.j2", "<html", "<html ", once("report", "paper_report")),
        ("workflow/report/figure3.rst", "**Figure 3:", "**Figure 3 :", {"report": 1}),
        # a package that only figures import
        ("envs/requirements.txt", "matplotlib==", "matplotlib==0.", DRAWN),
        # what is shown, and how
        (SMALL, "name: ResNet (seed 1)", "name: ResNet (again)", NAMED),
        (SMALL, "band: [0.5, 0.95]", "band: [0.4, 0.95]", {"pairs": 1, **AFTER_PAIRS}),
        (SMALL, "ensemble: probability", "ensemble: logit",
         {name: 1 for name in
          {**AFTER_PAIRS, **SPECIALISATION, **RECOMMENDATIONS, **once("figure5", "weaker")}
          if name not in ("combined", "figure6", *MAPS, "added", "nats", "pairs_on_set")}),
        (SMALL, "- [base, reinit]", "- [base, efficientnet]",
         {**once("figure2", "nats", "pair_classes"), **SPECIALISATION}),
        (SMALL, "footwear: [sandal, sneaker,", "footwear: [sneaker,",
         once("class_specialisation", "figure4", "updates", "flips", "summary", "report")),
        (SMALL, "- [base, high]", "- [distilled, high]",
         {**CHANGED, "flip_sheet": 1, "update_answers": 1}),
        (SMALL, "attributes: pixels\n", "",
         once("class_specialisation", "figure4", "updates", "flips", "summary", "report")),
        (SMALL, "high: {category", "high: {name: Strong, category",
         {**{rule: n for rule, n in NAMED.items() if rule not in SPECIALISATION}, **CHANGED,
          "flip_sheet": 1}),
        # what the analyses are of
        (SMALL, "greedy: {size: 4}", "greedy: {size: 3}",
         {**SELECTED, **GREEDY}),
        (SMALL, "  seeds: 2", "  seeds: 3",
         {"features": 2, **once("combined", "figure6", "variants", "summary"), **AFTER_VARIANTS}),
        (SMALL, "clip-zero-shot], regularisation: [0.01, 0.1]}",
         "clip-zero-shot], regularisation: [0.01]}",
         {"downstream": 3, **once("transfer", "figure7", "summary", "report")}),
        # a model's recipe, and that of one that others start from
        (SMALL, "label_smoothing: 0.2", "label_smoothing: 0.3",
         {"train": 1, "extract": 1, "extract_set": SHOWN, **AGGREGATES}),
        (SMALL, '["a photo of a {}", "a {} for sale"]', '["a photo of a {}"]',
         {"train_parent": 1, "head": 2, "extract": 2, "extract_features": 1, "features": 1,
          "extract_tasks": 1, "downstream": 2, "extract_set": SHOWN, **AGGREGATES}),
        # one model more, and one less
        (SMALL, "  high: {", "  narrow: {category: hparam, seed: 8, shift: 0}\n  high: {",
         {"train": 1, "extract": 1, "extract_set": SHOWN, **AGGREGATES}),
        (SMALL, "  low: {category: hparam, set: low, epochs: 1, seed: 7}\n", "",
         {"extract_set": SHOWN, **AGGREGATES}),
    ],
    ids=["pairs module", "greedy module", "probes", "style", "template", "caption", "pin", "name",
         "band", "combination", "pair", "groups", "update", "attributes", "name of an update",
         "greedy", "seeds", "path", "recipe", "parent", "more", "less"],
)  # fmt: skip
def test_only_what_follows_runs_after(checkout, name, old, new, jobs):
    path = checkout.path / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert checkout.planned() == jobs


def test_another_test_set_computes_nothing_else(checkout):
    checkout.edit(
        SMALL, "  second-look: {", "  blur: {corruption: blur, severity: 5}\n  second-look: {"
    )
    planned = checkout.planned()
    geometries = planned.pop("images_of_set")
    assert geometries > 0
    assert planned == {**ON_ONE_SET, "extract_set": 1}


def test_labels_of_a_test_set_reach_no_fit(checkout):
    table = checkout.path / "second-look.csv"
    first, *rows = table.read_text().splitlines()
    table.write_text("\n".join([first, *rows[1:]]) + "\n")
    assert checkout.planned() == ON_ONE_SET
    # What is asked again of its labels is read by no rule but those of test sets.
    rules = (checkout.path / "workflow/rules").glob("*.smk")
    readers = {p.name for p in rules if "<results>/test_sets/" in p.read_text()}
    assert readers == {"test_sets.smk", "logits_on_sets.smk", "answers_on_sets.smk"}


def test_a_model_that_joins_is_the_only_one_that_a_test_set_runs(checkout):
    checkout.edit(SMALL, "  high: {", "  narrow: {category: hparam, seed: 8, shift: 0}\n  high: {")
    outputs = checkout.path / "results/small/test_sets/noise/outputs"
    place = "results/small/test_sets/noise/outputs/narrow/test.h5"
    with h5py.File(outputs / "base/test.h5") as file:
        before = file["logits"][:]
    checkout.run(place)
    log = (checkout.path / "results/small/logs/extract_set/noise.log").read_text()
    assert log.count("resuming at image 500 of 500") == len(list(outputs.iterdir())) - 1
    with h5py.File(outputs / "base/test.h5") as file:
        np.testing.assert_array_equal(file["logits"][:], before)


def test_a_change_of_an_image_file_is_noticed_and_its_touch_is_not(tmp_path, folder_study):
    checkout, study = folder_study
    image = checkout.path / "photos/train/red/00.png"
    content = image.read_bytes()
    image.write_bytes(content)
    assert checkout.planned(study) == {}
    image.write_bytes((checkout.path / "photos/train/red/01.png").read_bytes())
    assert checkout.planned(study)["dataset"] == 1


def test_results_are_redrawn_where_their_images_are_not(folder_study):
    checkout, study = folder_study
    for name in ("photos", "voc"):
        shutil.rmtree(checkout.path / name)
    (checkout.path / "mine.safetensors").unlink()
    for name in ("models", "outputs", "images"):
        shutil.rmtree(checkout.path / "results/photos" / name)
    figure = "results/photos/figures/figure7.png"
    before = (checkout.path / figure).stat().st_mtime_ns
    output = checkout.run(figure, "--forcerun", "figure7", study=study)
    assert re.search(r"^1 job to run$", output, re.MULTILINE)
    assert re.search(r"^\[1/1\] figure7, ", output, re.MULTILINE)
    assert (checkout.path / figure).stat().st_mtime_ns > before


def test_an_image_that_changed_after_a_run_that_failed_is_seen_by_its_models(
    tmp_path, folder_study
):
    checkout, study = folder_study
    file = "results/photos/outputs/mine/test.h5"
    with h5py.File(checkout.path / file) as outputs:
        before, ids = outputs["logits"][:], list(outputs["ids"].asstr())
    (checkout.path / file).unlink()
    # Once more, in a run that fails: what jobs would go on from is kept.
    figure, broken = "results/photos/figures/figure2.png", "raise ValueError\n"
    script = checkout.path / "workflow/scripts/figures/figure2.py"
    whole = script.read_text()
    script.write_text(whole + broken)
    assert checkout.snakemake(file, figure, "--keep-going", study=study).returncode == 1
    assert (checkout.path / f"{file}.part").exists()
    script.write_text(whole)
    other = (checkout.path / "photos/test/green/00.png").read_bytes()
    (checkout.path / "photos/test/red/00.png").write_bytes(other)
    checkout.run(file, study=study)
    with h5py.File(checkout.path / file) as outputs:
        changed = (outputs["logits"][:] != before).any(axis=1)
    assert [ids[row] for row in np.flatnonzero(changed)] == ["test/red/00.png"]


def test_a_style_edit_redraws_figures_and_computes_no_number(checkout):
    results = checkout.path / "results/small"
    pairs = results / "pairs.tsv"
    before = pairs.stat().st_mtime_ns, (results / "figures/figure1.png").read_bytes()
    checkout.edit("workflow/lib/show/style.py", '"hparam": Look("', '"hparam": Look("New ')
    output = checkout.run()
    assert "] figure1, " in output
    assert "] pairs, " not in output
    assert pairs.stat().st_mtime_ns == before[0]
    assert (results / "figures/figure1.png").read_bytes() != before[1]
    assert checkout.planned() == {}
