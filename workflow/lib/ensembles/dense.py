"""Compiled loops over all classes: probabilities of ensembles, and sums for fitting their weights.

What the threshold algorithm (kernels.py) leaves out: likelihoods and confidences need the softmax's
denominator, a sum over all classes. Of a pair's mean of logits it is a product of roots; of
weighted logits it takes an exponential for each class, several at a time. Sums are added in an
order that the processor likes best, so that they agree between processors in all but the last
digits.
"""

import numba
import numpy as np

from workflow.lib.ensembles.kernels import accepts

KINDS = ("probability", "logit", "weighted")
"""The combinations computed here, in the order of the arrays that are filled in."""

compiled = numba.njit(nogil=True, cache=True)
in_lanes = numba.njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})

LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
LOG2E = 1.4426950408889634074
LEAST = -700.0  # exponents below it are far below any probability that matters


@numba.njit(nogil=True, cache=True, fastmath={"contract"})
def exponentials_of(values, powers, result):
    """Fill in exp(values) of values up to 700, to the last bit or two; int64 `powers` is scratch.

    Taylor's series to the 12th power on [-ln 2 / 2, ln 2 / 2], then a shift of the exponent. The
    library's own exponential takes one value at a time.
    """
    for i in range(len(values)):
        x = max(values[i], LEAST)
        n = np.floor(x * LOG2E + 0.5)
        r = (x - n * LN2_HIGH) - n * LN2_LOW
        p = 1 / 479001600.0
        p = p * r + 1 / 39916800.0
        p = p * r + 1 / 3628800.0
        p = p * r + 1 / 362880.0
        p = p * r + 1 / 40320.0
        p = p * r + 1 / 5040.0
        p = p * r + 1 / 720.0
        p = p * r + 1 / 120.0
        p = p * r + 1 / 24.0
        p = p * r + 1 / 6.0
        p = p * r + 0.5
        p = p * r + 1.0
        result[i] = p * r + 1.0
        powers[i] = (np.int64(np.int32(n)) + 1023) << 52
    scale = powers.view(np.float64)
    for i in range(len(values)):
        result[i] *= scale[i]


@numba.njit(nogil=True, cache=True, fastmath={"contract"})
def exponentials_of_pair(first, second, weight_1, weight_2, shift, powers, result):
    """The same of the weighted sum of two rows less `shift`, yet without the shift of exponents.

    To the 9th power alone, which is exact to 1e-11.
    """
    for i in range(len(first)):
        x = max(weight_1 * first[i] + weight_2 * second[i] - shift, LEAST)
        n = np.floor(x * LOG2E + 0.5)
        r = (x - n * LN2_HIGH) - n * LN2_LOW
        p = 1 / 362880.0
        p = p * r + 1 / 40320.0
        p = p * r + 1 / 5040.0
        p = p * r + 1 / 720.0
        p = p * r + 1 / 120.0
        p = p * r + 1 / 24.0
        p = p * r + 1 / 6.0
        p = p * r + 0.5
        p = p * r + 1.0
        result[i] = p * r + 1.0
        powers[i] = (np.int64(np.int32(n)) + 1023) << 52


@in_lanes
def scaled_sums(result, scale):
    """Sums of the products, and of their squares."""
    found = squares = 0.0
    for i in range(len(result)):
        p = result[i] * scale[i]
        found += p
        squares += p * p
    return found, squares


@in_lanes
def moments(result, scale, first, second):
    """Sums of the products, and of these times one row, the other, and both in twos."""
    zed = a = b = aa = ab = bb = 0.0
    for i in range(len(result)):
        p = result[i] * scale[i]
        p_1, p_2 = p * first[i], p * second[i]
        zed += p
        a += p_1
        b += p_2
        aa += p_1 * first[i]
        ab += p_1 * second[i]
        bb += p_2 * second[i]
    return zed, a, b, aa, ab, bb


@in_lanes
def total(values):
    """Sum of the values."""
    found = 0.0
    for i in range(len(values)):
        found += values[i]
    return found


@in_lanes
def product(first, second):
    """Sum of the products."""
    found = 0.0
    for i in range(len(first)):
        found += first[i] * second[i]
    return found


@in_lanes
def triple_product(first, second, third):
    """Sum of the products of all three."""
    found = 0.0
    for i in range(len(first)):
        found += first[i] * second[i] * third[i]
    return found


@in_lanes
def products(first, second):
    """Sums of the products, and of their squares."""
    found = squares = 0.0
    for i in range(len(first)):
        both = first[i] * second[i]
        found += both
        squares += both * both
    return found, squares


@in_lanes
def add(target, values, factor):
    """Add a multiple of values to the target."""
    for i in range(len(target)):
        target[i] += factor * values[i]


@compiled
def largest(values):
    """The largest value, and its class: of equal ones the lowest."""
    best, place = values[0], 0
    for c in range(1, len(values)):
        if values[c] > best:
            best, place = values[c], c
    return best, place


