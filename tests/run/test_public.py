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


def test_a_file_of_answers_that_is_not_there_is_named_and_its_images_can_be_listed(tmp_path):
    public = Checkout.new(tmp_path)
    (public.path / "labels.csv").write_text("id,label\nx,0\ny,1\nz,1\n")
    (public.path / "a.csv").write_text("id,answer\nx,0\ny,1\nz,0\n")
    study = "studies/few.yaml"
    models = "\n".join(
        f"  {key}: {{category: {category}, answers: {key}.csv}}"
        for key, category in (("a", "base"), ("b", "arch"), ("c", "arch"))
    )
    (public.path / study).write_text(
        f"study: few\ndataset: {{kind: labels, path: labels.csv}}\nband: [0, 1]\n"
        f"models:\n{models}\n"
    )
    done = public.snakemake("--dry-run", study=study)
    assert done.returncode != 0
    assert "models.b.answers: there is no file b.csv; the command" in done.stdout
    assert "Missing input files for rule answers" in done.stdout
    public.run("results/few/template/images.csv", study=study)
    images = (public.path / "results/few/template/images.csv").read_text()
    assert images.split() == ["id,split", "x,test", "y,test", "z,test"]
    for key in "bc":
        (public.path / f"{key}.csv").write_text("id,answer\nx,1\ny,1\nz,1\n")
    (public.path / "c.csv").write_text("id,answer\nx,0\ny,1\nz,2\n")
    done = public.snakemake(study=study)
    assert done.returncode != 0
    assert "c.csv, line 4: the answer '2' of 'z' is no class" in done.stdout
