"""Loss and curvature of logistic regression, multinomial or of many tasks."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workflow.lib.probes.streamed import LOGITS, Streamed

IGNORED = 0  # of a task's labels: neither there (1) nor not there (-1)


@dataclass(frozen=True)
class Probe:
    """A linear classifier of unstandardised features.

    Attributes
    ----------
    weight : Tensor of float64, shape (outputs, dimensions)
    bias : Tensor of float64, shape (outputs,)
    l2 : float
        Strength of the regularisation that was used.
    loss : float
        Mean cross-entropy plus penalty, in nats; of tasks, the sum over them.
    gradient : float
        Its largest entry in size.
    converged : bool
        Whether that came below the tolerance.
    """

    weight: Tensor
    bias: Tensor
    l2: float
    loss: float
    gradient: float
    converged: bool

    def __call__(self, features: Tensor) -> Tensor:
        """Logits: float64, shape (examples, outputs)."""
        return features.double() @ self.weight.T + self.bias

    def predict(self, features: Tensor | Streamed) -> Tensor:
        """Class of the largest logit: int64, shape (examples,)."""
        return torch.cat([self(values).argmax(1) for _, values in _blocks(features)])


def covariances(features: Tensor | Streamed) -> np.ndarray:
    """Covariances of dimensions, divided by the examples: float64, (dimensions, dimensions)."""
    examples = features.shape[0]
    mean = sum(values.double().sum(0) for _, values in _blocks(features)) / examples
    products = torch.zeros(len(mean), len(mean), dtype=torch.float64, device=mean.device)
    for _, values in _blocks(features):
        centred = values.double() - mean
        products = products + centred.T @ centred
    return (products / examples).cpu().numpy()


def _blocks(features: Tensor | Streamed) -> Iterator[tuple[slice, Tensor]]:
    if isinstance(features, Streamed):
        yield from features.blocks()
    else:
        yield slice(0, len(features)), features


class _Linear:
    """A linear map of standardised features, all in float32 until asked to be exact.

    That is twice as fast, or thirty times on many GPUs. Losses are summed in float64. The part of
    the slopes that no weight changes, that of the right answers, is summed only once.
    """

    basis: Tensor | None = None

    def __init__(self, features: Tensor | Streamed, labels: Tensor, outputs: int):
        self.labels, self.outputs, self.exact, self.source = labels, outputs, False, features
        if isinstance(features, Streamed):
            examples = features.shape[0]
            self.mean = sum(x.double().sum(0) for _, x in features.blocks()) / examples
            squares = sum((x.double() - self.mean).square().sum(0) for _, x in features.blocks())
            self.scale = self._useful((squares / examples).sqrt())
        else:
            standard = features.to(torch.float64, copy=True)
            self.mean = standard.mean(0)
            self.scale = self._useful(standard.std(0, correction=0))
            standard -= self.mean
            standard /= self.scale
            if standard.shape[0] < standard.shape[1]:
                # Weights have a penalty and so are combinations of the examples.
                self.basis = torch.linalg.qr(standard.T).Q  # (dimensions, examples)
                standard = standard @ self.basis
            self.source, self.rough = standard, standard.float()

    def inside(self, weight: Tensor) -> Tensor:
        """Weights in the space in which they are fitted, from those of standardised features."""
        return weight if self.basis is None else weight @ self.basis

    def outside(self, weight: Tensor) -> Tensor:
        """Weights of standardised features, or slopes by them, from those in that space."""
        return weight if self.basis is None else weight @ self.basis.T

    def _useful(self, scale: Tensor) -> Tensor:
        # A dimension that is constant but for rounding has nothing to tell.
        return torch.where(scale > 1e-9 * (1 + self.mean.abs()), scale, torch.inf)

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Standardised features, float64 if exact and else float32: (rows, dimensions) each."""
        if isinstance(self.source, Streamed):
            for rows, values in self.source.blocks():
                standard = (values.double() - self.mean) / self.scale
                yield rows, standard if self.exact else standard.float()
            return
        values = self.source if self.exact else self.rough
        step = max(1, LOGITS // self.outputs)
        for start in range(0, len(values), step):
            rows = slice(start, min(start + step, len(values)))
            yield rows, values[rows]

    def logits(self, values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Of a block: shape (outputs, rows), as precise as its values."""
        return torch.addmm(bias[:, None].to(values), weight.to(values), values.T)

    def _pull(self, rows: slice, values: Tensor) -> tuple[Tensor, Tensor]:
        """A block's part of the slopes that do not depend on the weights, by weight and bias."""
        raise NotImplementedError

    def _spread(self, rows: slice, logits: Tensor) -> tuple[Tensor, Tensor]:
        """A block's part of the loss, and its slope by the logits but for the pull."""
        raise NotImplementedError

    @functools.cached_property
    def pull(self) -> tuple[Tensor, Tensor]:
        """Those of all blocks together, in float64."""
        exact, self.exact = self.exact, True
        weights, biases = 0, 0
        for rows, values in self.blocks():
            own, own_bias = self._pull(rows, values)
            weights, biases = weights + own, biases + own_bias
        self.exact = exact
        return weights, biases

    def loss(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, and its gradients with respect to weight and bias."""
        slope, bias_slope = (-part for part in self.pull)
        loss = 0.0
        for rows, values in self.blocks():
            part, slopes = self._spread(rows, self.logits(values, weight, bias))
            loss = loss + part
            slope += slopes @ values
            bias_slope += slopes.sum(1)
        return loss, slope, bias_slope


class _Multinomial(_Linear):
    """Mean cross-entropy of classes, as a function of standardised weights and bias."""

    def _pull(self, rows: slice, values: Tensor) -> tuple[Tensor, Tensor]:
        labels, share = self.labels[rows], 1 / len(self.labels)
        sums = values.new_zeros(self.outputs, values.shape[1])
        sums.index_add_(0, labels, values, alpha=share)
        return sums, share * torch.bincount(labels, minlength=self.outputs).to(values)

    def _spread(self, rows: slice, logits: Tensor) -> tuple[Tensor, Tensor]:
        logits -= logits.logsumexp(0)
        loss = -logits.gather(0, self.labels[None, rows]).sum(dtype=torch.float64)
        return loss / len(self.labels), logits.exp_().div_(len(self.labels))

    def curvature(self, rows: slice, logits: Tensor) -> Tensor:
        """Mean over outputs of the second derivative by each example's logits: (rows,)."""
        shares = logits.softmax(0)
        return (shares * (1 - shares)).mean(0)


class _Logistic(_Linear):
    """Sum over tasks of the mean cross-entropy over examples that are not ignored there."""

    def __init__(self, features: Tensor | Streamed, labels: Tensor, outputs: int):
        super().__init__(features, labels, outputs)
        self.signs, known = labels.T.double(), (labels.T != IGNORED).double()  # (tasks, examples)
        self.share = known / known.sum(1, keepdim=True)

    def _pull(self, rows: slice, values: Tensor) -> tuple[Tensor, Tensor]:
        there = self.share[:, rows] * (self.signs[:, rows] > IGNORED)
        return there @ values, there.sum(1)

    def _spread(self, rows: slice, logits: Tensor) -> tuple[Tensor, Tensor]:
        signs, share = (part[:, rows].to(logits) for part in (self.signs, self.share))
        losses = torch.nn.functional.softplus(-signs * logits) * share
        return losses.sum(dtype=torch.float64), logits.sigmoid_().mul_(share)

    def curvature(self, rows: slice, logits: Tensor) -> Tensor:
        """Mean over outputs of the second derivative by each example's logits: (rows,)."""
        shares = logits.sigmoid()
        return (shares * (1 - shares) * self.share[:, rows].to(logits)).mean(0) * len(self.labels)
