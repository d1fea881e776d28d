"""Linear probes: L2-regularised logistic regression on frozen features, by full-batch L-BFGS.

Labels are classes (multinomial: one of several) or tasks (multi-label: each there or not, some to
be ignored). Features are standardised on the examples that are learnt from, and on these alone. The
strength of the regularisation is chosen on held-out data along a path from the strongest to the
weakest, each fit starting at the last one's solution (Kornblith, Shlens and Le 2019, appendix A.4).

Features that fit the memory, of the GPU where there is one, are kept there; others stay on disk and
are read again for each look at the loss. The minimum is the same.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workflow.lib.probes.logistic import Probe, _Logistic, _Multinomial
from workflow.lib.probes.streamed import Streamed

log = logging.getLogger("uncorrelated")
STEPS = 10  # iterations between two looks at the gradient
HISTORY = 60  # of L-BFGS


def fit_path(
    features: Tensor | Streamed,
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
    directions where the path starts: half as many iterations or less on features of networks. Where
    there are fewer examples than dimensions, it works in the space that these span, in which the
    best weights lie. The minimum is the same.

    Parameters
    ----------
    features : Tensor or Streamed, shape (examples, dimensions)
    labels : Tensor of int, shape (examples,) or (examples, tasks)
        On the device of the features. Classes, or for each task 1 (there), -1 (not there) or 0
        (ignored).
    classes : int
        Number of classes, or of tasks.
    strengths : sequence of float
    tolerance : float
        A probe has converged when no entry of the gradient with respect to standardised weights
        and bias is larger; the default is scikit-learn's. Losses in float64 tell down to 1e-8.
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
    if isinstance(features, Streamed):
        features = features.in_memory(classes)
    kind = _Multinomial if labels.ndim == 1 else _Logistic
    problem = kind(features, labels, classes)
    mean, scale = problem.mean, problem.scale
    options = {"dtype": torch.float64, "device": features.device}
    weight = torch.zeros(classes, features.shape[1], **options)
    bias = torch.zeros(classes, **options)
    if start is not None:
        weight = torch.where(scale.isfinite(), start.weight * scale, 0.0)
        bias = start.bias + start.weight @ mean
    weight = problem.inside(weight)
    curvature = _curvature(problem, weight, bias)
    probes = {}
    for l2 in sorted(strengths, reverse=True):
        weight, bias, loss, gradient = _minimise(
            problem, curvature, weight, bias, l2, tolerance, iterations
        )
        if not gradient <= tolerance:
            log.warning("%s of L2 %g did not converge: gradient %.1e", name, l2, gradient)
        own = problem.outside(weight) / scale
        probes[l2] = Probe(own, bias - own @ mean, l2, loss, gradient, gradient <= tolerance)
    return [probes[l2] for l2 in strengths]


def _curvature(
    problem: _Multinomial | _Logistic, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Curvatures of the loss along directions of a weight, the directions, and the bias's.

    Of all examples, since features that few of them have would look flat in a sample. float32 is
    enough, and once for all strengths, since this only shapes the way to the minimum.
    """
    products, total = 0.0, 0.0
    for rows, values in problem.blocks():
        curvature = problem.curvature(rows, problem.logits(values, weight, bias))
        products = products + (values * curvature[:, None]).T @ values
        total = total + curvature.double().sum()
    curvatures, directions = torch.linalg.eigh(products / len(problem.labels))
    return curvatures.double().clamp(min=0), directions.double(), total / len(problem.labels)


def _minimise(
    problem: _Multinomial | _Logistic,
    curvature: tuple[Tensor, Tensor, Tensor],
    weight: Tensor,
    bias: Tensor,
    l2: float,
    tolerance: float,
    iterations: int,
) -> tuple[Tensor, Tensor, float, float]:
    """Minimise the loss plus penalty; gives weight, bias, loss and the largest gradient entry."""
    # weight = (inner * widths) @ directions.T, so that the curvature is about 1 along each entry.
    curvatures, directions, bias_curvature = curvature
    widths = 1 / torch.sqrt(curvatures + l2)
    width = 1 / torch.sqrt(bias_curvature + l2)
    inner = ((weight @ directions) / widths).requires_grad_()
    inner_bias = (bias / width).requires_grad_()
    found: dict[str, Any] = {}

    @torch.no_grad()
    def closure() -> float:
        point = torch.cat([inner.flatten(), inner_bias])
        if found.get("exact") == problem.exact and torch.equal(point, found["point"]):
            return found["loss"]  # L-BFGS asks again where it begins and ends
        own, own_bias = (inner * widths) @ directions.T, inner_bias * width
        loss, slope, bias_slope = problem.loss(own, own_bias)
        loss = loss + l2 / 2 * own.square().sum()
        slope = slope + l2 * own
        inner.grad = (slope @ directions) * widths
        inner_bias.grad = bias_slope * width
        found.update(weight=own, bias=own_bias, loss=float(loss), slopes=(slope, bias_slope))
        found.update(point=point, exact=problem.exact)
        return found["loss"]

    def gradient() -> float:
        slope, bias_slope = found["slopes"]
        return max(float(problem.outside(slope).abs().max()), float(bias_slope.abs().max()))

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
    while done < iterations and (not problem.exact or gradient() > tolerance):
        before = found["loss"]
        optimiser.param_groups[0].update(max_iter=min(STEPS, iterations - done), max_eval=3 * STEPS)
        optimiser.step(closure)
        closure()  # the line search may have ended on another point than it evaluated last
        done += STEPS
        stuck = before - found["loss"] <= (1e-15 if problem.exact else 1e-6) * before
        if problem.exact and stuck:
            break
        if not problem.exact and (stuck or gradient() <= tolerance):
            problem.exact = True
            closure()
    return found["weight"], found["bias"], found["loss"], gradient()


def fit(
    features: Tensor | Streamed,
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
    if isinstance(features, Streamed):
        features = features.in_memory(classes)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(labels)))
    count = max(1, round(held_out * len(labels)))
    out, rest = order[:count].to(labels.device), order[count:].to(labels.device)
    if isinstance(features, Streamed):
        out, rest = out.sort().values, rest.sort().values
    descending = sorted(strengths, reverse=True)
    best, chosen, start = -1.0, descending[0], None
    if len(descending) > 1:
        for probe in fit_path(features[rest], labels[rest], classes, descending, name=name):
            accuracy = float((probe.predict(features[out]) == labels[out]).double().mean())
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
