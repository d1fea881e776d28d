"""Linear probes: L2-regularised logistic regression on frozen features, by full-batch L-BFGS.

Labels are classes (multinomial: one of several) or tasks (multi-label: each there or not, some to
be ignored). Features are standardised on the examples that are learnt from, and on these alone. The
strength of the regularisation is chosen on held-out data along a path from the strongest to the
weakest, each fit starting at the last one's solution (Kornblith, Shlens and Le 2019, appendix A.4).
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

log = logging.getLogger("uncorrelated")

IGNORED = 0  # of a task's labels: neither there (1) nor not there (-1)
STEPS = 10  # iterations between two looks at the gradient
HISTORY = 60  # of L-BFGS
ROUGH = 10  # times the tolerance, the gradient down to which products are in float32


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


def fit_path(
    features: Tensor,
    labels: Tensor,
    classes: int,
    strengths: Sequence[float],
    *,
    tolerance: float = 1e-4,
    iterations: int = 1000,
    start: Probe | None = None,
    name: str = "the probe",
) -> list[Probe]:
    """Fit one probe a strength, from the strongest to the weakest, each starting at the last.

    Minimises mean cross-entropy + l2 / 2 * ||W||² over features standardised on these examples;
    the bias is not penalised. scikit-learn's `LogisticRegression(C=1 / (examples * l2))` on the
    same standardised features has the same minimum. Of tasks, each has a logistic regression of its
    own, with the mean over the examples that are not ignored there; their sum is minimised, which
    minimises each.

    L-BFGS works on weights rotated and scaled so that the loss is about equally curved in all
    directions where it starts, which halves its iterations or better on features of networks. The
    minimum is the same.

    Parameters
    ----------
    features : Tensor, shape (examples, dimensions)
    labels : Tensor of int, shape (examples,) or (examples, tasks)
        Classes, or for each task 1 (there), -1 (not there) or 0 (ignored).
    classes : int
        Number of classes, or of tasks.
    strengths : sequence of float
    tolerance : float
        A probe has converged when no entry of the gradient with respect to standardised weights
        and bias is larger; the default is scikit-learn's.
    iterations : int
        At most so many for each strength.
    start : Probe, optional
        Where to start; by default at zero. It makes no difference to the minimum.
    name : str
        What to call the probe in a warning.

    Returns
    -------
    list of Probe
        In the order of `strengths`. A probe that did not converge says so, in the log too.
    """
    features = features.double()
    mean = features.mean(0)
    scale = features.std(0, correction=0)
    # A dimension that is constant but for rounding has nothing to tell.
    scale = torch.where(scale > 1e-9 * (1 + mean.abs()), scale, torch.inf)
    kind = _Multinomial if labels.ndim == 1 else _Logistic
    problem = kind((features - mean) / scale, labels)
    options = {"dtype": torch.float64, "device": features.device}
    weight = torch.zeros(classes, features.shape[1], **options)
    bias = torch.zeros(classes, **options)
    if start is not None:
        weight = torch.where(scale.isfinite(), start.weight * scale, 0.0)
        bias = start.bias + start.weight @ mean
    probes = {}
    for l2 in sorted(strengths, reverse=True):
        weight, bias, loss, gradient = _minimise(problem, weight, bias, l2, tolerance, iterations)
        if not gradient <= tolerance:
            log.warning("%s of L2 %g did not converge: gradient %.1e", name, l2, gradient)
        own = weight / scale
        probes[l2] = Probe(own, bias - own @ mean, l2, loss, gradient, gradient <= tolerance)
    return [probes[l2] for l2 in strengths]


class _Linear:
    """A linear map of standardised features, its products in float32 until asked to be exact.

    They are most of the work, and twice as fast so, or thirty times on many GPUs. All else is in
    float64.
    """

    def __init__(self, features: Tensor):
        self.features, self.rough, self.exact = features, features.float(), False

    def logits(self, weight: Tensor, bias: Tensor) -> Tensor:
        """Float64, shape (examples, outputs)."""
        if self.exact:
            return torch.addmm(bias, self.features, weight.T)
        return (self.rough @ weight.T.float()).double() + bias

    def slope(self, residuals: Tensor) -> Tensor:
        """Gradient with respect to the weight, of that with respect to logits: float64."""
        if self.exact:
            return residuals.T @ self.features
        return (residuals.T.float() @ self.rough).double()


class _Multinomial(_Linear):
    """Mean cross-entropy of classes, as a function of standardised weights and bias."""

    def __init__(self, features: Tensor, labels: Tensor):
        super().__init__(features)
        self.labels = labels
        self.rows = torch.arange(len(labels), device=labels.device)

    def loss(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, and its gradients with respect to weight and bias."""
        logs = self.logits(weight, bias)  # (examples, classes)
        logs -= logs.logsumexp(1, keepdim=True)
        loss = -logs[self.rows, self.labels].mean()
        residuals = logs.exp_()
        residuals[self.rows, self.labels] -= 1
        residuals /= len(residuals)
        return loss, self.slope(residuals), residuals.sum(0)

    def curvature(self, weight: Tensor, bias: Tensor) -> Tensor:
        """Mean over outputs of the second derivative by each example's logits: (examples,)."""
        shares = self.logits(weight, bias).softmax(1)
        return (shares * (1 - shares)).mean(1)


