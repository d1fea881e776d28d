"""Linear probes find scikit-learn's solution and say when they have not converged."""

import h5py
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from tests.close import assert_same_to_scale
from workflow.lib.probes import fit as probes
from workflow.lib.probes import logistic
from workflow.lib.probes import streamed as library

pytestmark = pytest.mark.numeric


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 3
    centres = rng.normal(size=(3, 8))
    features = centres[labels] + rng.normal(size=(600, 8))
    features = features * np.array([1, 10, 0.1, 1, 1, 5, 1, 0]) + np.array([0, 3, 0, 0, 9, 0, 0, 2])
    return torch.from_numpy(features), torch.from_numpy(labels)


def assert_same_optimum(one, other, features, tolerance=1e-5):
    """Two fits have the same loss, and the same logits to scale.

    A gradient of g leaves the loss open by g² / (2 l2), and weights by g / l2.
    """
    assert one.loss == pytest.approx(other.loss, rel=1e-11)
    assert_same_to_scale(one(features), other(features), tolerance)


@pytest.mark.parametrize("l2", [1e-3, 1e-1])
def test_the_solution_is_that_of_scikit_learn(data, l2):
    features, labels = data
    (probe,) = probes.fit_path(features, labels, 3, [l2], tolerance=1e-8)
    scale = features.std(0, correction=0)
    standard = (features - features.mean(0)) / torch.where(scale > 0, scale, 1)
    reference = LogisticRegression(C=1 / (600 * l2), tol=1e-10, max_iter=5000)
    reference.fit(standard.numpy(), labels.numpy())
    probabilities = probe(features).softmax(1)
    np.testing.assert_allclose(
        probabilities.numpy(), reference.predict_proba(standard.numpy()), atol=1e-6
    )
    assert probe.converged


@pytest.mark.parametrize("examples", [12, 100])
def test_fewer_examples_than_dimensions_have_the_same_minimum(data, examples):
    rng = np.random.default_rng(1)
    noise = torch.from_numpy(rng.normal(size=(600, 200)) * rng.uniform(0.1, 9, 200))
    features, labels = torch.cat([data[0], noise], 1)[:examples], data[1][:examples]
    l2, tolerance = 1e-2, 1e-7
    start = probes.fit_path(torch.cat([data[0], noise], 1), data[1], 3, [1.0])[0]
    scale = features.std(0, correction=0)
    standard = (features - features.mean(0)) / torch.where(scale > 0, scale, 1)
    reference = LogisticRegression(C=1 / (examples * l2), tol=1e-10, max_iter=5000)
    reference.fit(standard.numpy(), labels.numpy())
    for begin in (None, start):
        (probe,) = probes.fit_path(features, labels, 3, [l2], tolerance=tolerance, start=begin)
        assert probe.converged
        np.testing.assert_allclose(
            probe(features).softmax(1), reference.predict_proba(standard.numpy()), atol=1e-5
        )
        residuals = (probe(features).softmax(1) - torch.eye(3)[labels]) / examples
        slope = residuals.T @ standard + l2 * probe.weight * scale
        assert slope.abs().max() <= 1.01 * tolerance


def test_features_that_few_examples_have_take_no_longer():
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(np.arange(4000) % 3)
    features = np.zeros((4000, 40))
    for column in features.T:  # each of six examples, mostly of one class
        column[rng.choice(np.flatnonzero(labels.numpy() == rng.integers(3)), 5)] = rng.random(5)
        column[rng.integers(4000)] = 1
    path = probes.fit_path(
        torch.from_numpy(features), labels, 3, [1e-2, 1e-3, 1e-4, 1e-5], iterations=200
    )
    assert all(probe.converged for probe in path)


def test_a_path_gives_what_single_fits_give_in_the_order_asked_for(data):
    strengths = [1e-3, 1.0, 1e-2]
    path = probes.fit_path(*data, 3, strengths, tolerance=1e-8)
    assert [probe.l2 for probe in path] == strengths
    for probe in path:
        (single,) = probes.fit_path(*data, 3, [probe.l2], tolerance=1e-8)
        assert_same_optimum(probe, single, data[0])


