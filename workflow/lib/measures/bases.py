"""Models compared with several bases, each a network that was trained like the others.

A base is one draw of its training, and what is compared with it shares what is peculiar to that
draw. So everything here is a matrix of bases by models, without a value where a base would be
compared with itself, and is averaged over the bases.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from workflow.lib.measures.pairs import LEAST
from workflow.lib.study.categories import BASE, CATEGORIES

X = "error_inconsistency"


@dataclass(frozen=True)
class Compared:
    """Main models as compared with each base.

    Attributes
    ----------
    bases : list of str
        Keys.
    models : DataFrame
        `model`, `name` and `category` of each model, in order of divergence. Where there are
        several bases, each of them is a model too, of the category reinit.
    values : dict of str to ndarray of float64, shape (bases, models)
        NaN where a base would be compared with itself. `accuracy` is that of the model alone.
    """

    bases: list[str]
    models: pd.DataFrame
    values: dict[str, np.ndarray]

    @property
    def rank(self) -> np.ndarray:
        """Rank of each model's category by divergence: float64, shape (models,)."""
        return self.models["category"].map(CATEGORIES.index).to_numpy(np.float64)

    def of(self, *columns: str) -> dict[str, np.ndarray]:
        """Give some of the values, and `rank` for every base."""
        rank = np.broadcast_to(self.rank, (len(self.bases), len(self.models)))
        return {"rank": rank} | {column: self.values[column] for column in columns}


def compare(
    pairs: pd.DataFrame, combination: str, columns: Sequence[str], bases: Sequence[str] = ()
) -> Compared:
    """Gather what main models have in common with each base.

    Parameters
    ----------
    pairs : DataFrame
        As in pairs.tsv. Columns that it lacks are left out.
    combination : str
        Which combination of two models to take.
    columns : sequence of str
        Quantities of pairs.
    bases : sequence of str
        Keys of the bases; those outside the main models are left out. None for the base alone.

    Returns
    -------
    Compared
    """
    rows = pairs[pairs["main"].astype(bool) & (pairs["combination"] == combination)]
    if not bases and "with_base" in rows:
        rows = rows[rows["with_base"].astype(bool)]
    columns = [column for column in columns if column in rows]
    sides = []
    for own, other in ((1, 2), (2, 1)):
        is_base = rows[f"category_{own}"] == BASE
        if bases:
            is_base = rows[f"model_{own}"].isin(bases)
        chosen = rows[is_base]
        side = chosen[columns].assign(
            base=chosen[f"model_{own}"],
            model=chosen[f"model_{other}"],
            name=chosen[f"name_{other}"],
            category=chosen[f"category_{other}"].replace(BASE, "reinit"),
        )
        if f"accuracy_{other}" in chosen:
            side["accuracy"] = chosen[f"accuracy_{other}"]
        sides.append(side)
    table = pd.concat(sides).sort_index(kind="stable")
    table = table[table["category"].isin(CATEGORIES)]
    models = table.drop_duplicates("model", ignore_index=True)[["model", "name", "category"]]
    order = models["category"].map(CATEGORIES.index).sort_values(kind="stable").index
    models = models.loc[order].reset_index(drop=True)
    found = set(table["base"])
    known = [base for base in (bases or dict.fromkeys(table["base"])) if base in found]
    quantities = [*columns, *(["accuracy"] if "accuracy" in table else [])]
    values = {
        column: table.pivot(index="base", columns="model", values=column)
        .reindex(index=known, columns=models["model"])
        .to_numpy(np.float64)
        for column in quantities
    }
    return Compared(known, models, values)