@compiled
def top_of_pair(first, second, order_1, order_2, scale_1, scale_2):
    """The class of the highest sum of both members' values / scale, by their sorted classes."""
    if order_1[0] == order_2[0]:
        return order_1[0]
    best, place = -np.inf, -1
    for i in range(len(order_1)):
        a, b = order_1[i], order_2[i]
        for c in (a, b):
            found = first[c] / scale_1 + second[c] / scale_2
            if found > best or (found == best and c < place):
                best, place = found, c
        if first[a] / scale_1 + second[b] / scale_2 < best:
            return place
    for c in range(len(first)):
        found = first[c] / scale_1 + second[c] / scale_2
        if found > best or (found == best and c < place):
            best, place = found, c
    return place


@compiled
def top_of_weighted(first, second, order_1, order_2, weight_1, weight_2):
    """The class of the highest weighted sum, likewise."""
    best, place = -np.inf, -1
    for i in range(len(order_1)):
        a, b = order_1[i], order_2[i]
        for c in (a, b):
            found = weight_1 * first[c] + weight_2 * second[c]
            if found > best or (found == best and c < place):
                best, place = found, c
        if weight_1 * first[a] + weight_2 * second[b] < best:
            return place
    for c in range(len(first)):
        found = weight_1 * first[c] + weight_2 * second[c]
        if found > best or (found == best and c < place):
            best, place = found, c
    return place


@compiled
def combine(scaled, exponentials, roots, sums, squares, order, labels, members, ends, weights,
            group, right, log_confidence, losses):  # fmt: skip
    """Combine ensembles on some rows, in the three ways of `KINDS`.

    Parameters
    ----------
    scaled, exponentials, roots : ndarray of float64, shape (models, rows, classes)
        Calibrated logits less their largest, their exponentials, and the roots of these.
    sums, squares : ndarray of float64, shape (models, rows)
        Sums of the exponentials and of their squares.
    order : ndarray of int64, shape (models, rows, kept)
        Sorted classes.
    labels : ndarray of int64, shape (rows, most)
        The right labels of each image, -1 where there are no more. Losses are those of the first.
    group : ndarray of int64, shape (rows,)
    members, ends : ndarray of int64
        The members of all ensembles, one after the other, and where each one's end.
    weights : ndarray of float64, like `members`
    right : ndarray of bool, shape (ensembles, 3, rows)
        Filled in, as is `log_confidence`, of float32, with the logarithm of the answer's
        probability.
    losses : ndarray of float64, shape (ensembles, 3, 2, groups)
        Added to: negative log-likelihood and Brier score.
    """
    classes = scaled.shape[2]
    values, result = np.empty(classes), np.empty(classes)
    powers = np.empty(classes, np.int64)
    for row in range(len(labels)):
        accepted = labels[row]
        label = accepted[0]
        start = 0
        for e in range(len(ends)):
            end = ends[e]
            size = end - start
            done = False
            if size == 2:
                a, b = members[start], members[start + 1]
                sum_a, sum_b = sums[a, row], sums[b, row]
                zed, square = products(roots[a, row], roots[b, row])
                if zed > 1e-250:  # else both are sure of two classes: the general way
                    done = True
                    # Probabilities.
                    first, second = exponentials[a, row], exponentials[b, row]
                    place = top_of_pair(first, second, order[a, row], order[b, row], sum_a, sum_b)
                    top = (first[place] / sum_a + second[place] / sum_b) / 2
                    own = (first[label] / sum_a + second[label] / sum_b) / 2
                    norm = squares[a, row] / sum_a**2 + squares[b, row] / sum_b**2
                    norm = (norm + 2 * square / (sum_a * sum_b)) / 4
                    note(e, 0, row, place, accepted, np.log(top), np.log(max(own, 1e-320)), own,
                         norm, group[row], right, log_confidence, losses)  # fmt: skip
                    # Logits.
                    first, second = scaled[a, row], scaled[b, row]
                    place = top_of_pair(first, second, order[a, row], order[b, row], 1.0, 1.0)
                    zed_log = np.log(zed)
                    top = (first[place] + second[place]) / 2 - zed_log
                    own = (first[label] + second[label]) / 2 - zed_log
                    note(e, 1, row, place, accepted, top, own, np.exp(own), square / zed**2,
                         group[row], right, log_confidence, losses)  # fmt: skip
            if not done:
                values[:] = 0
                for place in range(start, end):
                    model = members[place]
                    for c in range(classes):  # as other engines add, to the last bit
                        values[c] += exponentials[model, row, c] / sums[model, row]
                top, place = largest(values)
                top, own = top / size, values[label] / size
                note(e, 0, row, place, accepted, np.log(top), np.log(max(own, 1e-320)), own,
                     product(values, values) / size**2, group[row], right, log_confidence,
                     losses)  # fmt: skip
                values[:] = 0
                for place in range(start, end):
                    for c in range(classes):
                        values[c] += scaled[members[place], row, c]
                top, place = largest(values)
                for c in range(classes):
                    values[c] = (values[c] - top) / size
                softmax(e, 1, row, place, accepted, values, powers, result, group[row], right,
                        log_confidence, losses)  # fmt: skip
            if size == 2:
                first, second = scaled[members[start], row], scaled[members[start + 1], row]
                one, two = weights[start], weights[start + 1]
                place = order[members[start], row, 0]
                if place != order[members[start + 1], row, 0]:
                    place = top_of_weighted(
                        first, second, order[members[start], row], order[members[start + 1], row],
                        one, two,
                    )  # fmt: skip
                top = one * first[place] + two * second[place]
                exponentials_of_pair(first, second, one, two, top, powers, result)
                result[place] = 0.0
                rest, square = scaled_sums(result, powers.view(np.float64))
                zed_log = np.log1p(rest)
                own = one * first[label] + two * second[label] - top - zed_log
                note(e, 2, row, place, accepted, -zed_log, own, np.exp(own),
                     (1 + square) / (1 + rest) ** 2, group[row], right, log_confidence,
                     losses)  # fmt: skip
            else:
                values[:] = 0
                for place in range(start, end):
                    add(values, scaled[members[place], row], weights[place])
                top, place = largest(values)
                for c in range(classes):
                    values[c] -= top
                softmax(e, 2, row, place, accepted, values, powers, result, group[row], right,
                        log_confidence, losses)  # fmt: skip
            start = end