def test_a_stronger_penalty_gives_smaller_weights(data):
    features = (data[0] - data[0].mean(0)) / data[0].std(0).clamp(min=1e-9)
    norms = [p.weight.norm() for p in probes.fit_path(features, data[1], 3, [1e-3, 1e-1, 10])]
    assert norms[0] > norms[1] > norms[2]


def test_too_few_iterations_are_reported(data, caplog):
    (probe,) = probes.fit_path(*data, 3, [1e-6], iterations=2)
    assert not probe.converged
    assert "did not converge" in caplog.text


def test_the_strength_is_chosen_on_held_out_examples(data):
    features, labels = data
    noise = torch.from_numpy(np.random.default_rng(1).normal(size=(600, 400)))
    both = torch.cat([features, noise], 1)
    # Hundreds of useless dimensions can only be ignored under a penalty.
    assert probes.fit(both, labels, 3, [1e-6, 1e-1]).l2 == 1e-1


@pytest.fixture
def tasks(data):
    features, labels = data
    rng = np.random.default_rng(2)
    shown = torch.stack([labels == 0, labels != 1, features[:, 1] > 3], dim=1)
    labels = torch.where(shown, 1, -1)
    labels[torch.from_numpy(rng.random(labels.shape) < 0.1)] = 0
    return features, labels


@pytest.mark.parametrize("l2", [1e-2, 1e-1])
def test_each_task_is_a_logistic_regression_without_its_ignored_examples(tasks, l2):
    features, labels = tasks
    (probe,) = probes.fit_path(features, labels, 3, [l2], tolerance=1e-8)
    scale = features.std(0, correction=0)
    standard = ((features - features.mean(0)) / torch.where(scale > 0, scale, 1)).numpy()
    for task in range(3):
        known = (labels[:, task] != 0).numpy()
        reference = LogisticRegression(C=1 / (known.sum() * l2), tol=1e-10, max_iter=5000)
        reference.fit(standard[known], labels[:, task].numpy()[known])
        assert_same_to_scale(probe(features)[:, task], reference.decision_function(standard))
    assert probe.converged


def test_one_class_more_than_features_and_constant_features_do_no_harm(data):
    labels = data[1]
    constant = torch.full((600, 4), 0.1, dtype=torch.float32)
    (probe,) = probes.fit_path(constant, labels, 3, [1e-3])
    assert probe.converged
    assert (probe.weight == 0).all()
    torch.testing.assert_close(probe(constant).softmax(1)[0], torch.full((3,), 1 / 3).double())


def test_nothing_depends_on_the_order_of_examples_or_the_names_of_classes(data):
    features, labels = data
    (probe,) = probes.fit_path(features, labels, 3, [1e-2], tolerance=1e-9)
    order = torch.from_numpy(np.random.default_rng(3).permutation(600))
    (shuffled,) = probes.fit_path(features[order], labels[order], 3, [1e-2], tolerance=1e-9)
    assert_same_optimum(shuffled, probe, features)
    renamed = torch.tensor([2, 0, 1])
    (other,) = probes.fit_path(features, renamed[labels], 3, [1e-2], tolerance=1e-9)
    assert other.loss == pytest.approx(probe.loss, rel=1e-11)
    assert_same_to_scale(other(features)[:, renamed], probe(features))


def test_each_task_chooses_its_own_strength(tasks):
    features, labels = tasks
    rng = np.random.default_rng(1)
    # The second task is noise to all but a strong penalty; the first needs its exact direction.
    labels[:, 1] = torch.from_numpy(rng.choice([-1, 1], 600))
    held_out = torch.arange(600) >= 400

    def score(logits, known):
        return -np.log1p(np.exp(-logits * known))[known != 0].mean()

    fitted = probes.fit_tasks(
        features, labels, held_out, score, [1e-4, 1e2], names=["a", "b", "c"], name="the probe"
    )
    assert [probe.weight.shape for probe in fitted] == [(1, 8)] * 3
    assert fitted[0].l2 == 1e-4
    assert fitted[1].l2 == 1e2
    # The final fit is on all examples.
    (whole,) = probes.fit_path(features, labels, 3, [1e-4])
    assert_same_to_scale(fitted[0](features)[:, 0], whole(features)[:, 0], 0.01)
    (part,) = probes.fit_path(features[~held_out], labels[~held_out], 3, [1e-4])
    with pytest.raises(AssertionError):
        assert_same_to_scale(part(features)[:, 0], whole(features)[:, 0], 0.03)


