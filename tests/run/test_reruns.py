"""Exactly what changed runs again: asked of Snakemake itself, on a finished study."""

import os
import shutil
import time

import pytest

from tests.run.conftest import SMALL, Checkout

BOTH = {"figure1": 2, "figure2": 2, "figure8": 2, "report": 2}  # of the small study and the paper's
DRAWN = {
    **BOTH,
    **{f"figure{n}": 1 for n in range(3, 8)},
    **{"pareto": 1, "sensitivity": 1, "contact_sheet": 1},
}
AFTER_PAIRS = {
    **dict.fromkeys(["figure1", "figure2", "figure8", "figure6", "figure7", "tables"], 1),
    **dict.fromkeys(["variants", "sensitivity", "summary", "report"], 1),
}
AFTER_CALIBRATION = {
    "pairs": 1,
    **AFTER_PAIRS,
    **dict.fromkeys(["specialisation", "class_specialisation", "contact_sheet"], 1),
    **dict.fromkeys(["figure3", "figure4", "greedy", "figure5", "recommendations", "pareto"], 1),
}
AGGREGATES = {"calibration": 1, **AFTER_CALIBRATION}


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
        # a module that only the pair analysis imports
        ("workflow/lib/pairwise.py", "import numpy as np\n", "import numpy as np\n\nCHANGED = 1\n",
         {"pairs": 1, **AFTER_PAIRS}),
        # the look of figures
        ("workflow/lib/style.py", '"""\n\n', '"""\n\nCHANGED = 1\n', DRAWN),
        # a package that only figures import
        ("envs/requirements.txt", "matplotlib==", "matplotlib==0.", DRAWN),
        # what is shown, and how
        (SMALL, "name: ResNet (seed 1)", "name: ResNet (again)", {"pairs": 1, **AFTER_PAIRS}),
        (SMALL, "band: [0.5, 0.95]", "band: [0.4, 0.95]", {"pairs": 1, **AFTER_PAIRS}),
        (SMALL, "ensemble: probability", "ensemble: logit", AFTER_PAIRS),
        (SMALL, "- [base, reinit]", "- [base, efficientnet]", {"figure2": 1}),
        # a model's recipe, and that of one that others start from
        (SMALL, "label_smoothing: 0.2", "label_smoothing: 0.3",
         {"train": 1, "extract": 1, **AGGREGATES}),
        (SMALL, '["a photo of a {}", "a {} for sale"]', '["a photo of a {}"]',
         {"train_parent": 1, "train": 2, "extract": 2, **AGGREGATES}),
        # one model more, and one less
        (SMALL, "  high: {", "  narrow: {category: hparam, seed: 5, shift: 0}\n  high: {",
         {"train": 1, "extract": 1, **AGGREGATES}),
        (SMALL, "  low: {category: hparam, set: low, epochs: 1}\n", "", AGGREGATES),
    ],
    ids=["module", "style", "pin", "name", "band", "mean", "label", "recipe", "parent", "more",
         "less"],
)  # fmt: skip
def test_only_what_follows_runs_after(checkout, name, old, new, jobs):
    path = checkout.path / name
    if name.endswith("style.py"):
        text = path.read_text()
        path.write_text(text.replace(old, new, 1))
    else:
        checkout.edit(name, old, new)
    assert checkout.planned() == jobs


def test_a_change_of_an_image_file_is_noticed_and_its_touch_is_not(tmp_path, folder_study):
    checkout, study = folder_study
    image = checkout.path / "photos/train/red/00.png"
    content = image.read_bytes()
    image.write_bytes(content)
    assert checkout.planned(study) == {}
    image.write_bytes((checkout.path / "photos/train/red/01.png").read_bytes())
    assert checkout.planned(study)["dataset"] == 1


def test_a_style_edit_redraws_figures_and_computes_no_number(checkout):
    results = checkout.path / "results/small"
    pairs = results / "pairs.tsv"
    before = pairs.stat().st_mtime_ns, (results / "figures/figure1.png").read_bytes()
    checkout.edit("workflow/lib/style.py", '"hparam": Look("', '"hparam": Look("New ')
    output = checkout.run()
    assert "rule figure1" in output
    assert "rule pairs" not in output
    assert pairs.stat().st_mtime_ns == before[0]
    assert (results / "figures/figure1.png").read_bytes() != before[1]
    assert checkout.planned() == {}
