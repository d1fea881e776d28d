"""Linear probes: L2-regularised logistic regression on frozen features, by full-batch L-BFGS.

Labels are classes (multinomial: one of several) or tasks (multi-label: each there or not, some to
be ignored). Features are standardised on the examples that are learnt from, and on these alone. The
strength of the regularisation is chosen on held-out data along a path from the strongest to the
weakest, each fit starting at the last one's solution (Kornblith, Shlens and Le 2019, appendix A.4).

Features that fit the memory, of the GPU where there is one, are held there; others stay on disk and
are read again for each look at the loss. The minimum is the same.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from workflow.lib.jobs import ahead

log = logging.getLogger("uncorrelated")

IGNORED = 0  # of a task's labels: neither there (1) nor not there (-1)
STEPS = 10  # iterations between two looks at the gradient
HISTORY = 60  # of L-BFGS
ROUGH = 10  # times the tolerance, the gradient down to which products are in float32
MEMORY = 8 * 2**30  # bytes that a fit may take on a CPU; on a GPU it is most of what is free
BLOCK = 2**24  # features read at a time
LOGITS = 2**28  # held at a time


@dataclass(frozen=True)
class Streamed:
    """Columns of matrices side by side that stay on disk, to be read in blocks of rows.

    As of a tensor, `streamed[rows]` and `streamed[:, columns]` are a part of it.

    Attributes
    ----------
    parts : sequence of array_like of float32, shape (all examples, dimensions)
        Such as datasets of HDF5 or memory maps.
    device : torch.device
        Where blocks go.
    rows, columns : ndarray of int64, optional
        Which are taken, rows in ascending order; by default all.
    """

    parts: Sequence
    device: torch.device
    rows: np.ndarray | None = None
    columns: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Examples and dimensions."""
        examples = len(self.parts[0]) if self.rows is None else len(self.rows)
        width = sum(part.shape[1] for part in self.parts)
        return examples, width if self.columns is None else len(self.columns)

    def __getitem__(self, key: Tensor | tuple[slice, np.ndarray]) -> "Streamed":
        if isinstance(key, tuple):
            columns = np.asarray(key[1])
            return replace(self, columns=columns if self.columns is None else self.columns[columns])
        rows = np.sort(key.cpu().numpy())
        return replace(self, rows=rows if self.rows is None else self.rows[rows])

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Read all of it in order, the next block while the caller works on one.

        Yields
        ------
        rows : slice
        values : Tensor of float32, shape (rows, dimensions)
        """
        step = max(1, BLOCK // sum(part.shape[1] for part in self.parts))
        spans = [(row, row + step) for row in range(0, len(self.parts[0]), step)]
        done = 0
        for values in ahead(lambda span: self._read(*span), spans):
            yield slice(done, done + len(values)), values.to(self.device, non_blocking=True)
            done += len(values)

    def _read(self, start: int, stop: int) -> Tensor:
        values = np.concatenate([part[start:stop] for part in self.parts], axis=1)
        if self.rows is not None:
            first, last = np.searchsorted(self.rows, (start, stop))
            values = values[self.rows[first:last] - start]
        if self.columns is not None:
            values = values[:, self.columns]
        tensor = torch.from_numpy(values)
        return tensor.pin_memory() if self.device.type == "cuda" else tensor

    def held(self, classes: int = 0, share: float = 1.0) -> "Tensor | Streamed":
        """Give all of it as one tensor of float32 if a fit of it fits the memory, else itself.

        Parameters
        ----------
        classes : int
            What is to be fitted; 0 for the features alone.
        share : float
            Of the memory that they may take.
        """
        examples, dimensions = self.shape
        # The features themselves and, for a fit, without those held out, and standardised in
        # float64 and float32, or with a basis; logits and residuals.
        needed = (20 + 16 * (examples < dimensions) if classes else 4) * examples * dimensions
        needed += 3 * 8 * min(examples * classes, LOGITS)
        free = MEMORY
        if self.device.type == "cuda":
            unused = torch.cuda.memory_reserved(self.device)  # kept by torch of what was freed
            unused -= torch.cuda.memory_allocated(self.device)
            free = 0.9 * (torch.cuda.mem_get_info(self.device)[0] + unused)
        if needed > share * free:
            return self
        values = torch.empty(self.shape, dtype=torch.float32, device=self.device)
        for rows, block in self.blocks():
            values[rows] = block
        return values


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
    products = 0
    for _, values in _blocks(features):
        centred = values.double() - mean
        products = products + centred.T @ centred
    return (products / examples).cpu().numpy()


def _blocks(features: Tensor | Streamed) -> Iterator[tuple[slice, Tensor]]:
    if isinstance(features, Streamed):
        yield from features.blocks()
    else:
        yield slice(0, len(features)), features


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
    directions where it starts, which halves its iterations or better on features of networks. Where
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
    if isinstance(features, Streamed):
        features = features.held(classes)
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
    probes = {}
    for l2 in sorted(strengths, reverse=True):
        weight, bias, loss, gradient = _minimise(problem, weight, bias, l2, tolerance, iterations)
        if not gradient <= tolerance:
            log.warning("%s of L2 %g did not converge: gradient %.1e", name, l2, gradient)
        own = problem.outside(weight) / scale
        probes[l2] = Probe(own, bias - own @ mean, l2, loss, gradient, gradient <= tolerance)
    return [probes[l2] for l2 in strengths]


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
    step = max(1, len(problem.labels) // (4 * weight.shape[1]))
    problem.exact, sample, curvature = True, [], []
    for rows, values in problem.blocks():
        curvature.append(problem.curvature(rows, problem.logits(values, weight, bias)))
        sample.append(values[-rows.start % step :: step])
    sample, curvature = torch.cat(sample), torch.cat(curvature)
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
        found.update(weight=own, bias=own_bias, loss=float(loss), slopes=(slope, bias_slope))
        return loss

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
        if stuck or gradient() <= ROUGH * tolerance:
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
        features = features.held(classes)
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
