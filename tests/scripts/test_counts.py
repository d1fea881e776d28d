"""Counts of pairs at each kind of temperatures, and answers, as they come back from their files."""

import numpy as np
import pandas as pd
import pytest

from tests.lib.ensembles.dense import models_that_agree
from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.ensembles.counts import read_counts
from workflow.lib.ensembles.logits import Logits
from workflow.lib.ensembles.pairs import count_pairs
from workflow.lib.outputs.store import write
from workflow.lib.outputs.tables import write_table
from workflow.scripts.accuracy import accuracy
from workflow.scripts.calibration import calibration
from workflow.scripts.counts import counts

KEYS = ["50", "b", "a"]


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """Three models on a split of any name; gives where files are, logits and labels."""
    folder = tmp_path_factory.mktemp("study")
    arrays, labels, _ = models_that_agree(3, 600, 5)
    split = Split(np.array([f"{i:03d}" for i in range(600)]), labels)
    Manifest(tuple("vwxyz"), {"new": split}).write(folder / "manifest.tsv")
    paths = [folder / key / "new.h5" for key in KEYS]
    for path, values in zip(paths, arrays, strict=True):
        write(path, split, lambda rows, v=values: (v[rows], None), {})
    outputs = [str(path) for path in paths]
    shared = {"manifest": str(folder / "manifest.tsv"), "outputs": outputs, "split": "new"}
    for name in ("first", "second"):
        calibration(
            **shared, table=str(folder / f"{name}.tsv"), models=KEYS,
            correct=str(folder / "correct.tsv"),
        )  # fmt: skip
    table = pd.read_csv(folder / "second.tsv", sep="\t")
    write_table(folder / "second.tsv", table.assign(temperature=[0.5, 1.5, 3.0])[::-1])
    counts(
        **shared,
        calibrations=[str(folder / f"{name}.tsv") for name in ("first", "second")],
        counts=str(folder / "counts.npz"), answers=str(folder / "answers.npz"), models=KEYS,
        fitted_on=["first", "second"], threads=2,
    )  # fmt: skip
    return folder, arrays, labels


def test_counts_are_those_of_the_pairs_at_each_kind_of_temperatures(counted):
    folder, arrays, labels = counted
    models, found = read_counts(folder / "counts.npz")
    assert models == KEYS
    assert list(found) == ["none", "first", "second"]
    own = pd.read_csv(folder / "first.tsv", sep="\t")["temperature"]
    kinds = {"none": np.ones(3), "first": own, "second": [0.5, 1.5, 3.0]}
    for name, temperatures in kinds.items():
        expected = count_pairs(Logits(arrays, labels, temperatures))
        assert found[name].examples == expected.examples == 600
        for field in ("correct", "both_right"):
            np.testing.assert_array_equal(getattr(found[name], field), getattr(expected, field))
        for field in ("converted", "rescued"):
            one, other = getattr(found[name], field), getattr(expected, field)
            assert list(one) == list(other)
            for combination, values in other.items():
                np.testing.assert_array_equal(one[combination], values)


def test_answers_are_the_top_classes_and_their_confidence_at_the_first_temperatures(counted):
    folder, arrays, _ = counted
    own = pd.read_csv(folder / "first.tsv", sep="\t")["temperature"]
    with np.load(folder / "answers.npz") as answers:
        assert answers["models"].tolist() == KEYS
        for place, values in enumerate(arrays):
            scaled = values.astype(float) / own[place]
            log_confidence = scaled.max(1) - np.log(np.exp(scaled).sum(1))
            assert answers["top"][place].tolist() == values.argmax(1).tolist()
            np.testing.assert_allclose(answers["log_confidence"][place], log_confidence)


def test_how_many_a_model_gets_right_is_what_its_published_accuracy_is_compared_with(counted):
    folder, arrays, labels = counted
    right = int((arrays[0].argmax(1) == labels).sum())
    claim = {"source": "timm", "checkpoint": "x", "published": right / 600, "note": ""}
    accuracy(
        correct=str(folder / "correct.tsv"), table=str(folder / "accuracy.tsv"),
        claims={"50": claim}, population=600, tolerance=0.0,
    )  # fmt: skip
    assert pd.read_csv(folder / "accuracy.tsv", sep="\t")["images"].tolist() == [600]
