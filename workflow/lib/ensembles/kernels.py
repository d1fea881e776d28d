"""Compiled loops over examples, models and classes: arrays in, arrays filled in.

Whether the label wins comes from sorted candidates with an early stop (the threshold algorithm of
Fagin, Lotem, Naor 2003), not from adding all classes. Sums are of float64, added in the order of
the members; the lowest class index wins a tie. So every answer is the dense one.

Blocks of logits are passed whole, with the first row to look at, so that a row is known to lie in
one piece and several of its values are handled at a time.
"""

import numba
import numpy as np

FEW = 8  # sorted classes of each model in the search of triples

compiled = numba.njit(nogil=True, cache=True)


@compiled
def any_infinite(bits, exponent):
    """Whether any float, given by its bits, has all bits of the exponent set: NaN or infinity."""
    for row in range(bits.shape[0]):
        largest = exponent & 0
        for c in range(bits.shape[1]):
            largest = max(largest, bits[row, c] & exponent)
        if largest == exponent:
            return True
    return False


@compiled
def largest_value(values):
    """Four at a time: a single maximum would wait for the one before at every value."""
    a = b = c = d = values[0]
    whole = len(values) - len(values) % 4
    for i in range(0, whole, 4):
        a = values[i] if values[i] > a else a
        b = values[i + 1] if values[i + 1] > b else b
        c = values[i + 2] if values[i + 2] > c else c
        d = values[i + 3] if values[i + 3] > d else d
    for i in range(whole, len(values)):
        a = values[i] if values[i] > a else a
    return max(a, b, c, d)


@compiled
def scale(values, start, temperatures, scaled):
    """Fill in values / temperature minus its largest in each row: (models, rows, classes)."""
    models, rows, classes = scaled.shape
    for model in range(models):
        temperature = temperatures[model]
        for row in range(rows):
            here = values[model, start + row]
            largest = np.float64(largest_value(here)) / temperature
            for c in range(classes):
                scaled[model, row, c] = np.float64(here[c]) / temperature - largest


@compiled
def sort_row(row, classes, values):
    """Fill in the classes of the largest values and these, largest first, equal ones by index."""
    count = len(classes)
    found = 0
    least = row[0]
    for c in range(len(row)):
        value = row[c]
        if found == count and value <= least:
            continue
        place = min(found, count - 1)
        while place > 0 and values[place - 1] < value:
            classes[place] = classes[place - 1]
            values[place] = values[place - 1]
            place -= 1
        classes[place] = c
        values[place] = value
        found = min(found + 1, count)
        least = values[found - 1]


@compiled
def sort_rows(block, start, classes, values):
    """Sort rows of a block, (models, block, classes), into both: (models, rows, kept)."""
    for model in range(classes.shape[0]):
        for row in range(classes.shape[1]):
            sort_row(block[model, start + row], classes[model, row], values[model, row])


@numba.njit(nogil=True, cache=True, inline="always")
def accepts(labels, answer):
    """Whether an answer is among the right labels of an image; -1 stands for none."""
    for label in labels:  # noqa: SIM110  (which Numba does not compile)
        if label == answer:
            return True
    return False


@compiled
def known_scores(values, row, scales, candidates, labels, scores, own):
    """Fill in scores, values / scales, of each model's sorted candidates, and those of the labels.

    Values are (models, rows, classes), of which one row is looked at; all else is of this row.
    """
    for model in range(len(values)):
        for place in range(candidates.shape[1]):
            scores[model, place] = values[model, row, candidates[model, place]] / scales[model]
        for i in range(len(labels)):
            if labels[i] >= 0:
                own[model, i] = values[model, row, labels[i]] / scales[model]


