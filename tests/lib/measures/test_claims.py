"""Claims hold on tables made to hold them, are denied by the opposite, and else stay unclear."""

import numpy as np
import pandas as pd
import pytest

from workflow.lib.measures import claims
from workflow.lib.measures.claims import NO, UNCLEAR, YES
from workflow.lib.study.categories import CATEGORIES


def pairs(inconsistency, improvement=None, conversion=None) -> pd.DataFrame:
    """Four models a category, in order of divergence."""
    count = len(inconsistency)
    return pd.DataFrame(
        {
            "category": np.repeat(CATEGORIES, count // 5),
            "rank": np.repeat(range(5), count // 5),
            "error_inconsistency": inconsistency,
            "improvement": np.asarray(inconsistency) / 4 if improvement is None else improvement,
            "conversion_rate": np.linspace(0.5, 0.7, count) if conversion is None else conversion,
        }
    )


RISING = np.linspace(0.05, 0.2, 20)
MIXED = 0.1 + 0.01 * np.random.default_rng(0).normal(size=20)


def test_verdicts():
    assert claims.verdict(0.1, 0.3) == YES
    assert claims.verdict(-0.1, 0.3) == UNCLEAR
    assert claims.verdict(-0.3, -0.1) == NO
    assert claims.verdict(-0.3, -0.1, -1) == YES
    assert claims.verdict(np.nan, 0.1) == UNCLEAR


@pytest.mark.parametrize(("values", "holds"), [(RISING, YES), (RISING[::-1], NO), (MIXED, UNCLEAR)])
def test_inconsistency_grows(values, holds):
    claim = claims.inconsistency_grows(pairs(values))
    assert claim.holds == holds
    # The mean of the first category's four models.
    assert f"reinit {100 * values[:4].mean():.1f} %" in claim.evidence


def test_improvement_is_linear_and_a_bend_makes_it_unclear():
    noise = 1e-4 * np.random.default_rng(1).normal(size=20)
    assert claims.improvement_is_linear(pairs(RISING, RISING / 4 + noise)).holds == YES
    assert claims.improvement_is_linear(pairs(RISING, -RISING / 4 + noise)).holds == NO
    bent = claims.improvement_is_linear(pairs(RISING, RISING**3 + noise))
    assert bent.holds == UNCLEAR
    assert "slope 0.25" in claims.improvement_is_linear(pairs(RISING, RISING / 4)).evidence


def test_conversion_grows():
    assert claims.conversion_grows(pairs(RISING)).holds == YES
    falling = claims.conversion_grows(pairs(RISING, conversion=np.linspace(0.7, 0.5, 20)))
    assert falling.holds == NO
    assert "from 50 to 70 %" in falling.evidence


def classes(reinit: int, dataset: int) -> pd.DataFrame:
    rows = [
        {"what": "class", "pair": f"base + {category}", "name_1": "Base",
         "name_2": category.title(), "category": category,
         "specialist": "base" if place < special else np.nan}
        for category, special in (("reinit", reinit), ("dataset", dataset))
        for place in range(10)
    ]  # fmt: skip
    return pd.DataFrame([*rows, rows[0] | {"what": "group", "specialist": "base"}])


@pytest.mark.parametrize(("counts", "holds"), [((1, 6), YES), ((2, 2), UNCLEAR), ((3, 0), NO)])
def test_models_specialise(counts, holds):
    claim = claims.models_specialise(classes(*counts))
    assert claim.holds == holds
    assert f"Base and Dataset {counts[1]} of 10" in claim.evidence


def test_pairs_of_models_with_the_same_names_are_told_apart():
    claim = claims.models_specialise(classes(1, 6).assign(name_2="ResNet"))
    assert claim.holds == YES
    assert "Base and ResNet 1 of 10; Base and ResNet 6 of 10" in claim.evidence


def first(gains) -> pd.DataFrame:
    rows = [
        {"combination": "logit", "protocol": "held-out", "base_name": f"B{base}", "name": "Weak",
         "gain": gain, "gain_low": gain - 0.005, "gain_high": gain + 0.005}
        for base, gain in enumerate(gains)
    ]  # fmt: skip
    # What was selected on the scored images does not count.
    flattered = [row | {"protocol": "paper", "gain_low": 1.0, "gain_high": 1.0} for row in rows]
    return pd.DataFrame(rows + flattered)


@pytest.mark.parametrize(
    ("gains", "holds"),
    [([0.01, 0.02, 0.001], YES), ([0.01, 0.001, 0.001], UNCLEAR), ([-0.01, -0.02, 0.01], NO)],
)
def test_low_accuracy_helps(gains, holds):
    claim = claims.low_accuracy_helps(first(gains), "logit")
    assert claim.holds == holds
    assert f"B0 with Weak {100 * gains[0]:+.2f} points".replace("-", "−") in claim.evidence


def features(at_half) -> pd.DataFrame:
    rows = [
        {
            "panel": "combined",
            "what": "model",
            "model": f"m{i}",
            "name": f"M{i}",
            "share": share,
            "accuracy": value,
        }
        for i, half in enumerate(at_half)
        for share, value in ((0, 0.7), (50, half), (100, 0.8))
    ]
    return pd.DataFrame(rows)


def test_combined_features_are_compared_with_the_better_of_both():
    won = claims.combined_features_win(features([0.815, 0.82, 0.825]))
    assert won.holds == YES
    assert "+2.00 points" in won.evidence
    assert "M2 (+2.50)" in won.evidence
    alike = claims.combined_features_win(features([0.815, 0.82, 0.825]).assign(name="ResNet"))
    assert "mean over 3 models; the best is ResNet (+2.50)" in alike.evidence
    # Better than one of both is not enough.
    assert claims.combined_features_win(features([0.78, 0.785, 0.775])).holds == NO
    assert claims.combined_features_win(features([0.75, 0.85, 0.8])).holds == UNCLEAR


@pytest.mark.parametrize(("needed", "holds"), [(range(60, 20, -2), YES), (range(20, 60, 2), NO)])
def test_divergence_compresses(needed, holds):
    table = pd.DataFrame(
        {"panel": "needed", "what": "model", "category": np.repeat(CATEGORIES, 4),
         "dimensions": np.array(needed, float)}
    )  # fmt: skip
    assert claims.divergence_compresses(table).holds == holds
    # Never to reach the target is to need more than any other.
    table.loc[table["category"] == ("reinit" if holds == YES else "dataset"), "dimensions"] = np.nan
    claim = claims.divergence_compresses(table)
    assert claim.holds == holds
    assert "never" in claim.evidence


def test_no_model_reaches_the_target():
    table = pd.DataFrame(
        {"panel": "needed", "what": "model", "category": list(CATEGORIES), "dimensions": np.nan}
    )
    assert claims.divergence_compresses(table).holds == UNCLEAR


@pytest.mark.parametrize("count", [0, 1])
def test_what_too_few_models_cannot_tell_is_said_so(count):
    rows = pairs(RISING).head(count)
    for ask in (claims.inconsistency_grows, claims.improvement_is_linear, claims.conversion_grows):
        claim = ask(rows)
        assert claim.holds == UNCLEAR
        assert "not known (too few models" in claim.evidence
        assert "nan" not in claim.evidence


@pytest.mark.parametrize(("sign", "holds"), [(1, YES), (-1, NO)])
def test_diverse_pairs_transfer(sign, holds):
    table = pd.DataFrame(
        {"what": "pair", "name": [f"p{i}" for i in range(20)], "error_inconsistency": RISING,
         "average_precision": 0.6 + sign * RISING}
    )  # fmt: skip
    table["average_precision_low"] = table["average_precision"] - 0.02
    table["average_precision_high"] = table["average_precision"] + 0.02
    claim = claims.diverse_pairs_transfer(table)
    assert claim.holds == holds
    best = "p19, mAP 80.0 % (78.0 to 82.0), more inconsistent than 95 %" if sign == 1 else "p0, mAP"
    assert f"Best pair: {best}" in claim.evidence


def test_a_single_model_says_nothing_of_pairs():
    alone = pd.DataFrame({"what": ["model"], "error_inconsistency": 0.0, "average_precision": 0.5})
    assert claims.diverse_pairs_transfer(alone).holds == UNCLEAR
