"""What a visitor asks of a study: which ensemble to take, and which models learn something new.

Everything here follows from the tables of a study, whose numbers are those of its test images;
what is chosen is chosen by held-out images alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflow.lib.study.categories import BASE

RESEEDED = "reinit"
Z = 1.959963984540054  # 97.5 % of a normal distribution lie below it; SciPy would be long to import

MORE, AS_ACCURACY, WITHIN, SAME, LESS, UNKNOWN = (
    "more than a new seed",
    "as its accuracy does",
    "within the range of new seeds",
    "no more than a new seed",
    "less than a new seed",
    "no reseeded pair to compare with",
)
"""Verdicts on how much a model's errors differ from the base's."""

COLUMNS = [
    "model", "name", "category", "group", "accuracy", "accuracy_low", "accuracy_high",
    "error_inconsistency", "error_inconsistency_low", "error_inconsistency_high",
    "excess", "excess_low", "excess_high",
    "error_consistency", "error_consistency_low", "error_consistency_high",
    "added_nats", "added_nats_low", "added_nats_high", "only_right", "verdict",
]  # fmt: skip


class Inconsistencies:
    """Error inconsistency of all pairs of models, by key.

    Parameters
    ----------
    pairs : DataFrame
        As in pairs.tsv: rows of any number of combinations, on whose choice nothing here depends.
    """

    def __init__(self, pairs: pd.DataFrame):
        rows = pairs.drop_duplicates(["model_1", "model_2"])
        keys = [frozenset(pair) for pair in zip(rows["model_1"], rows["model_2"], strict=True)]
        self.rows = dict(zip(keys, rows.to_dict("records"), strict=True))
        self.examples = int(rows["examples"].max()) if len(rows) else 0

    def row(self, first: str, second: str) -> dict:
        """Give the row of a pair, whichever of it comes first."""
        return self.rows.get(frozenset((first, second)), {})

    def __call__(self, first: str, second: str) -> float:
        """Error inconsistency of two models: 0 of one with itself, NaN if it is not known."""
        if first == second:
            return 0.0
        return float(self.row(first, second).get("error_inconsistency", np.nan))


def excess_inconsistency(
    model: str, base: str, seeds: Sequence[str], known: Inconsistencies
) -> tuple[float, float, float]:
    """Error inconsistency with the base, minus the mean of that of reseeded models with the base.

    Let d(m) be 1 on the images of which exactly one of the base and m is right, so that its mean is
    the inconsistency I(b, m). Two of them differ where exactly one of their models is right, so the
    mean of d(m) d(n) is (I(b, m) + I(b, n) - I(m, n)) / 2. With it the variance of the difference
    over images is exact, from pairs alone. The interval is Wald's, of paired differences, over
    images: the seeds are taken as they are.

    Parameters
    ----------
    model, base : str
    seeds : sequence of str
        Models that differ from the base by their seed alone, without `model`.
    known : Inconsistencies

    Returns
    -------
    excess, low, high : float
        NaN without seeds.
    """
    if not seeds:
        return np.nan, np.nan, np.nan
    models = [model, *seeds]
    weights = np.array([1.0] + [-1 / len(seeds)] * len(seeds))
    alone = np.array([known(base, key) for key in models])
    between = np.array([[known(a, b) for b in models] for a in models])
    moments = (alone[:, None] + alone[None, :] - between) / 2  # (models, models)
    mean = float(weights @ alone)
    variance = max(float(weights @ moments @ weights) - mean**2, 0.0) / known.examples
    half = Z * variance**0.5
    return mean, mean - half, mean + half


def novelty(
    models: pd.DataFrame,
    pairs: pd.DataFrame,
    only_right: dict[str, int],
    added: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Say of each model whether its errors differ from the base's more than a new seed's do.

    A model does if the interval of its excess inconsistency lies above zero, if its inconsistency
    is above that of every reseeded pair, and if its kappa is below theirs: kappa sets aside what
    follows from accuracies alone (Geirhos et al. 2020).

    Parameters
    ----------
    models, pairs : DataFrame
        As in models.tsv and pairs.tsv.
    only_right : dict of str to int
        Test images that a model alone gets right, by key.
    added : DataFrame, optional
        As in added.tsv: what models add to the likelihood of the base.

    Returns
    -------
    DataFrame
        `COLUMNS`, a row a model other than the base, the most novel first; `error_consistency` is
        kappa with the base.
    """
    known, nats = Inconsistencies(pairs), {}
    if added is not None:
        rows_of_base = added[added["reference"] == BASE]
        nats = {row["model"]: row for row in rows_of_base.to_dict("records")}
    bases = models.loc[models["group"] == BASE, "model"]
    if bases.empty or not known.rows:
        return pd.DataFrame(columns=COLUMNS)
    base = bases.iloc[0]
    seeded = models[(models["category"] == RESEEDED) & (models["group"] == "main")]["model"]
    every = [base, *seeded]
    rows = []
    for own in models[models["model"] != base].to_dict("records"):
        key = own["model"]
        seeds = [other for other in seeded if other != key]
        excess = excess_inconsistency(key, base, seeds, known)
        pair = known.row(base, key)
        reseeded = [
            known.row(a, b)
            for i, a in enumerate(every)
            for b in every[i + 1 :]
            if key not in (a, b)
        ]  # fmt: skip
        measured = ("error_inconsistency", "error_consistency")
        row = {name: own.get(name) for name in COLUMNS[:7]}
        row |= {
            name + end: pair.get(name + end, np.nan)
            for name in measured
            for end in ("", "_low", "_high")
        }
        row |= dict(zip(("excess", "excess_low", "excess_high"), excess, strict=True))
        row |= {
            f"added_nats{end}": nats.get(key, {}).get(f"added{end}", np.nan)
            for end in ("", "_low", "_high")
        }
        row |= {"only_right": only_right.get(key), "verdict": _verdict(row, reseeded)}
        rows.append(row)
    table = pd.DataFrame(rows, columns=COLUMNS)
    table = table.astype({"only_right": "Int64"})
    order = "excess" if table["excess"].notna().any() else "error_inconsistency"
    return table.sort_values(order, ascending=False, kind="stable", ignore_index=True)


