"""The study of public networks, as a user runs it: quick, and once only."""

import time

import pandas as pd
import pytest

from tests.run.conftest import Checkout

STUDY = "studies/public.yaml"


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    checkout = Checkout.new(tmp_path_factory.mktemp("public"))
    start = time.monotonic()
    checkout.run(study=STUDY)
    checkout.seconds = time.monotonic() - start
    return checkout


def test_it_has_its_numbers_beside_the_papers(public):
    table = pd.read_csv(public.path / "results/public/figures/figure1.tsv", sep="\t")
    means = table[table["what"] == "mean"].set_index("category")["error_inconsistency"]
    expected = {"hparam": 0.1107, "arch": 0.1206, "fwork": 0.1323, "dataset": 0.1324}
    assert means.to_dict() == pytest.approx(expected, abs=6e-5)
    paper = table[table["what"] == "paper"].set_index("category")["error_inconsistency"]
    assert paper["reinit"] == 0.085 and 0.18 < paper["dataset"] < 0.19
    floor = table[table["what"] == "floor"]["error_inconsistency"]
    assert sorted(floor) == pytest.approx([0.0008, 0.0859], abs=6e-5)
    votes = pd.read_csv(public.path / "results/public/figures/votes.tsv", sep="\t")
    assert votes[["error_inconsistency", "improvement"]].corr().iloc[0, 1] > 0.9
    page = (public.path / "results/public/report.html").read_text()
    assert "only the answers are known" in page


def test_it_runs_once_and_leaves_the_papers_numbers_to_other_studies(public):
    assert public.planned(STUDY) == {}
    assert not [rule for rule in public.planned("config.yaml") if rule.startswith("paper_")]


def test_what_needs_logits_is_refused_by_name(public):
    changed = public.path / "studies/greedy.yaml"
    text = (public.path / STUDY).read_text()
    changed.write_text(text.replace("band:", "greedy: {size: 3}\nband:"))
    done = public.snakemake("--dry-run", study="studies/greedy.yaml")
    assert done.returncode != 0
    assert "greedy: needs logits or networks, and all models have answers alone" in done.stdout
