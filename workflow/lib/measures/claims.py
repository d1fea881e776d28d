"""The paper's claims, each asked of a study's tables: a number, how surely it is not 0, and why.

What each asks is in its function; `verdicts.judge` says which hold.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflow.lib.measures import resampling
from workflow.lib.measures.bases import (
    Compared,
    X,
    average,
    class_heterogeneity,
    resample_images,
    rows_of,
)
from workflow.lib.measures.feature_gains import gains_over_images, rights, shared_gains
from workflow.lib.measures.resampling import (
    Estimate,
    network_p,
    pearson,
    ranks,
    resampled,
    residuals,
)
from workflow.lib.measures.statistics import bend, correlation
from workflow.lib.measures.verdicts import Finding
from workflow.lib.study.categories import CATEGORIES, ORDER

BEND = 0.05  # of the variance: what a parabola explains beyond a line that still is a line
COLUMNS = (X, "error_consistency", "improvement", "conversion_rate")
"""Quantities of pairs that claims ask about."""


@dataclass(frozen=True)
class Answers:
    """What each model gets right of the test images.

    Attributes
    ----------
    models : list of str
        Keys.
    right : ndarray of bool, shape (models, images)
    labels : ndarray of int, shape (images,)
    """

    models: list[str]
    right: np.ndarray
    labels: np.ndarray


def main_pairs(pairs: pd.DataFrame, combination: str) -> pd.DataFrame:
    """Pairs of the base and another main model, of one combination, with the divergence's rank."""
    rows = pairs[pairs["with_base"] & pairs["main"] & (pairs["combination"] == combination)]
    return rows.assign(rank=rows["category"].map(CATEGORIES.index))


def inconsistency_grows(compared: Compared, answers: Answers | None = None) -> Finding:
    """Spearman's correlation of inconsistency with the rank of the category, given accuracy.

    Weaker models are more inconsistent with anything, so that the correlation must be there both by
    itself and once lines on the ranks of the accuracies are taken off; p is the larger one.
    """
    columns = [X, *(["accuracy"] if "accuracy" in compared.values else [])]
    known = [each for each in (*columns, "error_consistency") if each in compared.values]
    images = _images(compared, answers)

    def ask(column: str, given: Sequence[str] = ()) -> Estimate:
        def prepare(values: resampling.Arrays) -> tuple[np.ndarray, np.ndarray]:
            x, y = ranks(values["rank"]), ranks(values[column])
            for other in given:
                x, y = (residuals(side, ranks(values[other])) for side in (x, y))
            return x, y

        values = compared.of(column, *given)
        return resampled(values, prepare, pearson, least=5 + len(given), images=images)

    plain = ask(X)
    given = ask(X, ["accuracy"]) if "accuracy" in columns else plain
    kappa = ask("error_consistency") if "error_consistency" in known else None
    means = pd.Series(average(compared.values[X])).groupby(compared.rank).mean()
    listed = ", ".join(f"{CATEGORIES[int(rank)]} {100 * m:.1f} %" for rank, m in means.items())
    evidence = (
        f"Mean error inconsistency by category{_over(compared)}: "
        f"{listed or 'there is no other model'}. Rank correlation with divergence over "
        f"{len(compared.models)} models: {_number(plain)}"
    )
    if given is not plain:
        evidence += f"; given their accuracy {_number(given)}"
    if kappa:
        evidence += f"; of kappa, which accuracy hardly moves, {_number(kappa)}"
    same = given.value * plain.value > 0 or np.isnan(given.value)
    p = plain.p if np.isnan(given.p) else max(plain.p, given.p)
    return Finding(
        "The more a model's training differs from the base's, the more their errors differ.",
        "figure1",
        plain.value,
        p,
        evidence + ".",
        plain.agree and same and (given.agree or np.isnan(given.value)),
    )


