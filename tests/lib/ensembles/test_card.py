"""A card gives the probabilities of each combination, and notices what does not fit."""

import hashlib

import numpy as np
import pytest
from scipy.special import softmax

from workflow.lib.ensembles.card import apply, check, check_weights

LOGITS = 2 * np.random.default_rng(0).normal(size=(3, 20, 4))
TEMPERATURES = [0.5, 1.0, 2.0]


def card(combination, members=3, **own):
    made = {
        "ensemble": "mine",
        "members": [
            {"model": f"m{i}", "temperature": TEMPERATURES[i], "macs": 10.0**i, "sha256": "0"}
            for i in range(members)
        ],
        "combination": combination, "weights": None, "thresholds": None, "then": None,
    } | own  # fmt: skip
    logits = LOGITS[:members]
    made["self_test"] = {"images": [f"i{n}" for n in range(20)], "logits": logits.tolist()}
    made["self_test"]["probabilities"] = apply(made, logits)[0].tolist()
    return made


def test_means_and_weights_are_those_of_the_definition():
    z = LOGITS / np.array(TEMPERATURES)[:, None, None]
    p = softmax(z, axis=2)
    for combination, weights, expected in (
        ("probability", None, p.mean(axis=0)),
        ("logit", None, softmax(z.mean(axis=0), axis=1)),
        ("weighted", [0.2, 0.0, 0.9], softmax(0.2 * z[0] + 0.9 * z[2], axis=1)),
        ("confident", None, p[p.max(axis=2).argmax(axis=0), np.arange(20)]),
    ):
        found, macs = apply(card(combination, weights=weights), LOGITS)
        np.testing.assert_allclose(found, expected)
        assert (macs == 111).all()


@pytest.mark.parametrize("then", ["ensemble", "larger"])
def test_a_cascade_stops_where_it_is_sure(then):
    own = card("cascade", thresholds=[0.8, 0.6], then=then)
    found, macs = apply(own, LOGITS)
    p = softmax(LOGITS / np.array(TEMPERATURES)[:, None, None], axis=2)
    second = p[:2].mean(axis=0) if then == "ensemble" else p[1]
    third = p.mean(axis=0) if then == "ensemble" else p[2]
    for i in range(20):
        if p[0, i].max() >= 0.8:
            expected, cost = p[0, i], 1
        elif second[i].max() >= 0.6:
            expected, cost = second[i], 11
        else:
            expected, cost = third[i], 111
        np.testing.assert_allclose(found[i], expected)
        assert macs[i] == cost
    assert len(set(macs)) == 3


def test_logits_in_another_order_of_classes_are_noticed():
    own = card("weighted", weights=[1, 0.5, 0.2])
    check(own)
    with pytest.raises(
        ValueError, match=r"the card of mine does not hold here: .* order of the cl"
    ):
        check(own, LOGITS[:, :, ::-1])
    broken = LOGITS.copy()
    broken[0, 3, 1] = np.nan
    with pytest.raises(ValueError, match="does not hold here"):
        check(own, broken)


def test_other_weights_are_noticed(tmp_path):
    own = card("probability", 2)
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"weights")
    own["members"][0]["sha256"] = hashlib.sha256(b"weights").hexdigest()
    check_weights(own, {"m0": str(file)})
    file.write_bytes(b"other")
    with pytest.raises(
        ValueError, match=r"was made of other weights of 'm0': .* make the card again"
    ):
        check_weights(own, {"m0": str(file)})


def test_a_combination_of_a_later_version_is_refused():
    own = card("probability")
    own["combination"] = "stacked"
    with pytest.raises(ValueError, match="'stacked', which is not known here"):
        apply(own, LOGITS)
