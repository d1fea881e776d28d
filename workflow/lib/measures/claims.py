"""The paper's claims, each asked of a study's tables: whether it holds, and by what numbers.

A claim holds where a 95 % interval lies on its side of zero, is contradicted where it lies on the
other, and stays unclear in between. What each asks is in its function.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflow.lib.measures.statistics import bend, correlation, mean_interval, slope
from workflow.lib.study.categories import CATEGORIES, ORDER

YES, NO, UNCLEAR = "yes", "no", "unclear"
BEND = 0.05  # of the variance: what a parabola explains beyond a line that still is a line


@dataclass(frozen=True)
class Claim:
    """What the paper says, and what a study finds.

    Attributes
    ----------
    claim : str
        A sentence.
    section : str
        Where the study shows it: its figure.
    holds : {'yes', 'no', 'unclear'}
    evidence : str
        Numbers and intervals.
    """

    claim: str
    section: str
    holds: str
    evidence: str


def verdict(low: float, high: float, sign: int = 1) -> str:
    """Say whether an interval lies above zero, or below it with a `sign` of -1."""
    if np.isnan(low) or np.isnan(high):
        return UNCLEAR
    low, high = sorted((sign * low, sign * high))
    return YES if low > 0 else NO if high < 0 else UNCLEAR


def main_pairs(pairs: pd.DataFrame, combination: str) -> pd.DataFrame:
    """Pairs of the base and another main model, of one combination, with the divergence's rank."""
    rows = pairs[pairs["with_base"] & pairs["main"] & (pairs["combination"] == combination)]
    return rows.assign(rank=rows["category"].map(CATEGORIES.index))


def inconsistency_grows(rows: pd.DataFrame) -> Claim:
    """Spearman's correlation of inconsistency with the rank of the category, over main models."""
    r, low, high = correlation(rows["rank"], rows["error_inconsistency"], rank=True)
    means = rows.groupby("rank")["error_inconsistency"].mean()
    listed = ", ".join(f"{CATEGORIES[rank]} {100 * mean:.1f} %" for rank, mean in means.items())
    listed = listed or "there is no other model"
    return Claim(
        "The more a model's training differs from the base's, the more their errors differ.",
        "figure1",
        verdict(low, high),
        f"Mean error inconsistency by category: {listed}. Rank correlation with divergence over "
        f"{len(rows)} models: {_number(r, low, high)}.",
    )


def improvement_is_linear(rows: pd.DataFrame) -> Claim:
    """Pearson's correlation above zero, and a parabola that explains hardly more than a line."""
    x, y = rows["error_inconsistency"], rows["improvement"]
    r, low, high = correlation(x, y)
    share, p = bend(x, y)
    holds = verdict(low, high)
    if holds == YES and share > BEND:
        holds = UNCLEAR
    return Claim(
        "What an ensemble with the base gains grows linearly with the inconsistency of errors.",
        "figure2",
        holds,
        f"r = {_number(r, low, high)}, slope {_number(*slope(x, y))} points of accuracy for one "
        f"of inconsistency"
        + (
            "."
            if np.isnan(share)
            else f"; a parabola explains {100 * share:.1f} % more of the variance (p = {p:.2g})."
        ),
    )


def conversion_grows(rows: pd.DataFrame) -> Claim:
    """Pearson's correlation of conversion rate and inconsistency, over main models."""
    rates = rows["conversion_rate"]
    r, low, high = correlation(rows["error_inconsistency"], rates)
    return Claim(
        "The more inconsistent the errors, the larger the share of them that the ensemble mends.",
        "figure2",
        verdict(low, high),
        f"Correlation of conversion rate and inconsistency: {_number(r, low, high)}"
        + (
            f"; conversion rates from {100 * rates.min():.0f} to {100 * rates.max():.0f} %."
            if rates.notna().any()
            else "."
        ),
    )


def models_specialise(classes: pd.DataFrame) -> Claim:
    """More classes with a specialist in the most divergent pair than in the least, and some."""
    counts, listed = {}, []
    rows = classes[classes["what"] == "class"]
    keys = ["pair", "name_1", "name_2", "category"]
    for (_, first, second, category), group in rows.groupby(keys, sort=False):
        special = int(group["specialist"].notna().sum())
        counts.setdefault(ORDER.index(category), []).append(special)
        listed.append(f"{first} and {second} {special} of {len(group)}")
    if len(counts) < 2:
        holds = UNCLEAR
    else:
        least, most = np.mean(counts[min(counts)]), np.mean(counts[max(counts)])
        holds = YES if most > least else NO if most == 0 else UNCLEAR
    return Claim(
        "Models that were trained differently specialise in different classes.",
        "figure4",
        holds,
        "Classes that one of a pair gets right more often than the other (exact McNemar test, "
        f"Holm's correction, p < 0.05): {'; '.join(listed)}.",
    )


