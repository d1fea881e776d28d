"""What figures draw: models and means by category, lines, angles, probes and a further task."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from workflow.lib.measures.bases import X, average, compare, two_way_mean
from workflow.lib.measures.specialisation import histogram, prevailing
from workflow.lib.measures.statistics import fit_line, mean_interval, share
from workflow.lib.probes.dimensions import dimensions_needed
from workflow.lib.study.categories import ORDER

QUANTITIES = ("improvement", "ensemble_accuracy", "conversion_rate")
"""What figure 2 sets against it."""

BINS = 24  # of the histograms of angles
ALL = 100  # per cent of the base's features
PRECISION = "average_precision"


def models_and_means(
    pairs: pd.DataFrame, combination: str, columns: Sequence[str], bases: Sequence[str] = ()
) -> pd.DataFrame:
    """Choose the main models, as compared with each base, and average bases and categories.

    Parameters
    ----------
    pairs : DataFrame
        As in pairs.tsv.
    combination : str
        Which combination of two models to take.
    columns : sequence of str
        Quantities, fractions from 0 to 1. Each has its `_low` and `_high` in `pairs`.
    bases : sequence of str
        Keys of the models that each serve as the base; none for the base alone.

    Returns
    -------
    DataFrame
        `what` is "model" (one row a model, its mean over bases), "mean" (one row a category that
        has a model) or, where there are several bases, "base" (one row a category and base, the
        mean over models), in order of divergence; then `category`, `base`, `model`, `name`, `bases`
        and `models` (how many), and each quantity with `_low` and `_high`: of a model those in
        `pairs`, or with several bases the least and the greatest of them; of a category's mean as
        `two_way_mean` has it.
    """
    ends = [column + end for column in columns for end in ("", "_low", "_high")]
    compared = compare(pairs, combination, ends, bases)
    several = len(compared.bases) > 1
    models = compared.models.assign(
        what="model", base=compared.bases[0] if compared.bases else None,
        bases=len(compared.bases), models=1,
    )  # fmt: skip
    means, by_base = [], []
    for column in columns:
        values = compared.values[column]
        models[column] = average(values)
        for end, extreme in (("_low", np.fmin), ("_high", np.fmax)):
            own = values if several else compared.values[column + end]
            models[column + end] = extreme.reduce(own, axis=0) if len(own) else np.nan
    for category, group in models.groupby("category", sort=False):
        row = {"what": "mean", "category": category, "bases": len(compared.bases)}
        row["models"] = len(group)
        for column in columns:
            own = two_way_mean(compared.values[column][:, group.index])
            row |= dict(zip((column, f"{column}_low", f"{column}_high"), own, strict=True))
        means.append(row)
        for place, base in enumerate(compared.bases if several else []):
            own = {column: compared.values[column][place, group.index] for column in columns}
            known = int((~np.isnan(own[columns[0]])).sum())
            row = {"what": "base", "category": category, "base": base, "bases": 1, "models": known}
            by_base.append(row | {k: average(v[:, None])[0] for k, v in own.items()})
    order = ["what", "category", "base", "model", "name", "bases", "models", *ends]
    parts = [models, *(pd.DataFrame(rows) for rows in (means, by_base) if rows)]
    table = pd.concat(parts, ignore_index=True).reindex(columns=order)
    return table.astype({"bases": "Int64", "models": "Int64"})


def add_fits(table: pd.DataFrame) -> pd.DataFrame:
    """Append a row for each quantity's line, fitted to models.

    Parameters
    ----------
    table : DataFrame
        Of `models_and_means`.

    Returns
    -------
    DataFrame
        With rows whose `what` is "fit": `quantity`, `slope`, `intercept`, `r`, `models`.
    """
    models = table[table["what"] == "model"]
    fits = [
        {"what": "fit", "quantity": column}
        | dict(zip(("slope", "intercept", "r"), fit_line(models[X], models[column]), strict=True))
        for column in QUANTITIES
    ]
    return pd.concat([table, pd.DataFrame(fits)], ignore_index=True)


def angles(rows: pd.DataFrame) -> pd.DataFrame:
    """Count the angles of the union of examples, and find the prevailing ones.

    Parameters
    ----------
    rows : DataFrame
        As in specialisation.tsv.

    Returns
    -------
    DataFrame
        `what` is "histogram" (a row a pair, outcome and bin) or "prevailing" (a row a pair and
        `model`, with its `theta`; of the `count` examples from there on, on which top classes
        differ, the ensemble follows it on a share of `share`).
    """
    union = rows[rows["union"]]
    widest = np.ceil(20 * union["theta"].abs().max()) / 20 if len(union) else np.pi / 4
    edges = np.linspace(-1, 1, BINS + 1) * max(widest, 0.05)
    tables = []
    for name, pair in rows.groupby("pair", sort=False):
        chosen = pair[pair["union"]]
        bars = histogram(chosen["theta"].to_numpy(), chosen["outcome"].to_numpy(str), edges)
        tables.append(bars.assign(what="histogram", pair=name))
        differ = pair[pair["prediction_1"] != pair["prediction_2"]]
        for member, sign in ((1, 1), (2, -1)):
            angles = sign * differ["theta"].to_numpy()
            follows = (differ["ensemble"] == differ[f"prediction_{member}"]).to_numpy()
            least = prevailing(angles, follows)
            beyond = angles >= least
            found = {
                "what": "prevailing",
                "pair": name,
                "model": pair[f"model_{member}"].iloc[0],
                "theta": sign * least,
                "count": int(beyond.sum()),
                "share": float(share(follows[beyond].sum(), beyond.sum())),
            }
            tables.append(pd.DataFrame([found]))
    columns = ["what", "pair", "outcome", "bin_low", "bin_high", "count", "share", "model", "theta"]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    return table.reindex(columns=columns)


def combined(
    probes: pd.DataFrame, models: pd.DataFrame, statistic: str, direction: str, target: float
) -> pd.DataFrame:
    """Average draws, then models of a category.

    Parameters
    ----------
    probes : DataFrame
        Tables of the rule `features`, one below the other.
    models : DataFrame
        As in models.tsv.
    statistic, direction : str
    target : float

    Returns
    -------
    DataFrame
        `panel` is "combined", "compressed" or "needed"; `what` "model" or "mean"; `category`,
        `model`, `name`, `models` (that a mean is of); `share`, `dimensions`, `accuracy`, each with
        `_low` and `_high` where it is measured; `draws`, `converged` (whether all did) and `target`
        (an accuracy).
    """
    probes = probes.merge(models[["model", "name", "category"]], on="model", validate="m:1")
    keys = ["category", "model", "name"]
    shares = probes[probes["what"] == "share"]
    chosen = (probes["statistic"] == statistic) & (probes["direction"] == direction)
    compressed = probes[(probes["what"] == "compression") & chosen]
    alone = shares.loc[shares["share"] == ALL, "accuracy"]
    goal = target * alone.iloc[0] if len(alone) else target

    panels = []
    for panel, rows, x in (
        ("combined", shares, "share"),
        ("compressed", compressed, "dimensions"),
    ):
        means = [
            dict(zip([*keys, x], key, strict=True))
            | {"models": 1, "draws": len(group), "converged": group["converged"].all()}
            | _interval("accuracy", group["accuracy"])
            for key, group in rows.groupby([*keys, x], sort=False)
        ]
        panels.append(_with_categories(pd.DataFrame(means), x, "accuracy").assign(panel=panel))
    needed = [
        dict(zip(keys, key, strict=True))
        | {"models": 1, "converged": group["converged"].all()}
        | {"dimensions": dimensions_needed(*_sorted(group), goal)}
        for key, group in compressed.groupby(keys, sort=False)
    ]
    needed = _with_categories(pd.DataFrame(needed), None, "dimensions")
    # An interval from two models (t = 12.7) would cross the whole panel and tell nothing.
    needed.loc[needed["models"] < 3, ["dimensions_low", "dimensions_high"]] = float("nan")
    panels.append(needed.assign(panel="needed", target=goal))
    table = pd.concat(panels, ignore_index=True)
    first = ["panel", "what", *keys, "models", "draws", "share"]
    return table[first + [column for column in table if column not in first]]


def _interval(column: str, values: pd.Series) -> dict[str, float]:
    """Name a mean and its interval."""
    names = (column, f"{column}_low", f"{column}_high")
    return dict(zip(names, mean_interval(values), strict=True))


def transferred(
    probes: pd.DataFrame, models: pd.DataFrame, pairs: pd.DataFrame, base: str
) -> pd.DataFrame:
    """Put the mean average precisions beside what is known of models and pairs.

    Parameters
    ----------
    probes : DataFrame
        Tables of the rule `downstream`, one below the other.
    models, pairs : DataFrame
        As in models.tsv, and in pairs.tsv for one combination.
    base : str

    Returns
    -------
    DataFrame
        `what` is "model" or "pair"; `category` (of a pair its more divergent model's), `name`,
        `model_1`, `model_2`; `accuracy` of a model, `error_inconsistency` (of a model with the
        base, which has 0 with itself), `average_precision` with its interval, and for a pair its
        `gain` over the better of the two.
    """
    means = probes[probes["what"] == "mean"].drop(columns=["what", "task", "l2"])
    inconsistency = {
        frozenset(key): value
        for *key, value in pairs[["model_1", "model_2", "error_inconsistency"]].itertuples(
            index=False
        )
    } | {frozenset([base]): 0.0}
    by_key = models.set_index("model")
    alone = means[means["model_2"].isna()].set_index("model_1")[PRECISION]
    order = ORDER.index
    rows = []
    for row in means.to_dict("records"):
        keys = [row["model_1"]] if pd.isna(row["model_2"]) else [row["model_1"], row["model_2"]]
        single = len(keys) == 1
        rows.append(
            {
                "what": "model" if single else "pair",
                "category": max(by_key.loc[keys, "category"], key=order),
                "name": " + ".join(by_key.loc[keys, "name"]),
            }
            | row
            | {
                "accuracy": by_key.at[keys[0], "accuracy"] if single else None,
                "error_inconsistency": inconsistency[
                    frozenset(keys if not single else {*keys, base})
                ],
                "gain": None if single else row[PRECISION] - max(alone[keys]),
            }
        )
    return pd.DataFrame(rows)


def _sorted(group: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    group = group.sort_values("dimensions")
    return group["dimensions"], group["accuracy"]


def _with_categories(models: pd.DataFrame, x: str | None, column: str) -> pd.DataFrame:
    """Append the mean of each category, at each value of `x` if there is one."""
    keys = ["category", x] if x else ["category"]
    means = [
        dict(zip(keys, key if isinstance(key, tuple) else (key,), strict=True))
        | {"what": "mean", "models": group[column].count(), "converged": group["converged"].all()}
        | _interval(column, group[column])
        for key, group in models.groupby(keys, sort=False)
    ]
    table = pd.concat([models.assign(what="model"), pd.DataFrame(means)], ignore_index=True)
    order = table["category"].map(ORDER.index)
    return table.loc[order.sort_values(kind="stable").index]