def average(values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Average over bases, those left out that have no value.

    Parameters
    ----------
    values : ndarray of float64, shape (bases, models) or (draws, bases, models)
    weights : ndarray of float64, shape (draws, bases), optional
        How often each base was drawn. Where none of a model's was, all of its bases count.

    Returns
    -------
    ndarray of float64, shape (models,) or (draws, models)
        NaN for a model without a value.
    """
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    count = known.sum(axis=-2)
    plain = filled.sum(axis=-2) / np.where(count, count, np.nan)
    if weights is None:
        return plain
    weights = weights[:, None, :]
    total, summed = (weights @ known)[:, 0], (weights @ filled)[:, 0]
    return np.where(total > 0, summed / np.where(total > 0, total, 1), plain)


def two_way_mean(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of a matrix, with a 95 % interval over both bases and models.

    Both are taken as random: the variance of the mean is that over models of their means over bases
    plus that over bases of their means over models, each divided by its number. This counts what
    is peculiar to a base and a model twice, so that the interval is a little wide (the two-way
    layout of Searle, Casella and McCulloch 1992, section 4.3). Degrees of freedom are
    Satterthwaite's (1946). With one base it is Student's interval over models.

    Parameters
    ----------
    values : ndarray of float64, shape (bases, models)
        NaN where there is no value.

    Returns
    -------
    mean, low, high : float
        Without an interval where there is a single model.
    """
    by_model = average(values)
    by_model = by_model[~np.isnan(by_model)]
    by_base = average(values.T)
    by_base = by_base[~np.isnan(by_base)]
    mean = float(by_model.mean()) if len(by_model) else np.nan
    if len(by_model) < 2:
        return mean, np.nan, np.nan
    parts = [(own.var(ddof=1) / len(own), len(own) - 1) for own in (by_model, by_base)
             if len(own) > 1]  # fmt: skip
    variance = sum(part for part, _ in parts)
    if not variance > 0:
        return mean, mean, mean
    degrees = variance**2 / sum(part**2 / freedom for part, freedom in parts)
    half = float(stats.t.ppf(0.975, degrees) * np.sqrt(variance))
    return mean, mean - half, mean + half


def resample_images(
    right: np.ndarray,
    bases: Sequence[int],
    models: Sequence[int],
    draws: int,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Draw test images with replacement, the same for all models, and compare models on them.

    Parameters
    ----------
    right : ndarray of bool, shape (all models, images)
    bases, models : sequence of int
        Rows of `right`.
    draws : int
    rng : Generator

    Returns
    -------
    dict of str to ndarray of float64, shape (draws, bases, models)
        `error_inconsistency`, `error_consistency` (kappa) and `accuracy` of the model, NaN where a
        base would be compared with itself.
    """
    count = right.shape[1]
    first, second = right[list(bases)].astype(np.float32), right[list(models)].astype(np.float32)
    itself = np.equal.outer(np.asarray(bases), np.asarray(models))
    shape = draws, *itself.shape
    found = {name: np.empty(shape) for name in (X, "error_consistency", "accuracy")}
    for draw in range(draws):
        weights = np.bincount(rng.integers(count, size=count), minlength=count).astype(np.float32)
        weighted = first * weights
        both = (weighted @ second.T).astype(np.float64) / count
        own, other = weighted.sum(axis=1)[:, None] / count, second @ weights / count
        found[X][draw] = own + other - 2 * both
        expected = own * other + (1 - own) * (1 - other)
        with np.errstate(invalid="ignore", divide="ignore"):
            found["error_consistency"][draw] = 1 - found[X][draw] / (1 - expected)
        found["accuracy"][draw] = other
    return {name: np.where(itself, np.nan, own) for name, own in found.items()}


def class_heterogeneity(
    right: np.ndarray, labels: np.ndarray, bases: Sequence[int], models: Sequence[int]
) -> np.ndarray:
    """How unevenly over the classes the images that one of two models alone gets right are shared.

    Of a pair's discordant images, each class has a share that goes to the first model. Pearson's
    chi-squared of equal shares, divided by the number of these images and less what chance alone
    brings about, is Cramér's V squared with the correction of Bergsma (2013): 0 on average where
    one model is right more often than the other by the same factor in all classes, whatever the
    number of images, and 1 where each class belongs to one of the two.

    Parameters
    ----------
    right : ndarray of bool, shape (all models, images)
    labels : ndarray of int, shape (images,)
    bases, models : sequence of int
        Rows of `right`.

    Returns
    -------
    ndarray of float64, shape (bases, models)
        NaN below `LEAST` discordant images, or where all are of one model.
    """
    first, second = right[list(bases)].astype(np.float32), right[list(models)].astype(np.float32)
    shares, totals = [], []
    for label in np.unique(labels):
        a, b = first[:, labels == label], second[:, labels == label]
        both = a @ b.T
        shares.append(a.sum(axis=1)[:, None] - both)
        totals.append(shares[-1] + b.sum(axis=1) - both)
    only, count = np.array(shares, np.float64), np.array(totals, np.float64)
    n, part = count.sum(axis=0), only.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = part / n
        cells = np.square(only - count * share) / (count * share * (1 - share))
        squared = np.where(count > 0, cells, 0).sum(axis=0)
        value = squared / n - ((count > 0).sum(axis=0) - 1) / (n - 1)
    return np.where((n >= LEAST) & (part > 0) & (part < n), value, np.nan)


def rows_of(keys: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Places of some models among all."""
    places: Mapping[str, int] = {key: place for place, key in enumerate(keys)}
    return [places[key] for key in wanted]
