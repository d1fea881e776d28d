"""Flips of updates: worked out by hand, and their identities."""

import numpy as np
import pytest

from workflow.lib.measures.pairs import error_inconsistency
from workflow.lib.measures.updates import MEASURED, flips

pytestmark = pytest.mark.numeric


def test_flips_worked_out_by_hand():
    old = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0], bool)
    new = np.array([1, 1, 0, 0, 0, 1, 1, 1, 1, 0], bool)
    # Both together mend one of three negative flips, and keep three of four positive ones.
    now = np.array([1, 1, 1, 0, 0, 1, 1, 1, 0, 0], bool)
    alone, both = flips(old, new, new), flips(old, now, new)
    assert list(alone) == MEASURED
    assert (alone["examples"], alone["accuracy"]) == (10, 0.6)
    assert (alone["negative_flips"], alone["positive_flips"]) == (0.3, 0.4)
    assert alone["gain"] == pytest.approx(0.1)
    assert alone["of_errors"] == 3 / 4
    assert alone["left"] == 1
    assert alone["p"] == 1  # of seven tosses, three
    assert (both["negative_flips"], both["positive_flips"]) == (0.2, 0.3)
    assert both["left"] == pytest.approx(2 / 3)
    assert both["of_errors"] == 2 / 4
    # Wilson's interval of 3 of 10.
    ends = alone["negative_flips_low"], alone["negative_flips_high"]
    assert ends == pytest.approx((0.1078, 0.6032), abs=1e-4)


@pytest.mark.parametrize("seed", range(20))
def test_flips_add_up_to_inconsistency_and_to_the_gain(seed):
    rng = np.random.default_rng(seed)
    old, new = rng.random((2, 200)) < rng.random((2, 1))
    found = flips(old, new, new)
    lost, won = found["negative_flips"], found["positive_flips"]
    assert lost + won == pytest.approx((old != new).mean())  # error inconsistency
    assert won - lost == pytest.approx(new.mean() - old.mean())
    assert found["gain"] == pytest.approx(new.mean() - old.mean())
    assert lost == pytest.approx(found["of_errors"] * (1 - new.mean()))
    back = flips(new, old, old)
    assert (back["negative_flips"], back["positive_flips"]) == (won, lost)
    assert back["p"] == pytest.approx(found["p"])
    for name in ("accuracy", "negative_flips", "positive_flips", "gain"):
        assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"]


def test_sums_agree_with_the_metric_of_pairs():
    old, new = np.random.default_rng(0).random((2, 500)) < 0.7
    found = flips(old, new, new)
    counts = ((old & new).sum(), (old & ~new).sum(), (new & ~old).sum(), (~old & ~new).sum())
    expected = error_inconsistency(*counts)
    assert found["negative_flips"] + found["positive_flips"] == pytest.approx(float(expected))


def test_an_update_that_changes_nothing_and_one_of_no_images():
    right = np.array([True, False, True])
    found = flips(right, right, right)
    assert (found["negative_flips"], found["positive_flips"], found["gain"]) == (0, 0, 0)
    assert np.isnan(found["left"]) and found["p"] == 1
    none = np.zeros(0, bool)
    empty = flips(none, none, none)
    assert empty["examples"] == 0
    assert all(np.isnan(value) for name, value in empty.items() if name != "examples")
