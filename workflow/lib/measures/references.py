"""What figures 1 and 8 set beside a study's own models: the noise floor, and published means."""

from collections.abc import Sequence

import pandas as pd

from workflow.lib.measures.statistics import mean_interval
from workflow.lib.study.categories import BASE, CATEGORIES, CONTROL

FLOOR, OTHER, PAPER = "floor", "control", "paper"


def noise_floor(pairs: pd.DataFrame, models: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Compare models with others that have the same weights: what no training explains.

    Parameters
    ----------
    pairs : DataFrame
        As in pairs.tsv, of one combination.
    models : DataFrame
        As in models.tsv, with `weights_of` if there are any controls.
    columns : sequence of str
        Quantities that have `_low` and `_high` in `pairs`.

    Returns
    -------
    DataFrame
        A row a control: `what` is "floor" if it has the base's weights and else "control", then
        `category`, `base` (the model whose weights it has), `model`, `name`, `models`, and each
        quantity with its interval.
    """
    ends = [column + end for column in columns for end in ("", "_low", "_high")]
    empty = pd.DataFrame(columns=["what", "category", "base", "model", "name", "models", *ends])
    if "weights_of" not in models:
        return empty
    base = set(models.loc[models["category"] == BASE, "model"])
    by_pair = {frozenset(row[:2]): row[2:] for row in
               pairs[["model_1", "model_2", *ends]].itertuples(index=False, name=None)}  # fmt: skip
    rows = [
        {
            "what": FLOOR if own.weights_of in base else OTHER,
            "category": CONTROL,
            "base": own.weights_of,
            "model": own.model,
            "name": own.name,
            "models": 1,
        }
        | dict(zip(ends, by_pair[frozenset((own.model, own.weights_of))], strict=True))
        for own in models[models["weights_of"].notna()].itertuples(index=False)
    ]
    return pd.DataFrame(rows).sort_values("what", ascending=False, kind="stable") if rows else empty


def published_means(pairs: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Average each category of a publication's main models, as compared with its base.

    Parameters
    ----------
    pairs : DataFrame
        As in pairs.tsv of a published study.
    columns : sequence of str

    Returns
    -------
    DataFrame
        A row a category, in order of divergence: `what` is "paper", then `category`, `models`, and
        each quantity with the interval of `mean_interval`.
    """
    main = pairs[pairs["with_base"] & pairs["main"]]
    rows = []
    for category in CATEGORIES:
        own = main[main["category"] == category]
        if own.empty:
            continue
        row = {"what": PAPER, "category": category, "models": len(own)}
        for column in columns:
            ends = (column, f"{column}_low", f"{column}_high")
            row |= dict(zip(ends, mean_interval(own[column]), strict=True))
        rows.append(row)
    return pd.DataFrame(rows)