def improvement_is_linear(compared: Compared) -> Finding:
    """Slope of improvement on inconsistency, above that of a constant conversion rate, and a line.

    Improvement is inconsistency x (conversion rate - 1/2), plus what the ensemble rescues of the
    images that both get wrong. So it grows with inconsistency whatever models do, by the mean
    conversion rate less 1/2; asked is what comes on top.
    """
    values = compared.of(X, "improvement", "conversion_rate")

    def prepare(drawn: resampling.Arrays) -> tuple[np.ndarray, np.ndarray]:
        x = drawn[X]
        constant = drawn["conversion_rate"].mean(axis=-1, keepdims=True) - 0.5
        return x, drawn["improvement"] - constant * x

    def prepare_plain(drawn: resampling.Arrays) -> tuple[np.ndarray, np.ndarray]:
        return drawn[X], drawn["improvement"]

    excess = resampled(values, prepare, resampling.slope)
    whole = resampled(compared.of(X, "improvement"), prepare_plain, resampling.slope)
    x, y = average(values[X]), average(values["improvement"])
    r, low, high = correlation(x, y)
    known = ~(np.isnan(x) | np.isnan(y))
    share, p = bend(x[known], y[known])
    constant = whole.value - excess.value
    evidence = (
        f"Slope {_number(whole)} points of accuracy for one of inconsistency{_over(compared)}, of "
        f"which a constant conversion rate would give {_signed(constant, '')}; above that "
        f"{_number(excess)}. r = {_number(Estimate(r, low, high, p))}"
    )
    if not np.isnan(share):
        evidence += f"; a parabola explains {100 * share:.1f} % more of the variance (p = {p:.2g})"
    return Finding(
        "What an ensemble with the base gains grows linearly with the inconsistency of errors, and "
        "faster than a constant conversion rate would make it.",
        "figure2",
        excess.value,
        excess.p,
        evidence + ".",
        excess.agree,
        not share > BEND,
    )


def conversion_grows(compared: Compared) -> Finding:
    """Pearson's correlation of conversion rate and inconsistency, over main models."""
    values = compared.of(X, "conversion_rate")
    found = resampled(values, lambda drawn: (drawn[X], drawn["conversion_rate"]), pearson)
    rates = average(values["conversion_rate"])
    evidence = (
        f"Correlation of conversion rate and inconsistency{_over(compared)}: {_number(found)}"
    )
    if not np.isnan(rates).all():
        evidence += (
            f"; conversion rates from {100 * np.nanmin(rates):.0f} to "
            f"{100 * np.nanmax(rates):.0f} %"
        )
    return Finding(
        "The more inconsistent the errors, the larger the share of them that the ensemble mends.",
        "figure2",
        found.value,
        found.p,
        evidence + ".",
        found.agree,
    )


def models_specialise(compared: Compared, answers: Answers) -> Finding:
    """Heterogeneity over classes of who is right, of other models above that of reseeded ones.

    Two networks that differ by their seed alone specialise too, by chance of their training: they
    are what others must exceed.
    """
    rows = [rows_of(answers.models, keys) for keys in (compared.bases, compared.models["model"])]
    value = class_heterogeneity(answers.right, answers.labels, *rows)
    reseeded = (compared.models["category"] == "reinit").to_numpy()
    group = np.broadcast_to((~reseeded).astype(float), value.shape)
    found = resampled(
        {"group": group, "value": value},
        lambda drawn: (drawn["group"], drawn["value"]),
        resampling.slope,
    )
    means = pd.Series(average(value)).groupby(compared.rank).mean()
    listed = ", ".join(f"{CATEGORIES[int(rank)]} {mean:.3f}" for rank, mean in means.items())
    known = len(compared.bases) > 1 and reseeded.any()
    more = f"above reseeded ones {_number(found, 3)}" if known else "there is no reseeded pair"
    return Finding(
        "Models that were trained differently specialise in different classes, more than models "
        "that differ by their seed.",
        "figure4",
        found.value if known else np.nan,
        found.p if known else np.nan,
        "Of the images that exactly one of a pair gets right, how unevenly classes share them out "
        f"(chi-squared over classes as Cramér's V², corrected for chance){_over(compared)}: "
        f"{listed}; {more}.",
        found.agree,
    )