def _verdict(row: dict, reseeded: list[dict]) -> str:
    """Judge a row of `novelty` beside the rows of reseeded pairs."""
    if np.isnan(row["excess"]):
        return UNKNOWN
    if row["excess_high"] < 0:
        return LESS
    if row["excess_low"] <= 0:
        return SAME
    if row["error_inconsistency"] <= max(pair["error_inconsistency"] for pair in reseeded):
        return WITHIN
    if row["error_consistency"] >= min(pair["error_consistency"] for pair in reseeded):
        return AS_ACCURACY
    return MORE


def most_different(table: pd.DataFrame) -> dict | None:
    """Choose the model that differs most from the base: least kappa, of those that differ at all.

    Models inside the accuracy band come first. If none is compared with reseeded models, all may.

    Parameters
    ----------
    table : DataFrame
        Of `novelty`.

    Returns
    -------
    dict or None
        Its row; None if no model differs more than a new seed, or kappa is known of none.
    """
    wanted = UNKNOWN if (table["verdict"] == UNKNOWN).all() else MORE
    rows = table[(table["verdict"] == wanted) & table["error_consistency"].notna()]
    inside = rows[rows["group"] == "main"]
    rows = inside if len(inside) else rows
    if rows.empty:
        return None
    return rows.sort_values("error_consistency", kind="stable").iloc[0].to_dict()


def count_only_right(right: np.ndarray) -> np.ndarray:
    """Mark the images that exactly one model gets right, and by whom.

    Parameters
    ----------
    right : ndarray of bool, shape (models, images)

    Returns
    -------
    ndarray of int64, shape (images,)
        The number of that model; -1 where none or several are right.
    """
    return np.where(right.sum(axis=0) == 1, right.argmax(axis=0), -1)


@dataclass(frozen=True)
class Recommendation:
    """An ensemble chosen on held-out images, beside the best single model chosen there.

    Attributes
    ----------
    best : dict
        Row of the best single model, as in recommendations.tsv.
    chosen : dict
        Row of what the rule chooses: a single model if no ensemble is worth its members.
    candidate : dict or None
        Row of the ensemble to look at: the chosen one, or else the best pair; None without pairs.
    gain, low, high : float
        Accuracy of the candidate on test images minus that of the best single model.
    error : float
        Standard error by which the rule judges, a fraction of the held-out images.
    ensembles : int
        How many ensembles are listed.
    held_out, tested : int
        Images.
    pair : dict or None
        Row of the best pair, if the candidate has more members.
    pair_gain : tuple of float
        What it gains, with its interval.
    """

    best: dict
    chosen: dict
    candidate: dict | None
    gain: float
    low: float
    high: float
    error: float
    ensembles: int
    held_out: int
    tested: int
    pair: dict | None = None
    pair_gain: tuple[float, float, float] = (np.nan, np.nan, np.nan)

    @property
    def beyond_chance(self) -> bool:
        """Whether an ensemble is chosen, and its gain's interval lies above zero."""
        return self.chosen["size"] > 1 and self.low > 0


