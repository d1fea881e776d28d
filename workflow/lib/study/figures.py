"""The register of figures: where each stands in the report, and which studies can draw it.

A figure is a rule, a script in `workflow/scripts/figures`, a caption in `workflow/report` and a
line of `FIGURES`, all of one name. The rules read this module, so it imports nothing that draws.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

SECTIONS = {
    "choose": (
        "Which models to combine",
        "Chosen on held-out images; accuracies and gains are those on the test images.",
    ),
    "different": (
        "Which models are different",
        "Whose errors are not those of the others.",
    ),
    "models": (
        "Models",
        "Models differ from the base along one axis, their category. Those whose accuracy lies in "
        "the band enter the main analyses, so that differences come from the training and not from "
        "strength.",
    ),
    "inconsistency": (
        "Error inconsistency",
        "The error inconsistency of two models is the share of the test images that exactly one of "
        "them gets right.",
    ),
    "specialisation": (
        "Specialisation",
        "Where two models disagree, the more confident one decides what their ensemble says.",
    ),
    "ensembles": (
        "Greedy ensembles",
        "What is gained by adding models to a strong one, step by step.",
    ),
    "features": (
        "Features",
        "What models have learnt, beyond their predictions: their features, combined, compressed, "
        "and put to another task.",
    ),
    "robustness": (
        "Other images",
        "Models and ensembles on further test sets, on which nothing was fitted or chosen.",
    ),
    "sensitivity": (
        "Sensitivity",
        "How the numbers depend on choices that the paper leaves open.",
    ),
    "further": ("Further results", ""),
}
"""Title and first words of each section of the report, in order."""


SEVERAL = 3
"""Models of which a figure over models has more, the base among them."""


class Figure(NamedTuple):
    """A figure, drawn for every study that has what it needs.

    Attributes
    ----------
    name : str
        Stem of its rule, script, caption and files.
    section : str
        Of `SECTIONS`, where it stands in the order of `FIGURES`, above the section's tables.
    title : str
        Short, as the report's headings and links say it.
    needs : callable, optional
        Takes a completed study, and says whether it has what the figure is drawn of.
    published : bool
        Whether the published numbers of pairs are enough to draw it.
    """

    name: str
    section: str
    title: str
    needs: Callable[[Any], object] | None = None
    published: bool = False


def has_several(study: Any) -> bool:
    """Whether a study has models enough for means and lines over models to say something."""
    return len(study.models) > SEVERAL


FIGURES = (
    Figure("pareto", "choose", "Accuracy against cost", lambda study: study.has_logits),
    Figure("risk", "choose", "Risk and coverage", lambda study: study.has_logits),
    Figure("map", "different", "Map", lambda study: len(study.models) > 2),
    Figure("clusters", "different", "Clusters", lambda study: len(study.models) > 2),
    Figure("votes", "different", "Votes", lambda study: not study.has_logits),
    Figure("nats", "different", "Added nats", lambda study: study.has_logits),
    Figure("figure1", "inconsistency", "Figure 1", has_several, published=True),
    Figure(
        "figure2",
        "inconsistency",
        "Figure 2",
        lambda study: has_several(study) and study.has_gains,
        published=True,
    ),
    Figure("figure8", "inconsistency", "Figure 8", has_several, published=True),
    Figure("figure3", "specialisation", "Figure 3", lambda study: study.has_angles),
    Figure("figure4", "specialisation", "Figure 4", lambda study: study.pairs),
    Figure(
        "figure5", "ensembles", "Figure 5", lambda study: study.has_logits and study.greedy.bases
    ),
    Figure("figure6", "features", "Figure 6", lambda study: study.features.models),
    Figure("figure7", "features", "Figure 7", lambda study: study.downstream),
    Figure(
        "shift",
        "robustness",
        "Categories on other images",
        lambda study: study.test_sets and has_several(study),
    ),
    Figure("effective", "robustness", "Effective robustness", lambda study: study.test_sets),
    Figure(
        "sensitivity",
        "sensitivity",
        "Sensitivity",
        lambda study: has_several(study) and study.has_logits,
    ),
)

PUBLISHED = [figure.name for figure in FIGURES if figure.published]
"""Names of the figures of a study of published numbers."""


def drawable(study: Any) -> list[str]:
    """Name the figures that a study on a dataset can draw.

    Parameters
    ----------
    study
        As `workflow.lib.study.complete.Study`.

    Returns
    -------
    list of str
        In the order of the report.
    """
    return [figure.name for figure in FIGURES if not figure.needs or figure.needs(study)]