class _Logistic(_Linear):
    """Sum over tasks of the mean cross-entropy over examples that are not ignored there."""

    def __init__(self, features: Tensor, labels: Tensor):
        super().__init__(features)
        known = (labels != IGNORED).double()
        self.signs, self.share = labels.double(), known / known.sum(0)

    def loss(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, and its gradients with respect to weight and bias."""
        margins = self.signs * self.logits(weight, bias)  # (examples, tasks)
        loss = (torch.nn.functional.softplus(-margins) * self.share).sum()
        residuals = -self.signs * torch.sigmoid(-margins) * self.share
        return loss, self.slope(residuals), residuals.sum(0)

    def curvature(self, weight: Tensor, bias: Tensor) -> Tensor:
        """Mean over outputs of the second derivative by each example's logits: (examples,)."""
        shares = self.logits(weight, bias).sigmoid()
        return (shares * (1 - shares) * self.share).mean(1) * len(shares)


def _minimise(
    problem: _Multinomial | _Logistic,
    weight: Tensor,
    bias: Tensor,
    l2: float,
    tolerance: float,
    iterations: int,
) -> tuple[Tensor, Tensor, float, float]:
    """Minimise the loss plus penalty; gives weight, bias, loss and the largest gradient entry."""
    # weight = (inner * widths) @ directions.T, so that the curvature is about 1 along each entry.
    # A few examples for each dimension are enough, since this only shapes the way to the minimum.
    step = max(1, len(problem.features) // (4 * weight.shape[1]))
    sample, curvature = problem.features[::step], problem.curvature(weight, bias)
    weighted = sample * curvature[::step, None]
    curvatures, directions = torch.linalg.eigh(weighted.T @ sample / len(sample))
    widths = 1 / torch.sqrt(curvatures.clamp(min=0) + l2)
    width = 1 / torch.sqrt(curvature.mean() + l2)
    inner = ((weight @ directions) / widths).requires_grad_()
    inner_bias = (bias / width).requires_grad_()
    found = {}

    @torch.no_grad()
    def closure() -> Tensor:
        own, own_bias = (inner * widths) @ directions.T, inner_bias * width
        loss, slope, bias_slope = problem.loss(own, own_bias)
        loss = loss + l2 / 2 * own.square().sum()
        slope = slope + l2 * own
        inner.grad = (slope @ directions) * widths
        inner_bias.grad = bias_slope * width
        gradient = max(float(slope.abs().max()), float(bias_slope.abs().max()))
        found.update(weight=own, bias=own_bias, loss=float(loss), gradient=gradient)
        return loss

    optimiser = torch.optim.LBFGS(
        [inner, inner_bias],
        history_size=HISTORY,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )
    problem.exact = False
    closure()
    done = 0
    while done < iterations and (not problem.exact or found["gradient"] > tolerance):
        before = found["loss"]
        optimiser.param_groups[0].update(max_iter=min(STEPS, iterations - done), max_eval=3 * STEPS)
        optimiser.step(closure)
        closure()  # the line search may have ended on another point than it evaluated last
        done += STEPS
        stuck = before - found["loss"] <= (1e-15 if problem.exact else 1e-6) * before
        if problem.exact and stuck:
            break
        if stuck or found["gradient"] <= ROUGH * tolerance:
            problem.exact = True
            closure()
    return found["weight"], found["bias"], found["loss"], found["gradient"]


def fit(
    features: Tensor,
    labels: Tensor,
    classes: int,
    strengths: Sequence[float],
    *,
    held_out: float = 0.2,
    seed: int = 0,
    name: str = "the probe",
) -> Probe:
    """Choose the strength of regularisation on held-out examples, then fit on all of them.

    Parameters
    ----------
    features, strengths, classes, name
        As for `fit_path`.
    labels : Tensor of int64, shape (examples,)
        Classes.
    held_out : float
        Share of the examples, drawn at random, that the choice is made on, by accuracy; the
        stronger wins a tie.
    seed : int
        Of that draw.
    """
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(labels)))
    count = max(1, round(held_out * len(labels)))
    out, rest = order[:count].to(labels.device), order[count:].to(labels.device)
    descending = sorted(strengths, reverse=True)
    best, chosen, start = -1.0, descending[0], None
    if len(descending) > 1:
        for probe in fit_path(features[rest], labels[rest], classes, descending, name=name):
            accuracy = float((probe(features[out]).argmax(1) == labels[out]).double().mean())
            log.debug("%s, L2 %g: held-out accuracy %.4f", name, probe.l2, accuracy)
            if accuracy > best:
                best, chosen, start = accuracy, probe.l2, probe
    (probe,) = fit_path(features, labels, classes, [chosen], start=start, name=name)
    log.info("%s: L2 %g chosen, loss %.5f on all examples", name, probe.l2, probe.loss)
    return probe


