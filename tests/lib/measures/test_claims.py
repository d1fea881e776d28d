"""Claims hold on tables made to hold them, are denied by the opposite, and else stay unclear."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workflow.lib.measures import claims
from workflow.lib.measures.bases import Compared, X
from workflow.lib.measures.claims import Answers
from workflow.lib.measures.feature_gains import gains_over_images, rights, shared_gains
from workflow.lib.measures.verdicts import NO, UNCLEAR, YES, Finding, judge
from workflow.lib.study.categories import CATEGORIES

BASES = 3
COUNT = 20
RISING = np.linspace(0.05, 0.2, COUNT)
MIXED = 0.1 + 0.01 * np.random.default_rng(0).normal(size=COUNT)


def compared(inconsistency, improvement=None, conversion=None, accuracy=None, noise=1e-4):
    """Four models a category, in order of divergence, of which the first are bases."""
    rng = np.random.default_rng(1)
    inconsistency = np.asarray(inconsistency)
    conversion = np.linspace(0.5, 0.7, COUNT) if conversion is None else conversion
    if improvement is None:
        improvement = inconsistency * (conversion - 0.5)
    if accuracy is None:
        accuracy = 0.8 + 0.02 * rng.normal(size=COUNT)
    itself = np.eye(COUNT, dtype=bool)[:BASES]
    own = {
        X: inconsistency,
        "error_consistency": 1 - 3 * inconsistency,
        "improvement": improvement,
        "conversion_rate": conversion,
        "accuracy": accuracy,
    }
    values = {
        name: np.where(itself, np.nan, each + noise * rng.normal(size=itself.shape))
        for name, each in own.items()
    }
    keys = [f"m{place}" for place in range(COUNT)]
    models = pd.DataFrame(
        {"model": keys, "name": keys, "category": np.repeat(CATEGORIES, COUNT // 5)}
    )
    return Compared(keys[:BASES], models, values)


def holds(finding: Finding) -> str:
    return judge([finding])[0].holds


@pytest.mark.parametrize(
    ("value", "p", "more", "expected"),
    [
        (0.5, 0.01, {}, YES),
        (-0.5, 0.01, {}, NO),
        (0.5, 0.06, {}, UNCLEAR),
        (0.5, 0.01, {"agree": False}, UNCLEAR),
        (-0.5, 0.01, {"agree": False}, UNCLEAR),
        (0.5, 0.01, {"whole": False}, UNCLEAR),
        (-0.5, 0.01, {"whole": False}, NO),
        (np.nan, np.nan, {}, UNCLEAR),
    ],
)
def test_verdicts(value, p, more, expected):
    assert holds(Finding("It is so.", "figure1", value, p, "", **more)) == expected


def test_verdicts_are_corrected_for_their_number():
    found = [Finding("It is so.", "figure1", 1.0, p, "") for p in (0.03, 0.02, np.nan)]
    judged = judge(found)
    assert [each.holds for each in judged] == [YES, YES, UNCLEAR]  # 2 x 0.02 and 0.04
    assert judge([*found, found[0]])[0].holds == UNCLEAR  # 3 x 0.02 and on
    assert judged[1].p_holm == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("values", "expected"), [(RISING, YES), (RISING[::-1], NO), (MIXED, UNCLEAR)]
)
def test_inconsistency_grows(values, expected):
    found = claims.inconsistency_grows(compared(values))
    assert holds(found) == expected
    assert f"reinit {100 * values[:4].mean():.1f} %" in found.evidence
    assert "mean over 3 bases" in found.evidence


def test_inconsistency_that_follows_from_accuracy_alone_is_no_evidence():
    rng = np.random.default_rng(2)
    accuracy = 0.9 - RISING + 0.01 * rng.normal(size=COUNT)
    inconsistency = 0.3 - 0.2 * accuracy + 0.005 * rng.normal(size=COUNT)
    found = claims.inconsistency_grows(compared(inconsistency, accuracy=accuracy, noise=0))
    assert found.value > 0.7
    assert holds(found) == UNCLEAR
    assert "given their accuracy" in found.evidence


def test_inconsistency_without_accuracies_or_with_one_base_is_asked_as_well():
    whole = compared(RISING)
    values = {X: whole.values[X][:1]}
    found = claims.inconsistency_grows(Compared(["m0"], whole.models, values))
    assert (holds(found), "given" in found.evidence) == (YES, False)


def test_noise_of_test_images_counts():
    rng = np.random.default_rng(0)
    right = rng.random((COUNT, 60)) < 0.8  # as good as no images at all
    keys = [f"m{place}" for place in range(COUNT)]
    found = compared(RISING)
    assert holds(claims.inconsistency_grows(found)) == YES
    answers = Answers(keys, right, np.zeros(60, int))
    assert claims.inconsistency_grows(found, answers).p > 0.05
    # Answers of other models say nothing.
    assert (
        holds(claims.inconsistency_grows(found, Answers(["x"], right[:1], answers.labels))) == YES
    )


def test_improvement_must_grow_faster_than_constant_conversion_makes_it():
    constant = np.full(COUNT, 0.6)
    assert holds(claims.improvement_is_linear(compared(RISING, RISING / 4, constant))) == YES
    found = claims.improvement_is_linear(compared(RISING, RISING / 4, constant, noise=0))
    assert "Slope 0.25" in found.evidence
    assert "would give 0.10; above that 0.15" in found.evidence
    arithmetic = claims.improvement_is_linear(compared(RISING, RISING * 0.1, constant))
    assert holds(arithmetic) == UNCLEAR
    assert holds(claims.improvement_is_linear(compared(RISING, -RISING / 4, constant))) == NO
    bent = claims.improvement_is_linear(compared(RISING, 40 * RISING**3, constant))
    assert (holds(bent), bent.whole) == (UNCLEAR, False)


def test_conversion_grows():
    assert holds(claims.conversion_grows(compared(RISING))) == YES
    falling = claims.conversion_grows(compared(RISING, conversion=np.linspace(0.7, 0.5, COUNT)))
    assert holds(falling) == NO
    assert "from 50 to 70 %" in falling.evidence


def answers(special: float) -> Answers:
    """Models that miss a fifth of the images, all but the first four of a class of their own."""
    rng = np.random.default_rng(0)
    labels = np.repeat(range(5), 400)
    missed = np.full((COUNT, 5), 0.2)
    for place in range(4, COUNT):
        missed[place, place % 5] += special
    right = rng.random((COUNT, len(labels))) > missed[:, labels]
    return Answers([f"m{place}" for place in range(COUNT)], right, labels)


def test_models_specialise_more_than_reseeded_ones():
    found = claims.models_specialise(compared(RISING), answers(0.3))
    assert holds(found) == YES
    assert "reinit" in found.evidence
    assert holds(claims.models_specialise(compared(RISING), answers(0.0))) == UNCLEAR


def test_without_reseeded_pairs_specialisation_is_unclear():
    whole = compared(RISING)
    alone = Compared(["m0"], whole.models, {name: v[:1] for name, v in whole.values.items()})
    found = claims.models_specialise(alone, answers(0.3))
    assert holds(found) == UNCLEAR
    assert "there is no reseeded pair" in found.evidence


def weaker(gains, p) -> pd.DataFrame:
    rows = [
        {"what": "base", "weights": weights, "base": f"b{place}", "model": "m", "weight": 0.3,
         "gain": gain}
        for weights in ("equal", "chosen") for place, gain in enumerate(gains)
    ]  # fmt: skip
    mean = {"gain": np.mean(gains), "gain_low": np.mean(gains) - 0.01, "p": p}
    mean["gain_high"] = mean["gain"] + 0.01
    rows += [{"what": "mean", "weights": weights} | mean for weights in ("equal", "chosen")]
    return pd.DataFrame(rows)


NAMES = {"b0": "ResNet", "b1": "50", "m": "ViT"}


@pytest.mark.parametrize(
    ("gains", "p", "expected"),
    [([0.01, 0.02], 0.01, YES), ([0.01, 0.02], 0.2, UNCLEAR), ([-0.01, 0.04], 0.01, UNCLEAR),
     ([-0.01, -0.02], 0.01, NO)],
)  # fmt: skip
def test_low_accuracy_helps(gains, p, expected):
    found = claims.low_accuracy_helps(weaker(gains, p), NAMES)
    assert holds(found) == expected
    assert "ResNet with 30 % of ViT" in found.evidence
    assert "over 2 strong models" in found.evidence


def features(middle: float, spread: float = 0.0, models: int = 8):
    """Probes of 2,000 images: alone 80 % are right, with both models' features a share `middle`."""
    rng = np.random.default_rng(0)
    order = rng.random((models, 2000))
    lift = spread * rng.normal(size=(models, 1))
    shares, bases = np.array([0.0, 50, 100, 50, 100]), np.array(["a", "a", "a", "b", "b"])
    right = {
        f"m{place}": {"share": shares, "base": bases, "right": np.array([own < level for level in
                      (0.8, middle + lift[place, 0], 0.8, middle + lift[place, 0], 0.8)])}
        for place, own in enumerate(order)
    }  # fmt: skip
    keys = list(right)
    table = pd.DataFrame({"panel": "combined", "what": "model", "model": keys, "name": keys})
    return table, right


