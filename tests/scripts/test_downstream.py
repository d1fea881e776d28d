"""Probes on a multi-label task: models alone and together, and intervals of the mean."""

import numpy as np
import pandas as pd
import pytest

from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split
from workflow.lib.measures.average_precision import mean_average_precision
from workflow.lib.outputs.store import write
from workflow.scripts.downstream import RESAMPLES, downstream, resampled_interval

RNG = np.random.default_rng(0)
CLASSES = ("bag", "mean", "dress")  # a class may be called as a summary


def split(count: int, labels) -> Split:
    return Split(np.array([f"{i:04d}" for i in range(count)]), np.asarray(labels))


@pytest.fixture
def tasks(tmp_path):
    """Two models, each with a column for two of three tasks; some labels are to be ignored."""
    splits, paths = {}, {"first": [], "second": []}
    for name in ("train", "val", "test"):
        labels = RNG.choice([-1, -1, 1], (120, 3))
        labels[RNG.random(labels.shape) < 0.05] = 0
        splits[name] = split(120, labels)
    Manifest(CLASSES, splits).write(tmp_path / "tasks.tsv")
    for model, told in (("first", (0, 1)), ("second", (1, 2))):
        for name, own in splits.items():
            values = RNG.normal(size=(120, 4)).astype(np.float32)
            for column, task in enumerate(told):
                values[:, column] += 1.5 * own.labels[:, task]
            path = tmp_path / model / f"{name}.h5"
            write(path, own, lambda rows, v=values: (v[rows, :3], v[rows]), {})
            paths[model].append(str(path))
    return tmp_path, paths["first"] + paths["second"], splits


@pytest.mark.numeric
def test_models_alone_and_together_on_tasks(tasks):
    folder, paths, _ = tasks
    downstream(
        tasks=str(folder / "tasks.tsv"),
        train=paths[0::3], val=paths[1::3], test=paths[2::3],
        table=str(folder / "table.tsv"),
        models=["first", "second"], regularisation=[1e-3, 1e-1], threads=1,
    )  # fmt: skip
    table = pd.read_csv(folder / "table.tsv", sep="\t")
    assert table["what"].tolist() == 2 * [*3 * ["task"], "mean"]
    table["task"] = table["task"].where(table["what"] == "task", "all")
    alone = table[table["model_2"].isna()].set_index("task")
    both = table[table["model_2"] == "second"].set_index("task")
    assert list(alone.index) == [*CLASSES, "all"]
    assert alone.at["bag", "average_precision"] > 0.9
    assert alone.at["dress", "average_precision"] < 0.6  # the first model has no column for it
    assert both.at["dress", "average_precision"] > 0.9
    for rows in (alone, both):
        assert rows.at["all", "average_precision"] == pytest.approx(
            rows.loc[list(CLASSES), "average_precision"].mean()
        )
        mean = rows.loc["all"]
        assert mean["average_precision_low"] < mean["average_precision"]
        assert mean["average_precision"] < mean["average_precision_high"]
    assert set(alone["l2"].dropna()) <= {1e-3, 1e-1}
    assert both["dimensions"].unique().tolist() == [8]


def test_an_interval_is_narrow_where_nothing_can_go_wrong(tasks):
    labels = tasks[2]["test"].labels
    assert resampled_interval(labels.astype(float), labels) == (1.0, 1.0)
    noise = np.random.default_rng(1).normal(size=labels.shape)
    low, high = resampled_interval(noise, labels)
    assert low < mean_average_precision(noise, labels)[1] < high


def test_an_interval_is_of_images_drawn_again(tasks):
    labels = tasks[2]["test"].labels
    scores = labels + np.random.default_rng(2).normal(size=labels.shape)
    rng, means = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        rows = rng.integers(0, len(labels), len(labels))
        if (labels[rows] > 0).any(axis=0).all():
            means.append(mean_average_precision(scores[rows], labels[rows])[1])
    _, mean = mean_average_precision(scores, labels)
    half = 1.959963984540054 * np.std(means, ddof=1)
    assert resampled_interval(scores, labels) == pytest.approx(
        (mean - half, mean + half), rel=1e-12
    )
