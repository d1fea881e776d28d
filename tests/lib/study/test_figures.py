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
    lacking = {"pairs": [], "downstream": None} | given
    greedy = SimpleNamespace(bases=lacking.pop("bases", []))
    features = SimpleNamespace(models=lacking.pop("models", []))
    known = {f"m{number}": None for number in range(lacking.pop("number", 4))}
    return SimpleNamespace(greedy=greedy, features=features, models=known, **lacking)


@pytest.mark.parametrize("name", [figure.name for figure in FIGURES])
def test_a_figure_has_a_rule_a_script_and_a_caption(name):
    assert f"rule {name}:" in RULES
    assert f"<results>/figures/{name}" in RULES
    assert (ROOT / f"workflow/scripts/figures/{name}.py").is_file()
    assert (ROOT / f"workflow/report/{name}.rst").is_file()


def test_every_script_of_a_figure_is_registered():
    scripts = {path.stem for path in (ROOT / "workflow/scripts/figures").glob("[!_]*.py")}
    assert scripts - {"contact_sheet"} == {figure.name for figure in FIGURES}


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
        ({"bases": ["a"]}, {"figure5"}),
        ({"models": ["a"]}, {"figure6"}),
        ({"downstream": {"kind": "voc"}}, {"figure7"}),
    ],
)
def test_a_study_draws_what_it_has(given, more):
    always = {"figure1", "figure2", "figure8", "pareto", "sensitivity"}
    assert set(drawable(study(**given))) == always | more
    assert set(PUBLISHED) < always


def test_a_study_of_few_models_draws_nothing_over_models():
    assert drawable(study(number=3)) == ["pareto"]


def test_rules_can_read_the_register_without_drawing():
    code = "import sys; import workflow.lib.study.figures; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"matplotlib", "seaborn", "pandas", "torch"} & set(run.stdout.split())
