"""Linear probes: L2-regularised multinomial logistic regression by full-batch L-BFGS."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

log = logging.getLogger("uncorrelated")


@dataclass(frozen=True)
class Probe:
    """A linear classifier of unstandardised features.

    Attributes
    ----------
    weight : Tensor of float64, shape (classes, dimensions)
    bias : Tensor of float64, shape (classes,)
    l2 : float
        Strength of the regularisation that was used.
    loss : float
        Mean cross-entropy plus penalty, in nats.
    converged : bool
        Whether the largest entry of the gradient came below the tolerance.
    """

    weight: Tensor
    bias: Tensor
    l2: float
    loss: float
    converged: bool

    def __call__(self, features: Tensor) -> Tensor:
        """Logits: float64, shape (examples, classes)."""
        return features.double() @ self.weight.T + self.bias


def fit_path(
    features: Tensor,
    labels: Tensor,
    classes: int,
    strengths: Sequence[float],
    *,
    tolerance: float = 1e-5,
    iterations: int = 1000,
) -> list[Probe]:
    """Fit one probe a strength, from the strongest to the weakest, each starting at the last.

    Minimises mean cross-entropy + l2 / 2 * ||W||² over features standardised on these examples;
    the bias is not penalised. scikit-learn's `LogisticRegression(C=1 / (examples * l2))` on the
    same standardised features has the same minimum.

    Parameters
    ----------
    features : Tensor, shape (examples, dimensions)
    labels : Tensor of int64, shape (examples,)
    classes : int
    strengths : sequence of float
    tolerance : float
        A probe has converged when no entry of the gradient is larger.
    iterations : int
        At most so many for each strength.

    Returns
    -------
    list of Probe
        In the order of `strengths`. A probe that did not converge says so, in the log too.
    """
    features = features.double()
    mean = features.mean(0)
    scale = features.std(0, correction=0)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    standard = (features - mean) / scale
    weight = torch.zeros(
        classes, features.shape[1], dtype=torch.float64, device=features.device, requires_grad=True
    )
    bias = torch.zeros(classes, dtype=torch.float64, device=features.device, requires_grad=True)
    probes = {}
    for l2 in sorted(strengths, reverse=True):

        def objective(l2: float = l2) -> Tensor:
            weight.grad = bias.grad = None
            loss = F.cross_entropy(standard @ weight.T + bias, labels)
            loss = loss + l2 / 2 * weight.square().sum()
            loss.backward()
            return loss

        optimiser = torch.optim.LBFGS(
            [weight, bias],
            max_iter=iterations,
            history_size=20,
            tolerance_grad=tolerance,
            tolerance_change=0,
            line_search_fn="strong_wolfe",
        )
        optimiser.step(objective)
        loss = float(objective().detach())
        steepest = max(float(weight.grad.abs().max()), float(bias.grad.abs().max()))
        if steepest > tolerance:
            log.warning("the probe of L2 %g did not converge: gradient %.1e", l2, steepest)
        own = weight.detach() / scale
        probes[l2] = Probe(own, bias.detach() - own @ mean, l2, loss, steepest <= tolerance)
    return [probes[l2] for l2 in strengths]


def fit(
    features: Tensor,
    labels: Tensor,
    classes: int,
    strengths: Sequence[float],
    *,
    held_out: float = 0.2,
    seed: int = 0,
) -> Probe:
    """Choose the strength of regularisation on held-out examples, then fit on all of them.

    Parameters
    ----------
    features, labels, classes, strengths
        As for `fit_path`.
    held_out : float
        Share of the examples, drawn at random, that the choice is made on; the stronger wins a tie.
    seed : int
        Of that draw.
    """
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(labels)))
    count = max(1, round(held_out * len(labels)))
    out, rest = order[:count].to(labels.device), order[count:].to(labels.device)
    descending = sorted(strengths, reverse=True)
    best, chosen = -1.0, descending[0]
    if len(descending) > 1:
        for probe in fit_path(features[rest], labels[rest], classes, descending):
            accuracy = float((probe(features[out]).argmax(1) == labels[out]).double().mean())
            log.info("L2 %g: held-out accuracy %.4f, loss %.5f", probe.l2, accuracy, probe.loss)
            if accuracy > best:
                best, chosen = accuracy, probe.l2
    (probe,) = fit_path(features, labels, classes, [chosen])
    log.info("L2 %g chosen, loss %.5f on all examples", probe.l2, probe.loss)
    return probe
