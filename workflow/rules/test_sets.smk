"""From further test sets to what models have in common on them; nothing is fitted or chosen there.

Each has a folder, results/<study>/test_sets/<set>/, in which files are called as those of the test
images are: dataset/manifest.tsv, outputs/<model>/test.h5, pairs.tsv, models.tsv, scores.tsv …
"""

from workflow.lib.data import test_sets


wildcard_constraints:
    set="|".join(STUDY.test_sets),


if workflow.is_main_process:
    for own in STUDY.test_sets.values():
        for message in test_sets.warnings(own, STUDY.dataset.settings):
            logger.warning(message)


def outputs_on(test_set, split="test"):
    """Files of outputs of the models that can take a test set, on it or on the test images."""
    where = f"test_sets/{test_set}/" if split == "test" and test_set in STUDY.shown_sets else ""
    return expand(
        "<results>/{where}outputs/{model}/test.h5", where=where, model=STUDY.taking(test_set)
    )


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


use rule images as images_of_set with:
    """Decode, perhaps corrupt, resize and crop the images of a test set once."""
    input:
        manifest="<results>/test_sets/{set}/dataset/manifest.tsv",
    output:
        array="<results>/test_sets/{set}/images/{geometry}.npy",
    log:
        "<results>/logs/images_of_set/{set}/{geometry}.log",
    benchmark:
        "<results>/benchmarks/images_of_set/{set}/{geometry}.tsv"
    params:
        settings=lambda w: {
            "dataset": {"kind": STUDY.dataset.kind, "path": STUDY.dataset.path},
            "geometry": STUDY.geometries[w.geometry],
            "split": "test",
            "test_set": STUDY.test_sets[w.set],
        },
        code=fingerprint("images"),


rule extract_set:
    """Run all models over a test set; one that it has been run with before is not run again."""
    input:
        manifest="<results>/test_sets/{set}/dataset/manifest.tsv",
        classes="<results>/dataset/manifest.tsv",
        checkpoints=lambda w: expand(
            "<results>/models/{model}/checkpoint.safetensors", model=STUDY.taking(w.set)
        ),
        images=lambda w: expand(
            "<results>/test_sets/{set}/images/{geometry}.npy",
            set=w.set,
            geometry=STUDY.geometries_of(STUDY.taking(w.set)),
        ),
    output:
        files=expand(
            "<results>/test_sets/{{set}}/outputs/{model}/test.h5", model=STUDY.with_weights
        ),
    log:
        "<results>/logs/extract_set/{set}.log",
    benchmark:
        "<results>/benchmarks/extract_set/{set}.tsv"
    wildcard_constraints:
        set="|".join(STUDY.shown_sets) or "-",
    conda:
        "../../envs/workflow.yaml"
    params:
        settings=lambda w: {
            "models": STUDY.with_weights,
            "recipes": [STUDY.networks[model].recipe for model in STUDY.with_weights],
            "geometries": [STUDY.networks[model].geometry for model in STUDY.with_weights],
            "extraction": STUDY.extraction,
        },
        code=fingerprint("extract_set"),
    script:
        "../scripts/extract_set.py"


rule counts_on_set:
    """Count what pairs of models have in common there, and on the test images beside it."""
    input:
        study="<results>/dataset/manifest.tsv",
        manifest="<results>/test_sets/{set}/dataset/manifest.tsv",
        calibration="<results>/calibration.tsv",
        outputs=lambda w: outputs_on(w.set),
        clean=lambda w: outputs_on(w.set, "clean"),
    output:
        counts="<results>/test_sets/{set}/counts.npz",
        answers="<results>/test_sets/{set}/answers.npz",
        clean_counts="<results>/test_sets/{set}/clean_counts.npz",
    log:
        "<results>/logs/counts_on_set/{set}.log",
    benchmark:
        "<results>/benchmarks/counts_on_set/{set}.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 4
    params:
        settings=lambda w: {
            "models": STUDY.taking(w.set),
            "relabelled": w.set not in STUDY.shown_sets,
        },
        code=fingerprint("counts_on_set"),
    script:
        "../scripts/counts_on_set.py"


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


use rule scores as scores_on_set with:
    """Score all ensembles under every combination there, as they were fitted."""
    input:
        manifest="<results>/test_sets/{set}/dataset/manifest.tsv",
        held=lambda w: [] if w.set in STUDY.shown_sets else "<results>/dataset/manifest.tsv",
        calibration="<results>/calibration.tsv",
        weights="<results>/combining/weights.tsv",
        recommended="<results>/selection/recommendations.tsv",
        outputs=lambda w: outputs_on(w.set),
    output:
        table="<results>/test_sets/{set}/scores.tsv",
        risks="<results>/test_sets/{set}/risks.tsv",
    log:
        "<results>/logs/scores_on_set/{set}.log",
    benchmark:
        "<results>/benchmarks/scores_on_set/{set}.tsv"
    params:
        settings=lambda w: {"models": STUDY.taking(w.set), "split": "test", "name": w.set},
        code=fingerprint("scores"),


rule cascades_on_set:
    """Run the cascades there, at the thresholds that were chosen."""
    input:
        study="<results>/dataset/manifest.tsv",
        manifest="<results>/test_sets/{set}/dataset/manifest.tsv",
        calibration="<results>/calibration.tsv",
        cascades="<results>/cascades.tsv",
        outputs=lambda w: outputs_on(w.set),
    output:
        table="<results>/test_sets/{set}/cascades.tsv",
    log:
        "<results>/logs/cascades_on_set/{set}.log",
    benchmark:
        "<results>/benchmarks/cascades_on_set/{set}.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 4
    params:
        settings=lambda w: {
            "models": STUDY.taking(w.set),
            "relabelled": w.set not in STUDY.shown_sets,
        },
        code=fingerprint("cascades_on_set"),
    script:
        "../scripts/cascades_on_set.py"


rule robustness:
    """Set all test sets side by side: models, recommended ensembles, and what holds on each."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        models="<results>/models.tsv",
        recommended="<results>/recommendations.tsv",
        own_scores="<results>/scores.tsv",
        on_models=expand("<results>/test_sets/{set}/models.tsv", set=STUDY.test_sets),
        on_pairs=expand("<results>/test_sets/{set}/pairs.tsv", set=STUDY.test_sets),
        clean_pairs=expand("<results>/test_sets/{set}/clean_pairs.tsv", set=STUDY.test_sets),
        scores=expand("<results>/test_sets/{set}/scores.tsv", set=STUDY.test_sets),
        cascades=expand("<results>/test_sets/{set}/cascades.tsv", set=STUDY.test_sets),
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