def combined(table: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Give accuracy and gain of ensembles in the combination that is chosen for each.

    Parameters
    ----------
    table : DataFrame
        As in recommendations.tsv: `choice` is the combination chosen by likelihood on held-out
        images.
    scores : DataFrame
        As in scores.tsv.

    Returns
    -------
    DataFrame
        The table, with `combination`; rows without such scores are those of the study's own
        combination.
    """
    if "choice" not in table:
        return table
    rows = scores[(scores["score"] == "accuracy") & (scores["test"] == "test")]
    rows = rows.drop_duplicates(["models", "combination"]).set_index(["models", "combination"])
    keys = pd.MultiIndex.from_arrays([table["models"], table["choice"]])
    found = rows[["value", "difference", "difference_low", "difference_high"]].reindex(keys)
    known = (found["difference_low"].notna() & (table["size"] > 1).to_numpy()).to_numpy()
    columns = ["accuracy", "gain", "gain_low", "gain_high"]
    table = table.assign(combination=table["choice"].where(known))
    table.loc[known, columns] = found.to_numpy()[known]
    return table


def recommend(
    table: pd.DataFrame, pairs: pd.DataFrame, held_out: int, scores: pd.DataFrame | None = None
) -> Recommendation | None:
    """Choose an ensemble by the one-standard-error rule (Breiman et al. 1984, section 3.4.3).

    Of all that is within one standard error of the best on held-out images, the one of fewest
    members is taken, and of these the one that costs least. The error is that of the paired
    difference between the best and the best single model, which is known on test images, for as
    many as are held out.

    Parameters
    ----------
    table : DataFrame
        As in recommendations.tsv. Cost is `macs` where all have it, else `parameters`.
    pairs : DataFrame
        As in pairs.tsv.
    held_out : int
        Held-out images, by which `selection_accuracy` was measured.
    scores : DataFrame, optional
        As in scores.tsv. With it, accuracies and gains are those of the combination that is chosen
        for each ensemble on held-out images, without it those of the study's.

    Returns
    -------
    Recommendation or None
        None without a single model.
    """
    if "size" not in table or held_out < 1:
        return None
    table = table[table["selection_accuracy"].notna()]
    if "kind" in table:  # what a cascade answers depends on its thresholds, too
        table = table[table["kind"] == "ensemble"]
    singles, several = (table[table["size"].eq(1) == alone] for alone in (True, False))
    if singles.empty:
        return None
    best = singles.loc[singles["selection_accuracy"].idxmax()].to_dict()
    known = Inconsistencies(pairs)
    if several.empty:
        nan = (np.nan,) * 4
        return Recommendation(best, best, None, *nan, 0, held_out, known.examples)
    first = several.loc[several["selection_accuracy"].idxmax()].to_dict()
    error = (gain_over(first, best, known)[1]) * (known.examples / held_out) ** 0.5
    top = max(first["selection_accuracy"], best["selection_accuracy"])
    near = table[table["selection_accuracy"] >= top - error - 1e-12]
    near = near.assign(cost=near[cost_column(table)].astype(float))
    near = near.sort_values(
        ["size", "cost", "selection_accuracy"], ascending=[True, True, False], kind="stable"
    )
    alone = (near["size"] == 1).any()
    chosen = best if alone else near.iloc[0].drop("cost").to_dict()
    candidate = chosen if chosen["size"] > 1 else _best_pair(several)
    if scores is not None:
        candidate = combined(pd.DataFrame([candidate]), scores).iloc[0].to_dict()
        chosen = candidate if chosen["size"] > 1 else best
    pair, pair_gain = None, (np.nan,) * 3
    if candidate["size"] > 2 and (several["size"] == 2).any():
        pair = _best_pair(several)
        if scores is not None:
            pair = combined(pd.DataFrame([pair]), scores).iloc[0].to_dict()
        pair_gain = _interval(*gain_over(pair, best, known))
    return Recommendation(
        best, chosen, candidate, *_interval(*gain_over(candidate, best, known)), error,
        len(several), held_out, known.examples, pair, pair_gain,
    )  # fmt: skip


def cost_column(table: pd.DataFrame) -> str:
    """Name the column of costs: multiply-adds if all ensembles have them, else parameters."""
    return "macs" if "macs" in table and table["macs"].notna().all() else "parameters"


def _interval(value: float, error: float) -> tuple[float, float, float]:
    return value, value - Z * error, value + Z * error


def _best_pair(several: pd.DataFrame) -> dict:
    pairs = several[several["size"] == several["size"].min()]
    return pairs.loc[pairs["selection_accuracy"].idxmax()].to_dict()


def gain_over(row: dict, best: dict, known: Inconsistencies) -> tuple[float, float]:
    """Give what an ensemble's accuracy is above that of the best single model, and its error.

    `gain` of a row is over its own best member. If that is another model, the standard deviation of
    a sum is at most the sum of standard deviations, so the error is an upper bound.

    Returns
    -------
    gain, error : float
        Fractions; `error` is the standard error over test images.
    """
    error = (row["gain_high"] - row["gain_low"]) / 2 / Z
    member, single = row["best_member"], best["models"]
    if member != single:
        apart = known(member, single)
        shift = row["best_member_accuracy"] - best["accuracy"]
        error += (max(apart - shift**2, 0.0) / known.examples) ** 0.5
    return row["accuracy"] - best["accuracy"], error


def least_gain(examples: int, disagreement: float) -> float:
    """Least gain that can be told from zero at 5 %: that of McNemar's test by its normal limit.

    Parameters
    ----------
    examples : int
    disagreement : float
        Share of images that exactly one of the two compared gets right.
    """
    return Z * (disagreement / examples) ** 0.5 if examples else np.nan