def test_combined_features_win():
    won = claims.combined_features_win(*features(0.83))
    assert holds(won) == YES
    assert "With 50 % of the base's features" in won.evidence
    assert "over 8 models and 2 bases" in won.evidence
    assert won.value == pytest.approx(0.03, abs=0.005)
    assert holds(claims.combined_features_win(*features(0.77))) == NO
    assert holds(claims.combined_features_win(*features(0.8, spread=0.03))) == UNCLEAR


def test_combined_features_win_with_every_base():
    table, right = features(0.83)
    for own in right.values():  # with the second base alone, what is won is lost again
        own["right"][4] = own["right"][3]
        own["right"][3] = own["right"][0]
    found = claims.combined_features_win(table, right)
    assert not found.agree
    assert holds(found) == UNCLEAR
    # By hand, of one model: the mean of both draws less the better of both alone.
    own = right["m0"]["right"].mean(axis=1)
    expected = (own[1] + own[3]) / 2 - max(own[0], (own[2] + own[4]) / 2)
    parts = rights([right["m0"]], 50)
    assert shared_gains(*parts)[0] == pytest.approx(expected)
    second = rights([right["m0"]], 50, "b")
    assert shared_gains(*second)[0] == pytest.approx(own[3] - max(own[0], own[4]))


def test_combined_features_need_a_share_in_between():
    table, right = features(0.83)
    alone = {key: {"share": np.array([100.0]), "base": np.array(["a"]), "right": own["right"][:1]}
             for key, own in right.items()}  # fmt: skip
    assert holds(claims.combined_features_win(table, alone)) == UNCLEAR


