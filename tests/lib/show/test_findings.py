"""Answers in sentences."""

import numpy as np
import pandas as pd
import pytest

from workflow.lib.measures.findings import COLUMNS, MORE, SAME, UNKNOWN, Recommendation
from workflow.lib.outputs.tables import write_table
from workflow.lib.show import findings as words

BEST = {"size": 1, "models": "a", "names": "A", "accuracy": 0.8, "parameters": 100}
PAIR = {"size": 2, "models": "a + b", "names": "A + B", "accuracy": 0.8061, "parameters": 300}
NAMES = {"a": "A + A", "b": "B"}


def found(chosen, low, high, gain=0.0061) -> Recommendation:
    return Recommendation(BEST, chosen, PAIR, gain, low, high, 0.002, 7, 1000, 10000)


def row(verdict: str, **values) -> dict:
    empty = dict.fromkeys(COLUMNS, np.nan)
    row = empty | {"model": "b", "name": "B", "group": "main", "verdict": verdict, "only_right": 12}
    for key, value in {"error_inconsistency": 0.12, "error_consistency": 0.4}.items():
        row |= {key: value, f"{key}_low": value - 0.01, f"{key}_high": value + 0.01}
    return row | values


def answers(recommendation, *rows) -> dict[str, tuple[str, str]]:
    table = words.findings(
        recommendation, pd.DataFrame(rows, columns=COLUMNS), "Base", combination="probability",
        names=NAMES, places={"a": "models/a", "b": "b.npz"}, cards={},
        examples=10000,
    )  # fmt: skip
    return {r.question: (r.answer, r.detail) for r in table.itertuples()}


def test_a_recommendation_has_names_gain_interval_cost_and_files():
    answer, detail = answers(found(PAIR, 0.0031, 0.0092))[words.COMBINE]
    assert answer == (
        "Combine A + A and B: +0.61 points (+0.31 to +0.92) over the best single model, A + A, on "
        "10,000 test images."
    )
    for part in ("80.6 % instead of 80.0 %", "3.0 times the parameters of A + A",
                 "average the calibrated probabilities", "1,000 held-out images",
                 "(0.20 points)", "7 ensembles", "Files: models/a, b.npz."):  # fmt: skip
        assert part in detail, part


@pytest.mark.parametrize("chosen", [BEST, PAIR])
def test_what_may_be_chance_is_said_to_be(chosen):
    answer, detail = answers(found(chosen, -0.0004, 0.0052, 0.0024))[words.COMBINE]
    assert answer == (
        "Take A + A alone: no pair is better than the best model beyond chance on 10,000 test "
        "images. The best pair is A + A and B: +0.24 points (−0.04 to +0.52)."
    )
    assert "Files: models/a." in detail


def test_a_gain_that_only_test_images_show_is_not_chosen_and_told():
    answer, _ = answers(found(BEST, 0.0014, 0.0072, 0.0043))[words.COMBINE]
    assert answer == (
        "Take A + A alone: 1,000 held-out images, by which ensembles are chosen, show no pair that "
        "is better beyond chance. The best pair there is A + A and B, on 10,000 test images +0.43 "
        "points (+0.14 to +0.72) over it."
    )


def test_how_much_so_many_images_can_show():
    answer, detail = answers(found(PAIR, 0.0031, 0.0091))[words.LIMIT]
    assert "a gain below 0.30 points cannot be told from zero" in answer
    assert "0.62 points where that is 10 %" in detail  # 1.96 * (0.1 / 10,000) ** 0.5


def test_images_on_which_both_are_right_alike_show_nothing():
    answer, _ = answers(found(PAIR, 0.0, 0.0, 0.0))[words.LIMIT]
    assert answer == (
        "The pair and the best single model are right on the same of 10,000 test images, which "
        "cannot show which is better."
    )


def test_the_most_different_model():
    excess = {"excess": 0.031, "excess_low": 0.026, "excess_high": 0.036}
    answer, detail = answers(None, row(MORE, **excess), row(SAME, **excess))[words.DIFFERENT]
    assert answer == (
        "B is the most different from Base: exactly one of them is right on 12.0 % (11.0 to 13.0) "
        "of the images, 3.10 points (2.60 to 3.60) more than with a new seed."
    )
    assert "κ = 0.40 (0.39 to 0.41)" in detail and "alone is right on 12 of 10,000" in detail
    assert "1 of 2 models differ from Base more than a new seed does" in detail


def test_nothing_is_said_of_new_seeds_without_any():
    answer, detail = answers(None, row(UNKNOWN, only_right=pd.NA))[words.DIFFERENT]
    assert "new seed" not in answer + detail and "alone" not in detail


def test_no_model_may_be_different():
    excess = {"excess": 0.001, "excess_low": -0.004, "excess_high": 0.006}
    answer, detail = answers(None, row(SAME, **excess))[words.DIFFERENT]
    assert answer.startswith("No model errs differently from Base beyond what a new seed does")
    assert "B: +0.10 points (−0.40 to +0.60)" in detail


def test_models_that_are_right_on_the_same_images_do_not_differ():
    alike = row(UNKNOWN, error_inconsistency=0.0, error_consistency=np.nan)
    answer, detail = answers(None, alike, alike)[words.DIFFERENT]
    assert answer == (
        "No model errs differently from Base: each is right on the same of 10,000 test images."
    )
    assert "nan" not in detail and "seed" not in detail


def test_the_terminal_has_the_answers_and_the_path(tmp_path):
    assert words.told_findings(tmp_path) == ""
    table = pd.DataFrame([("Which?", "Combine A and B.", "word " * 60)], columns=words.COLUMNS)
    write_table(tmp_path / "findings.tsv", table)
    (tmp_path / "report.html").touch()
    lines = words.told_findings(tmp_path).splitlines()
    assert lines[1] == "Combine A and B." and lines[2].startswith("  word word")
    assert max(map(len, lines[:-1])) <= words.WIDTH
    assert lines[-1] == f"Report: {tmp_path}/report.html"


def test_beside_a_triple_stands_the_best_pair():
    triple = PAIR | {"size": 3, "models": "a + b + c", "names": "A + B + C"}
    gain = (0.0067, 0.0029, 0.0105)
    recommendation = Recommendation(
        BEST, triple, triple, *gain, 0.003, 7, 1000, 10000, PAIR, (0.004, 0.001, 0.007)
    )
    answer, _ = answers(recommendation)[words.COMBINE]
    assert answer == (
        "Combine A + A, B and c: +0.67 points (+0.29 to +1.05) over the best single model, A + A, "
        "on 10,000 test images. Of two, A + A and B: +0.40 points (+0.10 to +0.70)."
    )
