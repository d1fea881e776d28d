"""The register of figures agrees with the rules, the scripts and the captions."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from workflow.lib.study.figures import FIGURES, PUBLISHED, SECTIONS, drawable

ROOT = Path(__file__).parents[3]
RULES = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))


def study(**given):
    lacking = {
        "pairs": [],
        "updates": [],
        "downstream": None,
        "test_sets": {},
        "models": dict.fromkeys("abcd"),
    } | given
    lacking |= {"has_logits": True, "has_gains": True, "has_angles": lacking["pairs"]} | given
    greedy = SimpleNamespace(bases=lacking.pop("bases", []))
    features = SimpleNamespace(models=lacking.pop("probed", []))
    return SimpleNamespace(greedy=greedy, features=features, **lacking)


@pytest.mark.parametrize("name", [figure.name for figure in FIGURES])
def test_a_figure_has_a_rule_a_script_and_a_caption(name):
    assert f"rule {name}:" in RULES
    assert f"<results>/figures/{name}" in RULES
    assert (ROOT / f"workflow/scripts/figures/{name}.py").is_file()
    assert (ROOT / f"workflow/report/{name}.rst").is_file()


def test_every_script_of_a_figure_is_registered():
    scripts = {path.stem for path in (ROOT / "workflow/scripts/figures").glob("[!_]*.py")}
    sheets = {"contact_sheet", "flip_sheet", "image_sheets"}
    assert scripts - sheets == {figure.name for figure in FIGURES}


def test_figures_are_in_the_order_of_the_sections_and_none_twice():
    places = [list(SECTIONS).index(figure.section) for figure in FIGURES]
    assert places == sorted(places)
    assert len({figure.name for figure in FIGURES}) == len(FIGURES)
    assert len({figure.title for figure in FIGURES}) == len(FIGURES)


@pytest.mark.parametrize(
    ("given", "more"),
    [
        ({}, set()),
        ({"pairs": [["a", "b"]]}, {"figure3", "figure4"}),
        ({"updates": [["a", "b"]]}, {"flips"}),
        ({"bases": ["a"]}, {"figure5"}),
        ({"probed": ["a"]}, {"figure6"}),
        ({"downstream": {"kind": "voc"}}, {"figure7"}),
        ({"test_sets": {"v2": {"labels": "v2.csv"}}}, {"shift", "effective"}),
    ],
)
def test_a_study_draws_what_it_has(given, more):
    always = {"figure1", "figure2", "figure8", "pareto", "risk", "nats", "sensitivity"}
    maps = {"map", "clusters"} if len(study(**given).models) > 2 else set()
    assert set(drawable(study(**given))) == always | maps | more
    assert set(PUBLISHED) < always


def test_a_study_of_few_models_draws_nothing_over_models():
    assert drawable(study(models={"a": 0, "b": 0})) == ["pareto", "risk", "nats"]


def test_answers_alone_draw_what_needs_no_logits():
    given = {"has_logits": False, "has_gains": False, "has_angles": False}
    given["updates"] = [["a", "b"]]
    found = set(drawable(study(pairs=[["a", "b"]], bases=["a"], **given)))
    assert found == {"figure1", "figure8", "map", "clusters", "votes", "figure4", "flips"}
    confident = given | {"has_gains": True, "has_angles": True}
    more = set(drawable(study(pairs=[["a", "b"]], bases=["a"], **confident)))
    assert more == found | {"figure2", "figure3"}


def test_rules_can_read_the_register_without_drawing():
    code = "import sys; import workflow.lib.study.figures; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"matplotlib", "seaborn", "pandas", "torch"} & set(run.stdout.split())