@compiled
def softmax(e, kind, row, place, accepted, values, powers, result, group, right, log_confidence,
            losses):  # fmt: skip
    """Note an answer from logits whose largest, at `place`, is 0."""
    exponentials_of(values, powers, result)
    # What is not the largest, by itself: near 1 it would drown.
    result[place] = 0.0
    rest, square = total(result), product(result, result)
    zed_log = np.log1p(rest)
    own = values[accepted[0]] - zed_log
    note(e, kind, row, place, accepted, -zed_log, own, np.exp(own), (1 + square) / (1 + rest) ** 2,
         group, right, log_confidence, losses)  # fmt: skip


@numba.njit(nogil=True, cache=True, inline="always")
def note(e, kind, row, place, accepted, top, log_own, own, square, group, right, log_confidence,
         losses):  # fmt: skip
    """Put an answer into the arrays of `combine`."""
    right[e, kind, row] = accepts(accepted, place)
    log_confidence[e, kind, row] = min(top, 0.0)
    losses[e, kind, 0, group] -= log_own
    losses[e, kind, 1, group] += square + 1 - 2 * own


@compiled
def newton(scaled, labels, folds, step, members, ends, weights, left_out, active, loss, gradient,
           hessian):  # fmt: skip
    """Add to the derivatives of the negative log-likelihood of weighted logits.

    Parameters
    ----------
    scaled : ndarray of float64, shape (models, rows, classes)
        Calibrated logits less their largest.
    labels, folds : ndarray of int64, shape (rows,)
    step : int
        Every how many rows to look at.
    members, ends, weights
        As for `combine`.
    left_out : ndarray of int64, shape (ensembles,)
        The fold whose rows do not count, or -1.
    active : ndarray of bool, shape (ensembles,)
        Others are passed over.
    loss, gradient, hessian : ndarray of float64, (ensembles,), (ensembles, n), (ensembles, n, n)
        Added to; n is the greatest number of members.
    """
    classes = scaled.shape[2]
    values, result = np.empty(classes), np.empty(classes)
    powers = np.empty(classes, np.int64)
    means = np.empty(gradient.shape[1])
    for row in range(0, len(labels), step):
        label = labels[row]
        start = 0
        for e in range(len(ends)):
            end = ends[e]
            if active[e] and folds[row] != left_out[e]:
                size = end - start
                if size == 2:
                    first, second = scaled[members[start], row], scaled[members[start + 1], row]
                    one, two = weights[start], weights[start + 1]
                    exponentials_of_pair(first, second, one, two, 0.0, powers, result)
                    zed, a, b, aa, ab, bb = moments(result, powers.view(np.float64), first, second)
                    if zed > 1e-200:  # else no class is likely for both: the general way
                        a, b = a / zed, b / zed
                        loss[e] += np.log(zed) - one * first[label] - two * second[label]
                        gradient[e, 0] += a - first[label]
                        gradient[e, 1] += b - second[label]
                        hessian[e, 0, 0] += aa / zed - a * a
                        hessian[e, 0, 1] += ab / zed - a * b
                        hessian[e, 1, 0] += ab / zed - a * b
                        hessian[e, 1, 1] += bb / zed - b * b
                        start = end
                        continue
                values[:] = 0
                for k in range(size):
                    add(values, scaled[members[start + k], row], weights[start + k])
                exponentials_of(values, powers, result)
                zed = total(result)
                if zed < 1e-200:  # no class is likely for all
                    top = values.max()
                    for c in range(classes):
                        values[c] -= top
                    exponentials_of(values, powers, result)
                    zed = total(result)
                loss[e] += np.log(zed) - values[label]
                for k in range(size):
                    own = scaled[members[start + k], row]
                    means[k] = product(result, own) / zed
                    gradient[e, k] += means[k] - own[label]
                    for j in range(k + 1):
                        both = triple_product(result, own, scaled[members[start + j], row]) / zed
                        both -= means[k] * means[j]
                        hessian[e, k, j] += both
                        if j < k:
                            hessian[e, j, k] += both
            start = end