def low_accuracy_helps(weaker: pd.DataFrame, names: Mapping[str, str]) -> Finding:
    """Gain on test images from a weaker model, with model and weights chosen on held-out images.

    The interval is over test images, which all strong models share: each image counts by its mean
    over them.
    """

    def of(weights: str) -> tuple[pd.DataFrame, pd.Series]:
        rows = weaker[weaker["weights"] == weights]
        return rows[rows["what"] == "base"], rows[rows["what"] == "mean"].iloc[0]

    rows, mean = of("chosen")
    _, equal_mean = of("equal")
    listed = "; ".join(
        f"{names[row.base]} with {100 * row.weight:.0f} % of {names[row.model]} "
        f"{_signed(100 * row.gain)}"
        for row in rows.itertuples()
    )
    return Finding(
        "Models of lower accuracy make models of high accuracy better.",
        "figure5",
        float(mean["gain"]),
        float(mean["p"]),
        "What the best weaker model adds to a strong one on test images, it and its weight chosen "
        f"on held-out images, over {len(rows)} strong models: {_points(mean)}: {listed}. At equal "
        f"weights, {_points(equal_mean)}.",
        bool((np.sign(rows["gain"]) == np.sign(mean["gain"])).all()),
    )


def combined_features_win(
    features: pd.DataFrame, right: Mapping[str, Mapping[str, np.ndarray]]
) -> Finding:
    """Accuracy of half of both models' features, minus the better of either alone, over models.

    The interval is over models, over bases and over test images, which all probes share.

    Parameters
    ----------
    features : DataFrame
        As figure 6 draws them.
    right : mapping of str to mapping of str to ndarray
        Of each model, `share` and `base` (probes,) and `right` (probes, images).
    """
    claim = (
        "Features of two models together beat those of either, at the same number of dimensions."
    )
    shares = sorted({float(s) for own in right.values() for s in own["share"]})
    middle = [share for share in shares if 0 < share < 100]
    if not middle or not {0, 100} <= {*shares}:
        listed = "The shares 0 and 100 and one in between are needed."
        return Finding(claim, "figure6", np.nan, np.nan, listed)
    share = min(middle, key=lambda share: abs(share - 50))
    known = list(right.values())
    parts = rights(known, share)
    gains = shared_gains(*parts)
    bases = sorted({base for own in known for base in own["base"].tolist()})
    with_each = [shared_gains(*rights(known, share, base)).mean() for base in bases]
    gain, low, high, p = gains_over_images(parts, gains, with_each)
    rows = features[(features["panel"] == "combined") & (features["what"] == "model")]
    named = rows.drop_duplicates("model").set_index("model")["name"]
    best = int(np.argmax(gains))
    return Finding(
        claim,
        "figure6",
        gain,
        p,
        f"With {share:g} % of the base's features, over the better of both models' own: "
        f"{_points({'gain': gain, 'gain_low': low, 'gain_high': high})}, mean over {len(gains)} "
        f"models{f' and {len(bases)} bases' if len(bases) > 1 else ''}; the interval is over these "
        f"and test images; the best is {named[list(right)[best]]} ({_signed(100 * gains[best])}).",
        bool((np.sign(with_each) == np.sign(gain)).all()),
    )


def divergence_compresses(features: pd.DataFrame, probes: pd.DataFrame) -> Finding:
    """Rank correlation of the dimensions needed with divergence, below zero, over models.

    A model that never reaches the target counts as needing more than any other. Where most probes
    take the weakest penalty that is offered, weaker ones might turn the result: it stays unclear.

    Parameters
    ----------
    features : DataFrame
        As figure 6 draws them.
    probes : DataFrame
        Tables of the rule `features`, one below the other.
    """
    rows = features[(features["panel"] == "needed") & (features["what"] == "model")]
    most = rows["dimensions"].max()
    needed = rows["dimensions"].fillna(1.0 if np.isnan(most) else 2 * most)
    values = {
        "rank": rows["category"].map(ORDER.index).to_numpy(float)[None],
        "needed": needed.to_numpy(float)[None],
    }
    found = resampled(
        values, lambda own: (ranks(own["rank"]), ranks(-own["needed"])), pearson, least=5
    )
    means = rows.groupby("category", sort=False)["dimensions"].mean()
    listed = ", ".join(
        f"{name} {value:.0f}" if pd.notna(value) else f"{name} never"
        for name, value in means.items()
    )
    cut = probes["l2"] <= probes["l2"].min() * (1 + 1e-9)
    return Finding(
        "Features of models that were trained differently need fewer dimensions.",
        "figure6",
        found.value,
        found.p,
        f"Dimensions for the target by category: {listed}. Rank correlation of how few with "
        f"divergence: {_number(found)}. {cut.sum()} of {len(probes)} probes take the weakest "
        f"penalty, {probes['l2'].min():g}.",
        True,
        cut.mean() <= 0.5,
    )


