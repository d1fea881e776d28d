"""Weights and combinations are those of the definition: all classes, pair by pair."""

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax
from sklearn.ensemble import VotingClassifier
from sklearn.metrics import brier_score_loss, log_loss

from tests.lib.ensembles.dense import models_that_agree
from workflow.lib.ensembles.dense import KINDS, exponentials_of
from workflow.lib.ensembles.listed import cross_fit, folds_of
from workflow.lib.ensembles.logits import Logits
from workflow.lib.ensembles.scores import (
    COMBINATIONS,
    LIKELY,
    OF_ENSEMBLES,
    confident,
    oracle,
    score_all,
    vote,
)
from workflow.lib.ensembles.whole import Alone, combine, fit_weights, read_alone
from workflow.lib.measures.calibration import fit_temperature
from workflow.lib.measures.uncertainty import GROUPS, SCORES, groups

pytestmark = pytest.mark.numeric
NLL, BRIER = (list(SCORES).index(name) for name in ("nll", "brier"))
CONVERSION = list(OF_ENSEMBLES).index("conversion_rate")


def scaled(logits, temperatures):
    return [x.astype(np.float64) / t for x, t in zip(logits, temperatures, strict=True)]


def loss(weights, own, labels):
    total = sum(w * z for w, z in zip(weights, own, strict=True))
    return (logsumexp(total, axis=1) - total[np.arange(len(labels)), labels]).mean()


def probabilities(own, weights):
    """By kind."""
    size = len(own)
    return {
        "probability": sum(softmax(z, axis=1) for z in own) / size,
        "logit": softmax(sum(own) / size, axis=1),
        "weighted": softmax(sum(w * z for w, z in zip(weights, own, strict=True)), axis=1),
    }


def test_the_exponential_is_right_to_the_last_digits():
    values = np.concatenate([np.linspace(-700, 0, 5001), -np.logspace(-18, 2, 999), [0.0]])
    result = np.empty(len(values))
    exponentials_of(values, np.empty(len(values), np.int64), result)
    np.testing.assert_allclose(result, np.exp(values), rtol=1e-14)


@pytest.mark.parametrize(("examples", "classes"), [(700, 30), (333, 2), (5000, 7), (60, 1000)])
@pytest.mark.parametrize(("threads", "memory"), [(1, 100e6), (3, 1e4)])
def test_weights_are_those_of_scipy(examples, classes, threads, memory):
    data = models_that_agree(4, examples, classes)
    ensembles = [*combinations(range(4), 2), (2,), (0, 1, 3), (3, 2, 1, 0)]
    found = fit_weights(Logits(*data), ensembles, threads=threads, memory=memory)
    own = scaled(data[0], data[2])
    for group, weights, nll in zip(ensembles, found.values, found.nll, strict=True):
        some = [own[m] for m in group]
        best = minimize(
            loss, np.full(len(group), 1 / len(group)), (some, data[1]), method="L-BFGS-B",
            bounds=[(0, None)] * len(group), options={"ftol": 1e-15, "gtol": 1e-9},
        )  # fmt: skip
        assert (weights >= 0).all()
        assert loss(weights, some, data[1]) == pytest.approx(nll, abs=1e-9)
        assert nll <= best.fun + 1e-9
    assert found.converged.all()


@pytest.mark.parametrize(
    ("members", "weights", "nll"),
    [
        ((0, 1), [0.26334308185803, 0.88102200433920], 0.9232488493731966),
        ((0, 2), [0.27576456297552, 0.23679998287718], 0.9380524774467331),
        ((0, 1, 2), [0.21508941127788, 0.66367094075308, 0.14506591683624], 0.9072590257134788),
    ],
)
def test_weights_are_those_of_a_conditional_logit(members, weights, nll):
    """Statsmodels 0.15.0's `ConditionalLogit`, by Newton: a group an image, a row a class."""
    found = fit_weights(Logits(*models_that_agree(3, 300, 5)), [members])
    np.testing.assert_allclose(found.values[0], weights, rtol=1e-7)
    assert found.nll[0] == pytest.approx(nll, abs=1e-12)


