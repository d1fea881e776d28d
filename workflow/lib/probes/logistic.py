"""Loss and curvature of logistic regression, multinomial or of many tasks."""

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
    """A linear map of standardised features, its products in float32 until asked to be exact.

    They are most of the work, and twice as fast so, or thirty times on many GPUs. All else is in
    float64.
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
        """Of a block: float64, shape (rows, outputs)."""
        if values.dtype == torch.float64:
            return torch.addmm(bias, values, weight.T)
        return (values @ weight.T.float()).double() + bias

    def residuals(self, rows: slice, logits: Tensor) -> tuple[Tensor, Tensor]:
        """A block's part of the loss, and its gradient by the block's logits."""
        raise NotImplementedError

    def loss(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, and its gradients with respect to weight and bias."""
        loss, slope, bias_slope = 0.0, torch.zeros_like(weight), torch.zeros_like(bias)
        for rows, values in self.blocks():
            part, residuals = self.residuals(rows, self.logits(values, weight, bias))
            loss = loss + part
            slope += (residuals.T.to(values.dtype) @ values).double()
            bias_slope += residuals.sum(0)
        return loss, slope, bias_slope


class _Multinomial(_Linear):
    """Mean cross-entropy of classes, as a function of standardised weights and bias."""

    def residuals(self, rows: slice, logs: Tensor) -> tuple[Tensor, Tensor]:
        """A block's part of the loss, and its gradient by the block's logits, written over them."""
        labels = self.labels[rows]
        index = torch.arange(len(labels), device=labels.device)
        logs -= logs.logsumexp(1, keepdim=True)
        loss = -logs[index, labels].sum() / len(self.labels)
        residuals = logs.exp_()
        residuals[index, labels] -= 1
        residuals /= len(self.labels)
        return loss, residuals

    def curvature(self, rows: slice, logits: Tensor) -> Tensor:
        """Mean over outputs of the second derivative by each example's logits: (rows,)."""
        shares = logits.softmax(1)
        return (shares * (1 - shares)).mean(1)


class _Logistic(_Linear):
    """Sum over tasks of the mean cross-entropy over examples that are not ignored there."""

    def __init__(self, features: Tensor | Streamed, labels: Tensor, outputs: int):
        super().__init__(features, labels, outputs)
        known = (labels != IGNORED).double()
        self.signs, self.share = labels.double(), known / known.sum(0)

    def residuals(self, rows: slice, logits: Tensor) -> tuple[Tensor, Tensor]:
        """A block's part of the loss, and its gradient by the block's logits."""
        signs, share = self.signs[rows], self.share[rows]
        margins = signs * logits  # (rows, tasks)
        loss = (torch.nn.functional.softplus(-margins) * share).sum()
        return loss, -signs * torch.sigmoid(-margins) * share

    def curvature(self, rows: slice, logits: Tensor) -> Tensor:
        """Mean over outputs of the second derivative by each example's logits: (rows,)."""
        shares = logits.sigmoid()
        return (shares * (1 - shares) * self.share[rows]).mean(1) * len(self.share)