def diverse_pairs_transfer(downstream: pd.DataFrame) -> Finding:
    """Correlation over pairs of mAP and inconsistency, given the members' own mAP, and the best.

    Pairs that share a model are not independent: models are permuted (`network_p`).
    """
    rows = downstream[downstream["what"] == "pair"]
    claim = "On a further task, the best pair of models is a diverse one."
    if rows.empty:
        return Finding(claim, "figure7", np.nan, np.nan, "There is no pair of models.")
    alone = downstream[downstream["what"] == "model"].set_index("model_1")["average_precision"]
    keys = alone.index.tolist()
    shape = len(keys), len(keys)
    x, y = np.full(shape, np.nan), np.full(shape, np.nan)
    for row in rows.to_dict("records"):
        i, j = keys.index(row["model_1"]), keys.index(row["model_2"])
        x[i, j] = x[j, i] = row["error_inconsistency"]
        y[i, j] = y[j, i] = row["average_precision"]
    own = alone.to_numpy(float)
    given = [np.maximum.outer(own, own), np.minimum.outer(own, own)]
    upper = np.triu_indices(len(keys), 1)
    whole = not (np.isnan(x[upper]).any() or np.isnan(y[upper]).any())
    r, p = network_p(x, y, given) if whole else (np.nan, np.nan)
    best = rows.loc[rows["average_precision"].idxmax()]
    below = float((rows["error_inconsistency"] < best["error_inconsistency"]).mean())
    found = (
        "is not known (too few models, or all alike)"
        if np.isnan(r)
        else f"is {r:.2f}".replace("-", "−")
    )
    found = found if np.isnan(p) else f"{found} (p = {p:.2g})"
    return Finding(
        claim,
        "figure7",
        r,
        p,
        f"Best pair: {best['name']}, mAP {100 * best['average_precision']:.1f} % "
        f"({100 * best['average_precision_low']:.1f} to "
        f"{100 * best['average_precision_high']:.1f}), more inconsistent than {100 * below:.0f} % "
        f"of {len(rows)} pairs. Given both members' own mAP, the correlation of mAP and "
        f"inconsistency {found}, by permuting {len(keys)} models.",
        (below >= 0.5) == (r > 0),
    )


def _images(
    compared: Compared, answers: Answers | None
) -> Callable[[int, np.random.Generator], resampling.Arrays] | None:
    """Draw test images for the models compared, if it is known what they get right."""
    if answers is None or not {*compared.bases, *compared.models["model"]} <= {*answers.models}:
        return None
    bases = rows_of(answers.models, compared.bases)
    models = rows_of(answers.models, compared.models["model"])
    drawn: dict[int, resampling.Arrays] = {}

    def draw(draws: int, rng: np.random.Generator) -> resampling.Arrays:
        if draws not in drawn:  # the same images whatever is asked
            drawn[draws] = resample_images(answers.right, bases, models, draws, rng)
        return drawn[draws]

    return draw


def _over(compared: Compared) -> str:
    return f", mean over {len(compared.bases)} bases" if len(compared.bases) > 1 else ""


def _number(found: Estimate, digits: int = 2) -> str:
    if np.isnan(found.value):
        return "not known (too few models, or all alike)"
    value, low, high = (f"{x:.{digits}f}" for x in (found.value, found.low, found.high))
    return f"{value} ({low} to {high})".replace("-", "−")


def _signed(value: float, sign: str = "+") -> str:
    return f"{value:{sign}.2f}".replace("-", "−")


def _points(row: Mapping) -> str:
    text = f"{100 * row['gain']:+.2f} points"
    if not np.isnan(row["gain_low"]):
        text += f" ({100 * row['gain_low']:+.2f} to {100 * row['gain_high']:+.2f})"
    return text.replace("-", "−")