def test_weights_do_not_depend_on_threads():
    data = models_that_agree(5, 200, 9)
    pairs = list(combinations(range(5), 2))
    one, three = (fit_weights(Logits(*data), pairs, threads=n) for n in (1, 3))
    for a, b in zip(one.values, three.values, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_single_weight_is_its_temperature_anew():
    logits, labels, temperatures = models_that_agree(1, 400, 10)
    found = fit_weights(Logits(logits, labels, temperatures), [(0,)])
    fit = fit_temperature(logits[0], labels)
    assert temperatures[0] / found.values[0][0] == pytest.approx(fit.temperature, rel=1e-5)
    assert found.nll[0] == pytest.approx(fit.nll_after, abs=1e-10)


def test_equal_members_have_equal_weights_and_a_useless_one_has_none():
    logits, labels, _ = models_that_agree(1, 400, 10)
    harmful = np.random.default_rng(5).normal(size=logits[0].shape).astype(np.float32)
    harmful[np.arange(400), labels] -= 2
    arrays = [logits[0], logits[0], harmful]
    found = fit_weights(Logits(arrays, labels, np.ones(3)), [(0, 1), (0, 2), (0,)])
    assert found.values[0][0] == pytest.approx(found.values[0][1])
    assert found.values[1][1] == 0
    assert found.values[1][0] == pytest.approx(found.values[2][0], rel=1e-6)
    np.testing.assert_allclose(found.nll, found.nll[2], atol=1e-10)


def test_weighted_is_never_worse_on_the_images_it_was_fitted_on():
    data = models_that_agree(5, 300, 6)
    pairs = list(combinations(range(5), 2))
    logits = Logits(*data)
    found, alone = fit_weights(logits, pairs), fit_weights(logits, [(m,) for m in range(5)])
    own = scaled(data[0], data[2])
    for (a, b), nll in zip(pairs, found.nll, strict=True):
        assert nll <= min(alone.nll[a], alone.nll[b]) + 1e-10
        assert nll <= loss([0.5, 0.5], [own[a], own[b]], data[1]) + 1e-10


def test_a_likelihood_that_grows_without_end_does_not_converge():
    labels = np.arange(30) % 3
    perfect = np.eye(3, dtype=np.float32)[labels]
    found = fit_weights(Logits([perfect, 2 * perfect], labels, np.ones(2)), [(0, 1)])
    assert not found.converged[0]
    assert np.isfinite(found.values[0]).all()


@pytest.mark.parametrize(("examples", "classes"), [(300, 30), (200, 2), (40, 1000)])
@pytest.mark.parametrize(("threads", "memory"), [(1, 100e6), (3, 1e4)])
def test_combinations_are_those_of_the_definition(examples, classes, threads, memory):
    data = models_that_agree(4, examples, classes)
    labels, here = data[1], np.arange(examples)
    ensembles = [*combinations(range(4), 2), (1,), (0, 1, 3), (3, 2, 1, 0), (0, 0, 1)]
    rng = np.random.default_rng(0)
    weights = [rng.uniform(0, 1.5, len(group)) for group in ensembles]
    group = groups(examples)
    options = {"threads": threads, "memory": memory}
    found = combine(Logits(*data), ensembles, weights, group, GROUPS, **options)
    own = scaled(data[0], data[2])
    for e, (members, values) in enumerate(zip(ensembles, weights, strict=True)):
        for kind, p in probabilities([own[m] for m in members], values).items():
            k = KINDS.index(kind)
            np.testing.assert_array_equal(found.right[e, k], p.argmax(axis=1) == labels)
            sure = found.log_confidence[e, k]
            np.testing.assert_allclose(sure, np.log(p.max(axis=1)), rtol=1e-6, atol=1e-9)
            nll, brier = found.losses[e, k].sum(axis=-1) / examples
            assert nll == pytest.approx(log_loss(labels, p, labels=range(classes)), rel=1e-9)
            squared = ((p - np.eye(classes)[labels]) ** 2).sum(axis=1).mean()
            assert brier == pytest.approx(squared, rel=1e-9)
    if classes == 2:
        p = probabilities([own[1]], [1])["probability"]
        brier = found.losses[6, 0, 1].sum() / examples
        assert brier == pytest.approx(2 * brier_score_loss(labels, p[:, 1]), rel=1e-9)
    for model in range(4):
        p = softmax(own[model], axis=1)
        np.testing.assert_array_equal(found.alone.top[model], p.argmax(axis=1))
        np.testing.assert_allclose(
            found.alone.log_confidence[model], np.log(p.max(axis=1)), atol=1e-12
        )
        np.testing.assert_allclose(
            found.alone.losses[model, 0], -np.log(p[here, labels]), rtol=1e-9, atol=1e-12
        )


def test_members_that_are_sure_of_different_classes_are_combined_all_the_same():
    logits = [np.array([[3000.0, 0, 1]]), np.array([[0, 3000.0, 1]])]
    found = combine(Logits(logits, np.zeros(1, int), np.ones(2)), [(0, 1)], [np.ones(2)],
                    np.zeros(1, int), 1)  # fmt: skip
    np.testing.assert_allclose(np.exp(found.log_confidence[0, :, 0]), 0.5, rtol=1e-6)
    np.testing.assert_allclose(found.losses[0, :, 0, 0], np.log(2), rtol=1e-9)
    np.testing.assert_allclose(found.losses[0, :, 1, 0], 0.5, rtol=1e-9)


def test_w_of_zero_is_the_other_member_alone():
    data = models_that_agree(2, 100, 5)
    found = combine(Logits(*data), [(0, 1)], [np.array([1.0, 0.0])], np.zeros(100, int), 1)
    assert found.losses[0, 2, 0, 0] == pytest.approx(found.alone.losses[0, 0].sum(), rel=1e-9)


def alone(top, confidence, labels):
    top, confidence = np.array(top), np.array(confidence)
    return Alone(top, top == labels, np.log(confidence), np.zeros((len(top), 2, top.shape[1])))


def test_votes_by_hand():
    # A majority; a tie of three, to the most confident; two against two, to the class whose most
    # confident voter is more so.
    found = alone(
        [[1, 0, 2], [1, 1, 3], [2, 2, 2], [1, 2, 3]],
        [[0.4, 0.9, 0.5], [0.3, 0.8, 0.9], [0.9, 0.7, 0.6], [0.2, 0.1, 0.3]],
        np.array([1, 0, 3]),
    )
    assert vote(found, (0, 1, 2, 3)).tolist() == [1, 2, 3]
    assert vote(found, (0, 1, 2)).tolist() == [1, 0, 2]
    assert confident(found, (0, 1, 2)).tolist() == [2, 0, 1]
    assert oracle(found, (1, 2)).tolist() == [True, False, True]


def test_votes_without_ties_are_those_of_scikit_learn():
    class Fixed:
        def __init__(self, answers):
            self.answers = answers

        def predict(self, x):
            return self.answers[x[:, 0]]

    rng = np.random.default_rng(0)
    top = rng.integers(0, 3, (5, 400))
    votes = np.array([(top == c).sum(axis=0) for c in range(3)])
    clear = (votes == votes.max(axis=0)).sum(axis=0) == 1
    voting = VotingClassifier([(str(i), Fixed(own)) for i, own in enumerate(top)])
    voting.estimators_ = [Fixed(own) for own in top]
    voting.le_ = type("Same", (), {"inverse_transform": staticmethod(lambda x: x)})()
    voting.classes_ = np.arange(3)
    voting.__sklearn_is_fitted__ = lambda: True
    expected = voting.predict(np.arange(400)[:, None])
    ours = vote(alone(top, rng.uniform(0.3, 1, top.shape), np.zeros(400, int)), tuple(range(5)))
    np.testing.assert_array_equal(ours[clear], expected[clear])


def scored(models=4, examples=400, classes=6):
    data = models_that_agree(models, examples, classes)
    ensembles = [
        *((m,) for m in range(models)),
        *combinations(range(models), 2),
        (0, 1, 2),
        (1, 2, 3),
    ]
    group = groups(examples)
    logits = Logits(*data)
    weights = fit_weights(logits, ensembles)
    combined = combine(logits, ensembles, weights.values, group, GROUPS)
    return data, ensembles, combined, score_all(combined, group, logits, threads=2)


def test_scores_of_all_combinations():
    data, ensembles, combined, found = scored()
    labels = data[1]
    for e, members in enumerate(ensembles):
        own = dict(zip(COMBINATIONS, found[e, :, :, 0], strict=True))
        right = combined.alone.right[list(members)]
        assert own["oracle"][0] == pytest.approx(right.any(axis=0).mean())
        if len(members) == 2:  # both right + only one right
            assert own["oracle"][0] == pytest.approx(
                (right.all(0).sum() + (right[0] ^ right[1]).sum()) / 400
            )
            assert np.isnan(own["vote"]).all()
        if len(members) > 2:
            assert own["vote"][0] == pytest.approx((vote(combined.alone, members) == labels).mean())
        assert np.isnan(own["oracle"][1:]).all()
        if len(members) == 2:
            one = right[0] ^ right[1]
            for kind, name in enumerate(KINDS):
                converted = combined.right[e, kind][one].mean()
                assert own[name][CONVERSION] == pytest.approx(converted)
        for name in LIKELY:
            assert not np.isnan(own[name][:CONVERSION]).any()
            assert np.isnan(own[name][CONVERSION]) == (len(members) != 2)
            assert own[name][0] <= own["oracle"][0] or name in ("probability", "logit", "weighted")
        if len(members) == 1:
            for name in ("logit", "confident"):
                np.testing.assert_allclose(own[name], own["probability"], rtol=1e-4)
        # Without a group: as many images are left, so the mean of these is near the whole.
        np.testing.assert_allclose(found[e, 0, NLL, 1:].mean(), own["probability"][NLL], rtol=1e-2)


def test_losses_are_those_of_the_members_less_their_diversity():
    data, ensembles, _, found = scored()
    own = [softmax(z, axis=1) for z in scaled(data[0], data[2])]
    here = np.arange(len(data[1]))
    for e, members in enumerate(ensembles):
        alone = found[list(members), 0][:, :, 0].mean(axis=0)
        mean = sum(own[m] for m in members) / len(members)
        spread = np.mean([((own[m] - mean) ** 2).sum(axis=1) for m in members])
        assert alone[BRIER] - found[e, 0, BRIER, 0] == pytest.approx(spread, abs=1e-12)
        gap = np.log(mean[here, data[1]]) - np.mean(
            [np.log(own[m][here, data[1]]) for m in members], 0
        )
        assert alone[NLL] - found[e, 0, NLL, 0] == pytest.approx(gap.mean(), abs=1e-12)
        assert (alone[[NLL, BRIER]] >= found[e, :2, [NLL, BRIER], 0].T - 1e-12).all()


def test_a_decomposition_by_hand():
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]])
    logits = [np.log(own)[None] for own in p]
    found = combine(Logits(logits, np.zeros(1, int), np.ones(2)), [(0, 1)], [np.ones(2)],
                    np.zeros(1, int), 1)  # fmt: skip
    brier = found.losses[0, 0, 1, 0]
    assert brier == pytest.approx(14 / 25)
    np.testing.assert_allclose(found.alone.losses[:, 1, 0], [7 / 50, 63 / 50])
    assert found.alone.losses[:, 1, 0].mean() - brier == pytest.approx(7 / 50)