def test_test_images_that_all_probes_share_widen_the_interval():
    rng = np.random.default_rng(0)
    same = rng.random(500)
    parts = [np.tile(same < level, (6, 1)).astype(float) for level in (0.8, 0.83, 0.8)]
    gains = shared_gains(*parts)
    assert np.ptp(gains) == 0  # so that over models alone there is no variance at all
    _, low, high, _ = gains_over_images(parts, gains)
    share = gains[0]
    expected = 2 * 1.96 * np.sqrt(share * (1 - share) / 500)
    assert high - low == pytest.approx(expected, rel=0.1)
    # Three bases that differ widen it: their variance is divided by their number.
    bases = [0.0, 0.03, 0.06]
    _, low, high, _ = gains_over_images(parts, gains, bases)
    variance = (expected / 2 / 1.96) ** 2
    several = variance + np.var(bases, ddof=1) / 3
    degrees = several**2 / ((several - variance) ** 2 / 2 + variance**2 / 499)
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, degrees) * several**0.5, rel=0.1)


def needed(dimensions) -> pd.DataFrame:
    return pd.DataFrame(
        {"panel": "needed", "what": "model", "category": np.repeat(CATEGORIES, 2),
         "dimensions": dimensions}
    )  # fmt: skip


PROBES = pd.DataFrame({"l2": [0.1, 0.01, 0.01]})


@pytest.mark.parametrize(
    ("dimensions", "expected"),
    [(np.linspace(60, 20, 10), YES), (np.linspace(20, 60, 10), NO),
     ([30, 60, 20, 50, 40, 30, 60, 20, 50, 40], UNCLEAR)],
)  # fmt: skip
def test_divergence_compresses(dimensions, expected):
    enough = pd.DataFrame({"l2": [0.1, 0.1, 0.01]})
    assert holds(claims.divergence_compresses(needed(dimensions), enough)) == expected


def test_penalties_that_are_cut_off_make_it_unclear():
    found = claims.divergence_compresses(needed(np.linspace(60, 20, 10)), PROBES)
    assert "2 of 3 probes take the weakest penalty, 0.01" in found.evidence
    assert (found.value > 0.9, holds(found)) == (True, UNCLEAR)


def test_a_target_that_is_never_reached_counts_as_most():
    dimensions = [*np.linspace(60, 20, 9), np.nan]
    assert claims.divergence_compresses(needed(dimensions), PROBES).value < 1
    nothing = claims.divergence_compresses(needed([np.nan] * 10), PROBES)
    assert holds(nothing) == UNCLEAR


def downstream(relation: float) -> pd.DataFrame:
    """Pairs of ten models, of which inconsistent ones are better by `relation`."""
    rng = np.random.default_rng(3)
    own, odd = rng.normal(0.5, 0.02, size=10), rng.normal(0.0, 0.02, size=10)
    rows = [{"what": "model", "model_1": f"m{i}", "average_precision": own[i]} for i in range(10)]
    for i in range(10):
        for j in range(i):
            differ = 0.1 + odd[i] + odd[j] + 0.002 * rng.normal()
            precision = max(own[i], own[j]) + relation * differ + 0.001 * rng.normal()
            rows.append(
                {"what": "pair", "model_1": f"m{i}", "model_2": f"m{j}", "name": f"{i} + {j}",
                 "error_inconsistency": differ, "average_precision": precision,
                 "average_precision_low": precision, "average_precision_high": precision}
            )  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("relation", "expected"), [(1.0, YES), (-1.0, NO), (0.0, UNCLEAR)])
def test_diverse_pairs_transfer(relation, expected):
    found = claims.diverse_pairs_transfer(downstream(relation))
    assert holds(found) == expected
    assert "of 45 pairs" in found.evidence


def test_without_pairs_or_with_a_pair_missing_it_is_unclear():
    table = downstream(1.0)
    assert holds(claims.diverse_pairs_transfer(table[table["what"] == "model"])) == UNCLEAR
    assert holds(claims.diverse_pairs_transfer(table.iloc[:-1])) == UNCLEAR


def test_few_models_are_unclear():
    few = compared(RISING)
    models = few.models.iloc[:4].reset_index(drop=True)
    few = Compared(["m0"], models, {name: v[:1, :4] for name, v in few.values.items()})
    for ask in (claims.inconsistency_grows, claims.improvement_is_linear, claims.conversion_grows):
        found = ask(few)
        assert holds(found) == UNCLEAR
        assert "not known" in found.evidence
