"""From further test sets to what models have in common on them; nothing is fitted or chosen there.

Each has a folder, results/<study>/test_sets/<set>/, in which files are called as those of the test
images are: dataset/manifest.tsv, outputs/<model>/test.h5, pairs.tsv, models.tsv, scores.tsv …
"""

from workflow.lib.data import test_sets
from workflow.lib.measures.accuracy import gated_sets


wildcard_constraints:
    set="|".join(STUDY.test_sets),


if workflow.is_main_process:
    for own in STUDY.test_sets.values():
        for message in test_sets.warnings(own, STUDY.dataset.settings):
            logger.warning(message)


rule test_set:
    """Find the images of a further test set and what they show, and the test images beside them."""
    input:
        study="<results>/dataset/manifest.tsv",
        source=lambda w: test_sets.files(STUDY.test_sets[w.set], STUDY.dataset.settings),
    output:
        manifest="<results>/test_sets/{set}/dataset/manifest.tsv",
    log:
        "<results>/logs/test_set/{set}.log",
    benchmark:
        "<results>/benchmarks/test_set/{set}.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 8
    params:
        settings=lambda w: {
            "settings": STUDY.test_sets[w.set],
            "dataset": {"kind": STUDY.dataset.kind, "path": STUDY.dataset.path},
        },
        listing=lambda w: test_sets.listing(STUDY.test_sets[w.set], STUDY.dataset.settings),
        code=fingerprint("test_set"),
    script:
        "../scripts/test_set.py"


rule pairs_on_set:
    """Describe all pairs of models there, and the models, beside what they are on the test images."""
    input:
        counts="<results>/test_sets/{set}/counts.npz",
        clean_counts="<results>/test_sets/{set}/clean_counts.npz",
        answers="<results>/test_sets/{set}/answers.npz",
        models="<results>/models.tsv",
    output:
        pairs="<results>/test_sets/{set}/pairs.tsv",
        clean_pairs="<results>/test_sets/{set}/clean_pairs.tsv",
        models_table="<results>/test_sets/{set}/models.tsv",
    log:
        "<results>/logs/pairs_on_set/{set}.log",
    benchmark:
        "<results>/benchmarks/pairs_on_set/{set}.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        code=fingerprint("pairs_on_set"),
    script:
        "../scripts/pairs_on_set.py"


rule robustness:
    """Set all test sets side by side: models, recommended ensembles, and what holds on each."""
    input:
        # Without a name, since they are only to come first.
        lambda w: expand("<results>/test_sets/{set}/accuracy.tsv", set=gated_sets(STUDY)),
        manifest="<results>/dataset/manifest.tsv",
        models="<results>/models.tsv",
        recommended="<results>/recommendations.tsv" if STUDY.has_logits else [],
        own_scores="<results>/scores.tsv" if STUDY.has_logits else [],
        on_models=expand("<results>/test_sets/{set}/models.tsv", set=STUDY.test_sets),
        on_pairs=expand("<results>/test_sets/{set}/pairs.tsv", set=STUDY.test_sets),
        clean_pairs=expand("<results>/test_sets/{set}/clean_pairs.tsv", set=STUDY.test_sets),
        scores=expand("<results>/test_sets/{set}/scores.tsv", set=STUDY.scored_sets),
        cascades=expand("<results>/test_sets/{set}/cascades.tsv", set=STUDY.scored_sets),
    output:
        table="<results>/robustness.tsv",
        holds="<results>/holds.tsv",
        shift="<results>/figures/shift.tsv",
        effective="<results>/figures/effective.tsv",
    log:
        "<results>/logs/robustness.log",
    benchmark:
        "<results>/benchmarks/robustness.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={
            "sets": list(STUDY.test_sets),
            "bases": STUDY.bases,
            "combination": STUDY.ensemble,
        },
        code=fingerprint("robustness"),
    script:
        "../scripts/robustness.py"


rule shift:
    """Error inconsistency and improvement by category, on the test images and on each test set."""
    input:
        table="<results>/figures/shift.tsv",
    output:
        multiext("<results>/figures/shift", pdf=".pdf", svg=".svg", png=".png"),
    log:
        "<results>/logs/shift.log",
    benchmark:
        "<results>/benchmarks/shift.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        code=fingerprint("figures/shift"),
    script:
        "../scripts/figures/shift.py"


rule effective:
    """Accuracy on each test set against that on the test images, and what is above the common line."""
    input:
        table="<results>/figures/effective.tsv",
    output:
        multiext("<results>/figures/effective", pdf=".pdf", svg=".svg", png=".png"),
    log:
        "<results>/logs/effective.log",
    benchmark:
        "<results>/benchmarks/effective.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        code=fingerprint("figures/effective"),
    script:
        "../scripts/figures/effective.py"