def low_accuracy_helps(first: pd.DataFrame, combination: str) -> Claim:
    """Gain over the base on test images of the best first member chosen on held-out images."""
    rows = first[(first["combination"] == combination) & (first["protocol"] == "held-out")]
    helped = int((rows["gain_low"] > 0).sum())
    hurt = int((rows["gain_high"] < 0).sum())
    listed = "; ".join(
        f"{row.base_name} with {row.name} {_points(row.gain, row.gain_low, row.gain_high)}"
        for row in rows.itertuples()
    )
    return Claim(
        "Models of lower accuracy make models of high accuracy better.",
        "figure5",
        YES if helped > len(rows) / 2 else NO if hurt > len(rows) / 2 else UNCLEAR,
        f"What the best first member, chosen on held-out images, adds on test images: {listed}.",
    )


def combined_features_win(features: pd.DataFrame) -> Claim:
    """Accuracy of half of both models' features, minus the better of either alone, over models."""
    rows = features[(features["panel"] == "combined") & (features["what"] == "model")]
    table = rows.pivot(index="model", columns="share", values="accuracy")
    middle = [share for share in table if 0 < share < 100]
    if not middle or not {0, 100} <= set(table):
        low = high = gain = np.nan
        listed = "The shares 0 and 100 and one in between are needed."
    else:
        share = min(middle, key=lambda share: abs(share - 50))
        gains = table[share] - table[[0, 100]].max(axis=1)
        gain, low, high = mean_interval(gains)
        listed = (
            f"With {share:g} % of the base's features, over the better of both models' own: "
            f"{_points(gain, low, high)}, mean over {len(gains)} models; the best is "
            f"{rows.set_index('model').loc[[gains.idxmax()], 'name'].iloc[0]} "
            f"({100 * gains.max():+.2f})."
        ).replace("-", "−")
    return Claim(
        "Features of two models together beat those of either, at the same number of dimensions.",
        "figure6",
        verdict(low, high),
        listed,
    )


def divergence_compresses(features: pd.DataFrame) -> Claim:
    """Rank correlation of the dimensions needed with divergence, below zero, over models.

    A model that never reaches the target counts as needing more than any other.
    """
    rows = features[(features["panel"] == "needed") & (features["what"] == "model")]
    most = rows["dimensions"].max()
    needed = rows["dimensions"].fillna(1.0 if np.isnan(most) else 2 * most)
    r, low, high = correlation(rows["category"].map(ORDER.index), needed, rank=True)
    means = rows.groupby("category", sort=False)["dimensions"].mean()
    listed = ", ".join(
        f"{name} {value:.0f}" if pd.notna(value) else f"{name} never"
        for name, value in means.items()
    )
    return Claim(
        "Features of models that were trained differently need fewer dimensions.",
        "figure6",
        verdict(low, high, -1),
        f"Dimensions for the target by category: {listed}. Rank correlation with divergence: "
        f"{_number(r, low, high)}.",
    )


def diverse_pairs_transfer(downstream: pd.DataFrame) -> Claim:
    """Correlation over pairs of mean average precision and inconsistency, and the best's rank."""
    rows = downstream[downstream["what"] == "pair"]
    r, low, high = correlation(rows["error_inconsistency"], rows["average_precision"])
    claim = "On a further task, the best pair of models is a diverse one."
    if rows.empty:
        return Claim(claim, "figure7", UNCLEAR, "There is no pair of models.")
    best = rows.loc[rows["average_precision"].idxmax()]
    below = float((rows["error_inconsistency"] < best["error_inconsistency"]).mean())
    holds = verdict(low, high)
    if (holds == YES and below < 0.5) or (holds == NO and below >= 0.5):
        holds = UNCLEAR
    return Claim(
        claim,
        "figure7",
        holds,
        f"Best pair: {best['name']}, mAP {100 * best['average_precision']:.1f} % "
        f"({100 * best['average_precision_low']:.1f} to "
        f"{100 * best['average_precision_high']:.1f}), more inconsistent than {100 * below:.0f} % "
        f"of {len(rows)} pairs. Correlation of mAP and inconsistency: {_number(r, low, high)}.",
    )


def _number(value: float, low: float, high: float) -> str:
    if np.isnan(value):
        return "not known (too few models, or all alike)"
    return f"{value:.2f} ({low:.2f} to {high:.2f})".replace("-", "−")


def _points(value: float, low: float, high: float) -> str:
    text = f"{100 * value:+.2f} points"
    if not np.isnan(low):
        text += f" ({100 * low:+.2f} to {100 * high:+.2f})"
    return text.replace("-", "−")
