"""Which of all single models, pairs and triples are worth knowing, by accuracy and cost."""

import numpy as np
import pandas as pd

LISTED = 50  # best pairs, and best triples


COSTS = {"macs": "pareto", "parameters": "pareto_parameters", "seconds": "pareto_speed"}
"""What ensembles cost, and the column that marks its Pareto front."""


def cost(attributes: dict) -> tuple[float, float, float]:
    """Give a model's multiply-adds, parameters and seconds for an image; NaN what is not known."""
    rate = attributes.get("images_per_second", np.nan)
    known = (float(attributes.get(name, np.nan)) for name in ("macs", "parameters"))
    return *known, 1 / rate if rate > 0 else np.nan


def choose(groups: list[tuple[int, ...]], correct: np.ndarray, costs: np.ndarray) -> pd.DataFrame:
    """Choose which ensembles are listed.

    Parameters
    ----------
    groups : list of tuple of int
        Numbers of the members.
    correct : ndarray of int64, shape (groups,)
        Examples of the calibration split that each gets right.
    costs : ndarray of float64, shape (models, 3)
        Of `cost`.

    Returns
    -------
    DataFrame
        `rank` among those of its `size`, the best first and equally good ones in the order of
        `groups`; `group`, `correct`, `best` (the member that gets most right), and `COSTS` with
        their fronts.
    """
    # Triples of many models are many: their costs are added in arrays.
    padded = np.array([group + (-1,) * (3 - len(group)) for group in groups])
    sums = np.vstack([costs, np.zeros((1, 3))])[padded].sum(axis=1)  # (groups, 3)
    table = pd.DataFrame(
        {
            "size": [len(group) for group in groups],
            "group": groups,
            "correct": correct,
        }
        | dict(zip(COSTS, sums.T, strict=True))
    )
    for own, front in zip(sums.T, COSTS.values(), strict=True):
        table[front] = mark_fronts(correct, own)
    table = table.sort_values(["size", "correct"], ascending=[True, False], kind="stable")
    table.insert(0, "rank", table.groupby("size").cumcount() + 1)
    keep = (table["size"] == 1) | (table["rank"] <= LISTED)
    table = table[keep | table[[*COSTS.values()]].any(axis=1)].reset_index(drop=True)
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


def best_of_two(cascades: pd.DataFrame) -> pd.Series | None:
    """Choose the cascade of two to recommend; None if there is none.

    Parameters
    ----------
    cascades : DataFrame
        `listed`, `target`, `kind`, `pareto` and `selection_accuracy`.

    Returns
    -------
    Series or None
        The most accurate one on the Pareto front of cascades, and where only some of three are on
        that, of all.
    """
    own = cascades[cascades["listed"].astype(bool) & (cascades["target"] == "accuracy")]
    own = own[own["kind"] == "pair"]
    front = own[own["pareto"].astype(bool)]
    own = own if front.empty else front
    return None if own.empty else own.loc[own["selection_accuracy"].idxmax()]