def test_reading_models_alone_is_the_same():
    data = models_that_agree(3, 50, 4)
    one = read_alone(Logits(*data), memory=1e4)
    other = combine(Logits(*data), [(0, 1)], [np.ones(2)], np.zeros(50, int), 1).alone
    for name in ("top", "right", "log_confidence", "losses"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_cross_fitted_likelihoods_are_those_of_folds_left_out():
    logits, labels, temperatures = models_that_agree(3, 250, 4)
    folds = folds_of(labels)
    ensembles = [(0, 1), (0, 1, 2)]
    found = cross_fit(Logits(logits, labels, temperatures), ensembles, folds, threads=2)
    for group, row in zip(ensembles, found, strict=True):
        total = dict.fromkeys(LIKELY, 0.0)
        for fold in range(5):
            rest, own = folds != fold, folds == fold
            fits = [fit_temperature(logits[m][rest], labels[rest]).temperature for m in group]
            z = [logits[m].astype(np.float64) / t for m, t in zip(group, fits, strict=True)]
            best = minimize(
                loss, np.full(len(group), 0.5), ([x[rest] for x in z], labels[rest]),
                bounds=[(0, None)] * len(group), options={"ftol": 1e-15, "gtol": 1e-10},
            )  # fmt: skip
            z = [x[own] for x in z]
            p = probabilities(z, best.x)
            alone = np.stack([softmax(x, axis=1) for x in z])
            first = alone.max(axis=2).argmax(axis=0)
            p["confident"] = alone[first, np.arange(own.sum())]
            for kind in LIKELY:
                total[kind] -= np.log(p[kind][np.arange(own.sum()), labels[own]]).sum()
        np.testing.assert_allclose(row, np.array([total[kind] for kind in LIKELY]) / 250, rtol=1e-6)


def test_folds_are_stratified_as_far_as_classes_have_enough():
    labels = np.repeat(np.arange(4), 50)
    folds = folds_of(labels)
    for c in range(4):
        assert np.bincount(folds[labels == c]).tolist() == [10] * 5
    assert np.bincount(folds_of(np.arange(10))).tolist() == [2] * 5
    assert set(folds_of(np.zeros(3, int))) == {0, 1, 2}
    assert folds_of(np.zeros(1, int)).tolist() == [0]
