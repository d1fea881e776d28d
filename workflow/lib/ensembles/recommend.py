"""Which of all single models, pairs and triples are worth knowing, by accuracy and cost."""

import numpy as np
import pandas as pd

LISTED = 50  # best pairs, and best triples


def cost(attributes: dict) -> tuple[float, float]:
    """Give a model's parameters and seconds per image; NaN what its outputs file does not say."""
    rate = attributes.get("images_per_second", np.nan)
    return float(attributes.get("parameters", np.nan)), 1 / rate if rate > 0 else np.nan


def choose(groups: list[tuple[int, ...]], correct: np.ndarray, costs: np.ndarray) -> pd.DataFrame:
    """Choose which ensembles are listed.

    Parameters
    ----------
    groups : list of tuple of int
        Numbers of the members.
    correct : ndarray of int64, shape (groups,)
        Examples of the calibration split that each gets right.
    costs : ndarray of float64, shape (models, 2)
        Parameters, and seconds per image.

    Returns
    -------
    DataFrame
        `rank` among those of its `size`, the best first and equally good ones in the order of
        `groups`; `group`, `correct`, `best` (the member that gets most right), `parameters`,
        `seconds`, `pareto` and `pareto_speed`.
    """
    # Triples of many models are many: their costs are added in arrays.
    padded = np.array([group + (-1,) * (3 - len(group)) for group in groups])
    sums = np.vstack([costs, np.zeros((1, 2))])[padded].sum(axis=1)  # (groups, 2)
    table = pd.DataFrame(
        {
            "size": [len(group) for group in groups],
            "group": groups,
            "correct": correct,
            "parameters": sums[:, 0],
            "seconds": sums[:, 1],
        }
    )
    table["pareto"] = mark_fronts(correct, sums[:, 0])
    table["pareto_speed"] = mark_fronts(correct, sums[:, 1])
    table = table.sort_values(["size", "correct"], ascending=[True, False], kind="stable")
    table.insert(0, "rank", table.groupby("size").cumcount() + 1)
    keep = (table["size"] == 1) | (table["rank"] <= LISTED)
    table = table[keep | table["pareto"] | table["pareto_speed"]].reset_index(drop=True)
    # The earlier of equally good members; single models come first.
    table["best"] = [max(group, key=correct.__getitem__) for group in table["group"]]
    return table


def mark_fronts(correct: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Mark what nothing is better than: neither as good for less, nor better for as much.

    Goodness is that on the calibration split, and not that on the test split which figures show:
    the front is then chosen without looking at test images, and their accuracies on it are as
    honest as any. It follows that drawn by test accuracy it may fall.

    Costs that are NaN are on no front. All arrays have a value a group.
    """
    order = np.lexsort((-correct, costs))  # the cheapest first, NaN last
    cheaper = np.concatenate([[-1], np.maximum.accumulate(correct[order])[:-1]])
    # Equals of the one that makes the front rise are on it too.
    same = np.zeros(len(order), bool)
    same[1:] = (correct[order][1:] == correct[order][:-1]) & (costs[order][1:] == costs[order][:-1])
    rises = correct[order] > cheaper
    first = np.maximum.accumulate(np.where(~same, np.arange(len(order)), 0))
    front = np.zeros(len(order), bool)
    front[order] = rises[first] & ~np.isnan(costs[order])
    return front