@compiled
def compare(values, start, candidates, exponentials, sums, temperatures, labels, gained):
    """Find which pairs are right together though not both alone.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (models, block, classes)
    start : int
    candidates : ndarray of int64, shape (models, rows, kept)
        Sorted classes.
    exponentials, sums : ndarray of float64, shapes (models, rows, classes) and (models, rows)
        Numerators and denominators of the calibrated softmax.
    temperatures : ndarray of float64, shape (models,)
    labels : ndarray of int64, shape (rows, most)
        The right labels of each image, -1 where there are no more.
    gained : ndarray of int64, shape (2, 2, models, models)
        Added to, above the diagonal, for the means of probabilities and of logits: examples that
        exactly one of a pair gets right and their ensemble too, and examples that both get wrong
        and their ensemble gets right. Where there are several right labels, both may be right by
        different ones and their ensemble wrong: such an example is taken off the latter.
    """
    models, rows, _ = exponentials.shape
    count = candidates.shape[2]
    # The sorted candidates' scores, and the label's, for both means.
    scores = np.empty((2, models, count))
    most = labels.shape[1]
    own = np.empty((2, models, most))
    for row in range(rows):
        at = start + row
        of_row = candidates[:, row], labels[row]
        known_scores(exponentials, row, sums[:, row], *of_row, scores[0], own[0])
        known_scores(values, at, temperatures, *of_row, scores[1], own[1])
        for a in range(models):
            for b in range(a + 1, models):
                first, second = candidates[a, row], candidates[b, row]
                # With one top class for both, it is the ensemble's: no score is above the sum of
                # both highest, and among equals it has the lowest index for both.
                if first[0] == second[0]:
                    continue
                right = accepts(labels[row], first[0])
                inconsistent = right != accepts(labels[row], second[0])
                kind = 0 if inconsistent else 1
                lost = right and not inconsistent
                one = first, scores[0, a], exponentials[a, row], sums[a, row]
                other = second, scores[0, b], exponentials[b, row], sums[b, row]
                gained[kind, 0, a, b] -= lost
                for i in range(most):
                    label = labels[row, i]
                    if label >= 0 and label_wins(label, own[0, a, i] + own[0, b, i], one, other):
                        gained[kind, 0, a, b] += 1
                one = first, scores[1, a], values[a, at], temperatures[a]
                other = second, scores[1, b], values[b, at], temperatures[b]
                gained[kind, 1, a, b] -= lost
                for i in range(most):
                    label = labels[row, i]
                    if label >= 0 and label_wins(label, own[1, a, i] + own[1, b, i], one, other):
                        gained[kind, 1, a, b] += 1


@numba.njit(nogil=True, cache=True, inline="always")
def label_wins(label, score, one, other):
    """Whether no class has a higher sum of both scores than the label, or an equal one before it.

    Classes are looked at in the order of both members' sorted candidates, until what is left can't
    reach the label: a class that neither list has shown yet is at most as good as both their ends.
    A member is its sorted classes and their scores, all its values, and what divides these.
    """
    first, first_scores, first_row, first_scale = one
    second, second_scores, second_row, second_scale = other
    for place in range(len(first)):
        a, b = first[place], second[place]
        total = first_scores[place] + second_row[a] / second_scale
        if total > score or (total == score and a < label):
            return False
        total = first_row[b] / first_scale + second_scores[place]
        if total > score or (total == score and b < label):
            return False
        if first_scores[place] + second_scores[place] < score:
            return True
    for c in range(len(first_row)):
        total = first_row[c] / first_scale + second_row[c] / second_scale
        if total > score or (total == score and c < label):
            return False
    return True


@compiled
def count_triples(scores, labels, counts):
    """Add one for every row and three models a < b < c that are right together.

    Scores are float64, (models, rows, classes); counts int64, (models, models, models).
    """
    models, rows, classes = scores.shape
    kept = min(FEW, classes)
    order = np.empty((models, kept), np.int64)
    known = np.empty((models, kept))
    own = np.empty(models)
    total = np.empty(classes)
    for row in range(rows):
        label = labels[row]
        for model in range(models):
            sort_row(scores[model, row], order[model], known[model])
            own[model] = scores[model, row, label]
        for a in range(models):
            for b in range(a + 1, models - 1):
                for k in range(classes):
                    total[k] = scores[a, row, k] + scores[b, row, k]
                pair = total[label]
                total[label] = -np.inf
                rival = largest_value(total)
                for c in range(b + 1, models):
                    score = pair + own[c]
                    # The first test settles most: to make it here takes half the time.
                    if rival + known[c, 0] < score or third_wins(
                        label, score, total, rival, order[c], known[c], scores[c, row]
                    ):
                        counts[a, b, c] += 1


