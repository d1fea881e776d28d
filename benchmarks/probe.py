"""Measure the linear probe against scikit-learn's `LogisticRegression`, to the same loss.

Makes features as the last layers of networks have them (positive, correlated, a few directions with
most of the variance), and fits both on the same standardised float64 features in one run. Each
reports the loss that it reached, by one and the same function, and the largest entry of the
gradient; scikit-learn's tolerance is tightened until its loss is the probe's to six digits.
"""

import argparse
import resource
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from workflow.lib.probes import fit as probes


def make_features(examples: int, dimensions: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Rectified mixtures of latent directions whose spread falls as a power of their rank."""
    rng = np.random.default_rng(0)
    labels = np.arange(examples) % classes
    latent = dimensions // 2
    spread = np.arange(1, latent + 1) ** -0.75
    values = rng.normal(size=(classes, latent))[labels] * 0.6 + rng.normal(size=(examples, latent))
    mixed = (values * spread) @ rng.normal(size=(latent, dimensions))
    features = np.maximum(mixed + 0.02 * rng.normal(size=mixed.shape), 0)
    return features, labels


def loss_of(weight, bias, features, labels, l2) -> tuple[float, float]:
    """Mean cross-entropy plus penalty, and the largest entry of its gradient."""
    logits = features @ weight.T + bias
    logs = logits - logsumexp(logits, axis=1, keepdims=True)
    loss = -logs[np.arange(len(labels)), labels].mean() + l2 / 2 * np.square(weight).sum()
    residuals = np.exp(logs)
    residuals[np.arange(len(labels)), labels] -= 1
    slope = residuals.T @ features / len(labels) + l2 * weight
    return loss, max(np.abs(slope).max(), np.abs(residuals.mean(axis=0)).max())


def show(name: str, seconds: float, loss: float, slope: float, tolerance: float) -> None:
    """Print one fit."""
    print(
        f"  {name:12} tolerance {tolerance:g}: {seconds:6.1f} s, loss {loss:.8f}, "
        f"gradient {slope:.1e}",
        flush=True,
    )


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=50_000)
    parser.add_argument("--dimensions", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--l2", type=float, nargs="+", default=[1e-2])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="of the probe; scikit-learn has the CPU")
    parser.add_argument("--precision", choices=["float32", "float64"], default="float64")
    parser.add_argument("--iterations", type=int, default=10_000, help="of scikit-learn, at most")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    features, labels = make_features(arguments.examples, arguments.dimensions, arguments.classes)
    features = (features - features.mean(0)) / features.std(0)
    dtype = getattr(torch, arguments.precision)
    tensors = (
        torch.from_numpy(features).to(arguments.device, dtype),
        torch.from_numpy(labels).to(arguments.device),
    )
    # The first optimiser that is made loads much of torch.
    probes.fit_path(tensors[0][:100], tensors[1][:100], arguments.classes, [1.0])
    print(
        f"{arguments.examples} examples x {arguments.dimensions} dimensions, "
        f"{arguments.classes} classes, {arguments.threads} threads; the probe in "
        f"{arguments.precision} on {arguments.device}"
    )
    for l2 in arguments.l2:
        print(f"L2 {l2:g}")
        reached = []
        for tolerance in (1e-4, 1e-5):
            start = time.perf_counter()
            (probe,) = probes.fit_path(*tensors, arguments.classes, [l2], tolerance=tolerance)
            found = [tensor.cpu().double().numpy() for tensor in (probe.weight, probe.bias)]
            seconds = time.perf_counter() - start
            loss, slope = loss_of(*found, features, labels, l2)
            reached.append((tolerance, seconds, loss))
            show("probe", seconds, loss, slope, tolerance)
        for tolerance in (1e-4, 1e-5, 1e-6):
            reference = LogisticRegression(
                C=1 / (arguments.examples * l2), tol=tolerance, max_iter=arguments.iterations
            )
            start = time.perf_counter()
            with threadpool_limits(arguments.threads), warnings.catch_warnings(action="ignore"):
                reference.fit(features, labels)
            seconds = time.perf_counter() - start
            loss, slope = loss_of(reference.coef_, reference.intercept_, features, labels, l2)
            show("scikit-learn", seconds, loss, slope, tolerance)
            for own, took, target in [r for r in reached if loss <= r[2] * (1 + 1e-6)]:
                print(
                    f"  to the loss of the probe of tolerance {own:g}, scikit-learn takes "
                    f"{seconds / took:.1f} times as long",
                    flush=True,
                )
                reached.remove((own, took, target))
            if not reached:
                break
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of both {peak:.0f} MB")


if __name__ == "__main__":
    main()