def test_a_failure_to_converge_names_the_probe_and_its_strength(data, caplog):
    probes.fit_path(*data, 3, [1e-6], iterations=1, name="the probe of base and vit")
    assert "the probe of base and vit of L2 1e-06 did not converge" in caplog.text


@pytest.fixture
def streamed(data, tmp_path, monkeypatch):
    """The same features in two files, too large for the memory, seven blocks; and their tensor."""
    features = data[0].float()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["features"] = features[:, :3].numpy()
    np.save(tmp_path / "b.npy", features[:, 3:].numpy())
    monkeypatch.setattr(library, "MEMORY", 4 * 600 * 8 - 1)
    monkeypatch.setattr(library, "BLOCK", 90 * 8)
    monkeypatch.setattr(library, "LOGITS", 200)
    with h5py.File(tmp_path / "a.h5") as file:
        parts = [file["features"], np.load(tmp_path / "b.npy", mmap_mode="r")]
        yield library.Streamed(parts, torch.device("cpu")), features


def test_streamed_features_are_read_in_blocks_and_parts(streamed):
    stream, features = streamed
    assert stream.shape == (600, 8)
    assert stream.in_memory() is stream
    for rows, columns in (
        (slice(None), [5, 1, 6]),
        (torch.tensor([599, 3, 4, 95, 300]), [7, 0]),
    ):
        part = stream[:, np.array(columns)]
        kept = np.arange(600) if isinstance(rows, slice) else np.sort(rows.numpy())
        if not isinstance(rows, slice):
            part = part[rows]
        expected = features[kept][:, columns]
        assert part.shape == tuple(expected.shape)
        blocks = list(part.blocks())
        assert len(blocks) == 7
        assert torch.equal(torch.cat([values for _, values in blocks]), expected)
        assert all(len(values) == b.stop - b.start for b, values in blocks)
    small = stream[torch.tensor([5, 2, 9])][torch.tensor([2, 0])]
    assert torch.equal(small.in_memory(), features[[2, 9]])  # that fits


@pytest.mark.parametrize("l2", [1e-3, 1e-1])
def test_streamed_features_have_the_same_optimum(streamed, data, l2):
    stream, features = streamed
    (held,) = probes.fit_path(features, data[1], 3, [l2], tolerance=1e-8)
    (read,) = probes.fit_path(stream, data[1], 3, [l2], tolerance=1e-8)
    assert held.converged
    assert read.converged
    assert_same_optimum(read, held, features)


def test_streamed_features_choose_the_same_strength(streamed, data):
    stream, features = streamed
    strengths = [1e-6, 1e-3, 1e2]
    held = probes.fit(features, data[1], 3, strengths)
    read = probes.fit(stream, data[1], 3, strengths)
    assert read.l2 == held.l2
    assert read.loss == pytest.approx(held.loss, rel=1e-4)
    assert (read.predict(stream) == held.predict(features)).double().mean() > 0.99


def test_streamed_tasks_have_the_same_optimum(streamed, tasks):
    stream, features = streamed
    (held,) = probes.fit_path(features, tasks[1], 3, [1e-2], tolerance=1e-9)
    (read,) = probes.fit_path(stream, tasks[1], 3, [1e-2], tolerance=1e-9)
    assert_same_optimum(read, held, features)


def test_covariances_are_those_of_numpy(streamed):
    expected = np.cov(streamed[1].double().numpy().T, bias=True)
    for source in streamed:
        assert_same_to_scale(logistic.covariances(source), expected, 1e-12)