@compiled
def third_wins(label, score, total, rival, order, known, scores):
    """Whether no class has a higher sum than the label's score, or an equal one before it.

    To `total`, whose largest is `rival`, minus infinity at the label, a model's `scores` are added;
    `known` are those of its sorted classes, `order`.
    """
    for place in range(len(order)):
        if rival + known[place] < score:
            return True
        k = order[place]
        sum_then = total[k] + known[place]
        if sum_then > score or (sum_then == score and k < label):
            return False
    for k in range(len(total)):
        sum_then = total[k] + scores[k]
        if sum_then > score or (sum_then == score and k < label):
            return False
    return True


@compiled
def follow(scores, members, ends, labels, right):
    """Fill in whether ensembles are right with each member added: (members, rows).

    The members of all ensembles stand one after the other; `ends` says where each one's end.
    """
    total = np.empty(scores.shape[2])
    for row in range(len(labels)):
        place = 0
        for end in ends:
            total[:] = 0
            while place < end:
                here = scores[members[place], row]
                for c in range(len(total)):
                    total[c] += here[c]
                right[place, row] = np.argmax(total) == labels[row]
                place += 1


@compiled
def lead(total, labels, own, rival, right):
    """Fill in the sum of the label, the highest of the others, and whether the label wins."""
    for row in range(len(total)):
        label = labels[row]
        highest, first = -np.inf, -1
        for c in range(total.shape[1]):
            if total[row, c] > highest and c != label:
                highest, first = total[row, c], c
        own[row], rival[row] = total[row, label], highest
        right[row] = own[row] > highest or (own[row] == highest and label < first)


@compiled
def settle(total, rival, labels, classes, score, highest, lowest, state):
    """Say by a few numbers of each example whether the label wins: 1, 0, or -1 if they can't tell.

    Parameters
    ----------
    total : ndarray of float64, shape (examples, classes)
    rival : ndarray of float64, shape (examples,)
        Its highest in each row, the label left out.
    labels : ndarray of int64, shape (examples,)
    classes : ndarray of uint16 or uint32, shape (examples, kept)
        Of the new member, best first.
    score : ndarray of float64, shape (examples,)
        The label's sum with the new member.
    highest, lowest : ndarray of float64, shape (examples,)
        What the new member adds at most to a class, namely to its first, and at least.
    state : ndarray of int8, shape (examples,)
        Filled in.
    """
    for row in range(len(state)):
        state[row] = -1
        if rival[row] + highest[row] < score[row]:
            state[row] = 1
        elif rival[row] + lowest[row] > score[row]:
            state[row] = 0
        else:
            c = np.int64(classes[row, 0])
            sum_then = total[row, c] + highest[row]
            if c != labels[row] and (
                sum_then > score[row] or (sum_then == score[row] and c < labels[row])
            ):
                state[row] = 0


@compiled
def settle_sorted(total, labels, rows, classes, score, known, bounds, lowest, state):
    """Say so of some rows by all classes that are kept of the new member.

    Parameters
    ----------
    total, labels, classes, score, lowest, state
        As for `settle`.
    rows : ndarray of int64, shape (some,)
    known, bounds : ndarray of float64, shapes (some, kept) and (some,)
        Scores of `classes` of these rows, and what the member adds at most to any other class.
    """
    kept = classes.shape[1]
    for i in range(len(rows)):
        row = rows[i]
        label, own = labels[row], score[row]
        settled = 1
        for place in range(kept):
            c = np.int64(classes[row, place])
            sum_then = total[row, c] + known[i, place]
            if c != label and (sum_then > own or (sum_then == own and c < label)):
                settled = 0
                break
        if settled == 1 and kept < total.shape[1]:
            for c in range(total.shape[1]):
                if total[row, c] + bounds[i] < own or c == label or np.any(classes[row] == c):
                    continue
                if total[row, c] + lowest[row] > own:
                    settled = 0
                    break
                settled = -1
        state[row] = settled