def fit_tasks(
    features: Tensor,
    labels: Tensor,
    held_out: Tensor,
    score: Callable[[np.ndarray, np.ndarray], float],
    strengths: Sequence[float],
    *,
    names: Sequence[str],
    name: str = "the probe",
) -> list[Probe]:
    """Choose for each task its own strength on held-out examples, then fit on all of them.

    Parameters
    ----------
    features : Tensor, shape (examples, dimensions)
    labels : Tensor of int, shape (examples, tasks)
        1, -1, or 0 for ignored.
    held_out : Tensor of bool, shape (examples,)
        Examples that the choice is made on.
    score : callable
        Takes a task's logits (float64) and labels on the held-out examples; the strength of the
        highest score is taken, the strongest of equals.
    strengths : sequence of float
    names : sequence of str
        Of the tasks, for messages.
    name : str
        What to call the probe in a warning.

    Returns
    -------
    list of Probe
        One a task, with a single output. `loss`, `gradient` and `converged` are of the fit of all
        tasks at the strength that this one chose.
    """
    tasks = labels.shape[1]
    descending = sorted(strengths, reverse=True)
    path = fit_path(features[~held_out], labels[~held_out], tasks, descending, name=name)
    scores = np.empty((len(path), tasks))
    known = labels[held_out].cpu().numpy()
    for row, probe in enumerate(path):
        logits = probe(features[held_out]).cpu().numpy()
        scores[row] = [score(logits[:, task], known[:, task]) for task in range(tasks)]
    chosen = [descending[row] for row in scores.argmax(axis=0)]
    final = fit_path(features, labels, tasks, sorted(set(chosen)), name=name)
    by_strength = {probe.l2: probe for probe in final}
    probes = []
    for task, l2 in enumerate(chosen):
        log.debug("%s, %s: L2 %g, held-out %.4f", name, names[task], l2, scores[:, task].max())
        whole = by_strength[l2]
        own = slice(task, task + 1)
        probes.append(Probe(whole.weight[own], whole.bias[own], l2, whole.loss, whole.gradient,
                            whole.converged))  # fmt: skip
    return probes
