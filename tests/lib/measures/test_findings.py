"""Which models to combine, and which one is different."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from workflow.lib.measures import findings
from workflow.lib.measures.findings import (
    AS_ACCURACY,
    LESS,
    MORE,
    SAME,
    UNKNOWN,
    WITHIN,
    Inconsistencies,
    count_only_right,
    excess_inconsistency,
    gain_over,
    least_gain,
    most_different,
    novelty,
    recommend,
)
from workflow.lib.measures.pairs import PairCounts, pair_table
from workflow.lib.measures.statistics import paired_gain

EXAMPLES = 400


def table_of(right: dict[str, np.ndarray]) -> pd.DataFrame:
    """pairs.tsv of models that are right as given."""
    correct = np.array([*right.values()]).astype(int)
    zeros = {"logit": np.zeros((len(right), len(right)), dtype=int)}
    counts = PairCounts(correct.shape[1], correct.sum(1), correct @ correct.T, zeros, zeros)
    return pair_table(counts, list(right))


def draw(seed: int, *shares: float) -> dict[str, np.ndarray]:
    """Models that share some of who is right with the first."""
    rng = np.random.default_rng(seed)
    base = rng.random(EXAMPLES) < 0.8
    models = {"base": base}
    for number, share in enumerate(shares):
        other = rng.random(EXAMPLES) < 0.8
        models[f"m{number}"] = np.where(rng.random(EXAMPLES) < share, base, other)
    return models


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_is_that_of_the_differences_of_each_image(seed):
    right = draw(seed, 0.2, 0.9, 0.9, 0.8)
    found = excess_inconsistency("m0", "base", ["m1", "m2", "m3"], Inconsistencies(table_of(right)))
    apart = {key: (own != right["base"]).astype(float) for key, own in right.items()}
    each = apart["m0"] - (apart["m1"] + apart["m2"] + apart["m3"]) / 3
    half = 1.959964 * each.std() / EXAMPLES**0.5
    assert found == pytest.approx((each.mean(), each.mean() - half, each.mean() + half), rel=1e-6)


def test_excess_by_hand():
    # Of ten images the model differs from the base on three, the one seed on one of these.
    base = np.ones(10, bool)
    model, seed = base.copy(), base.copy()
    model[:3], seed[:1] = False, False
    pairs = table_of({"base": base, "model": model, "seed": seed})
    excess, low, high = excess_inconsistency("model", "base", ["seed"], Inconsistencies(pairs))
    # Two images of ten count 1: mean 0.2, variance 0.2 - 0.04.
    assert excess == pytest.approx(0.2)
    assert high - excess == pytest.approx(1.959964 * (0.16 / 10) ** 0.5)
    assert low == pytest.approx(0.4 - high)


def test_without_seeds_nothing_is_known():
    pairs = table_of(draw(0, 0.5))
    assert np.isnan(excess_inconsistency("m0", "base", [], Inconsistencies(pairs))).all()


def models_table(categories: dict[str, str], group: str = "main") -> pd.DataFrame:
    rows = [
        {"model": key, "name": key.title(), "category": category, "accuracy": 0.8,
         "accuracy_low": 0.7, "accuracy_high": 0.9, "group": "base" if key == "base" else group}
        for key, category in categories.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_verdicts_of_models_made_to_have_them():
    rng = np.random.default_rng(0)
    size = 20000
    base = rng.random(size) < 0.8

    def noisy(share: float) -> np.ndarray:
        return np.where(rng.random(size) < share, base, rng.random(size) < 0.8)

    weak = base.copy()
    weak[np.flatnonzero(base)[:4000]] = False  # wrong where the base is right, never otherwise
    right = {"base": base, "s1": noisy(0.9), "s2": noisy(0.9), "s3": noisy(0.5)}
    right |= {"far": noisy(0.1), "near": noisy(0.99), "same": noisy(0.765), "weak": weak}
    right["within"] = noisy(0.6)
    categories = dict.fromkeys(right, "arch") | {"base": "base", "s1": "reinit", "s2": "reinit"}
    categories["s3"] = "reinit"
    table = novelty(models_table(categories), table_of(right), {"far": 7}).set_index("model")
    verdicts = table["verdict"].to_dict()
    assert verdicts["far"] == MORE and verdicts["near"] == LESS and verdicts["within"] == WITHIN
    assert verdicts["same"] == SAME
    assert verdicts["weak"] in (MORE, AS_ACCURACY)
    assert "base" not in verdicts
    assert table.at["far", "only_right"] == 7 and pd.isna(table.at["near", "only_right"])
    assert table["excess"].is_monotonic_decreasing
    assert most_different(table.reset_index())["model"] == "far"


def test_a_model_that_is_only_weaker_differs_as_its_accuracy_does():
    base = np.arange(1000) < 800
    seeds = {f"s{i}": np.where(np.arange(1000) % 10 == i, ~base, base) for i in (1, 2)}
    weak = np.arange(1000) < 560  # right only where the base is: the greatest kappa it can have
    right = {"base": base, **seeds, "weak": weak}
    categories = {"base": "base", "s1": "reinit", "s2": "reinit", "weak": "hparam"}
    pairs = table_of(right)
    row = novelty(models_table(categories), pairs, {}).set_index("model").loc["weak"]
    # By hand: 0.24 / 0.464 of chance is left of 0.76 agreement; both seeds agree on 0.8.
    assert row["error_consistency"] == pytest.approx((0.76 - 0.536) / 0.464)
    least = pairs.loc[pairs["model_2"] == "s2", "error_consistency"].min()
    assert least == pytest.approx((0.8 - 0.6152) / 0.3848)
    assert row["excess_low"] > 0 and row["verdict"] == AS_ACCURACY


def test_without_reseeded_models_the_least_kappa_is_the_most_different():
    right = draw(1, 0.9, 0.1, 0.5)
    categories = dict.fromkeys(right, "arch") | {"base": "base"}
    table = novelty(models_table(categories), table_of(right), {})
    assert set(table["verdict"]) == {UNKNOWN} and table["excess"].isna().all()
    assert most_different(table)["model"] == "m1"
    assert most_different(table.assign(verdict=SAME)) is None


def test_a_lone_reseeded_model_is_not_the_most_different():
    right = draw(1, 0.9, 0.1)
    categories = {"base": "base", "m0": "reinit", "m1": "arch"}
    table = novelty(models_table(categories), table_of(right), {}).set_index("model")
    assert table.at["m0", "verdict"] == UNKNOWN and table.at["m1", "verdict"] == MORE
    assert most_different(table.reset_index().assign(error_consistency=[0.5, 0.1]))["model"] == "m1"
    same = table.reset_index()
    same.loc[same["model"] == "m1", "verdict"] = SAME
    assert most_different(same) is None


def test_models_inside_the_band_come_first():
    right = draw(1, 0.9, 0.1)
    categories = dict.fromkeys(right, "arch") | {"base": "base"}
    models = models_table(categories)
    models.loc[models["model"] == "m1", "group"] = "low"
    assert most_different(novelty(models, table_of(right), {}))["model"] == "m0"


def test_who_alone_is_right():
    right = np.array([[1, 0, 0, 1], [0, 0, 1, 1], [0, 0, 0, 0]], bool)
    assert count_only_right(right).tolist() == [0, -1, 1, -1]


def recommendations(right: dict[str, np.ndarray], selected: dict[str, float]) -> pd.DataFrame:
    """recommendations.tsv of ensembles that are right as given, by keys with " + "."""
    rows = []
    for name, own in right.items():
        members = name.split(" + ")
        best = max(members, key=selected.get)
        gain, low, high = paired_gain(own, right[best])
        rows.append(
            {"size": len(members), "models": name, "names": name, "accuracy": own.mean(),
             "selection_accuracy": selected[name], "best_member": best,
             "best_member_accuracy": right[best].mean(), "gain": gain, "gain_low": low,
             "gain_high": high, "parameters": 100 * len(members)}
        )  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture
def ensembles():
    rng = np.random.default_rng(3)
    a, b, c = (rng.random(10000) < share for share in (0.8, 0.79, 0.7))
    return {
        "a": a, "b": b, "c": c, "a + b": a | (b & (rng.random(10000) < 0.3)),
        "b + c": b | (c & (rng.random(10000) < 0.3)), "a + b + c": a | (b & c),
    }  # fmt: skip


def held_out(**changed: float) -> dict[str, float]:
    values = {"a": 0.8, "b": 0.79, "c": 0.7, "a + b": 0.85, "b + c": 0.83, "a + b + c": 0.851}
    return values | {key.replace("_", " + "): value for key, value in changed.items()}


def test_the_smallest_within_one_standard_error_is_recommended(ensembles):
    pairs = table_of({key: ensembles[key] for key in "abc"})
    found = recommend(recommendations(ensembles, held_out()), pairs, 1000)
    assert found.best["models"] == "a" and found.chosen["models"] == "a + b"
    assert found.beyond_chance and found.ensembles == 3
    assert (found.held_out, found.tested) == (1000, 10000)
    # The error is that of the paired difference of the best on as many images as are held out.
    difference = ensembles["a + b + c"].astype(float) - ensembles["a"]
    assert found.error == pytest.approx(difference.std() / 1000**0.5)
    gain, low, high = paired_gain(ensembles["a + b"], ensembles["a"])
    assert (found.gain, found.low, found.high) == pytest.approx((gain, low, high))
    # With few enough errors the triple is worth its members.
    exact = recommend(recommendations(ensembles, held_out(a_b=0.6)), pairs, 1000)
    assert exact.chosen["models"] == "a + b + c" and exact.pair["models"] == "b + c"
    assert exact.pair_gain[0] == pytest.approx(ensembles["b + c"].mean() - ensembles["a"].mean())
    assert found.pair is None


def test_no_ensemble_is_recommended_that_is_as_good_by_chance(ensembles):
    pairs = table_of({key: ensembles[key] for key in "abc"})
    near = held_out(a_b=0.801, b_c=0.8, a_b_c=0.802)
    found = recommend(recommendations(ensembles, near), pairs, 1000)
    assert found.chosen["models"] == "a" and not found.beyond_chance
    assert found.candidate["models"] == "a + b"


def test_single_models_alone_leave_nothing_to_recommend(ensembles):
    singles = {key: ensembles[key] for key in "abc"}
    found = recommend(recommendations(singles, held_out()), table_of(singles), 100)
    assert found.candidate is None and found.chosen["models"] == "a"
    assert recommend(pd.DataFrame(), table_of(singles), 100) is None


def test_a_gain_over_another_model_has_an_error_that_is_an_upper_bound(ensembles):
    table = recommendations(ensembles, held_out()).set_index("models", drop=False)
    known = Inconsistencies(table_of({key: ensembles[key] for key in "abc"}))
    gain, error = gain_over(table.loc["b + c"].to_dict(), table.loc["a"].to_dict(), known)
    difference = ensembles["b + c"].astype(float) - ensembles["a"]
    assert gain == pytest.approx(difference.mean())
    assert error >= difference.std() / 100
    # Of its own best member it is exact.
    _, error = gain_over(table.loc["a + b"].to_dict(), table.loc["a"].to_dict(), known)
    own = ensembles["a + b"].astype(float) - ensembles["a"]
    assert error == pytest.approx(own.std() / 100)


def test_the_least_gain_by_hand():
    assert least_gain(10000, 0.04) == pytest.approx(1.959964 * 0.002)
    assert np.isnan(least_gain(0, 0.1))


def test_gains_are_those_of_the_combination_that_is_chosen(ensembles):
    table = recommendations(ensembles, held_out()).assign(choice="weighted")
    score = {"combination": "weighted", "test": "test", "score": "accuracy", "value": 0.9}
    score |= {"difference": 0.1, "difference_low": 0.09, "difference_high": 0.11}
    other = score | {"score": "nll", "difference": 9.0}
    rows = [score | {"models": "a + b"}, other | {"models": "a + b"}, score | {"models": "a"}]
    pairs = table_of({key: ensembles[key] for key in "abc"})
    found = recommend(table, pairs, 1000, pd.DataFrame(rows))
    assert found.chosen["models"] == "a + b" and found.chosen["combination"] == "weighted"
    assert found.gain == pytest.approx(0.9 - ensembles["a"].mean())
    assert found.high - found.low == pytest.approx(0.02)
    # What has no such score is as before.
    rest = findings.combined(table, pd.DataFrame(rows)).set_index("models")
    assert rest.at["a", "accuracy"] == ensembles["a"].mean()
    assert pd.isna(rest.at["b + c", "combination"])


def test_multiply_adds_are_the_cost_where_all_have_them(ensembles):
    table = recommendations(ensembles, held_out())
    assert findings.cost_column(table) == "parameters"
    assert findings.cost_column(table.assign(macs=1.0)) == "macs"
    assert findings.cost_column(table.assign(macs=[1.0, *5 * [np.nan]])) == "parameters"


def test_pairs_are_known_either_way_round():
    right = draw(0, 0.5, 0.5)
    known = Inconsistencies(table_of(right))
    for one, two in combinations(right, 2):
        assert known(one, two) == known(two, one) == (right[one] != right[two]).mean()
    assert known("base", "base") == 0 and np.isnan(known("base", "other"))
