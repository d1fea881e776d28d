"""From networks and images of further test sets to counts, scores and cascades on each."""

from workflow.lib.measures.accuracy import POPULATION, claims_on, further_test_set


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
        checkpoints=expand(
            "<results>/models/{model}/checkpoint.safetensors", model=STUDY.with_weights
        ),
        images=expand(
            "<results>/test_sets/{{set}}/images/{geometry}.npy",
            geometry=STUDY.geometries_of(STUDY.with_weights),
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
        settings={
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
        outputs=lambda w: expand("<results>/{file}", file=STUDY.outputs_on(w.set)),
        clean=lambda w: expand("<results>/{file}", file=STUDY.outputs_on(w.set, clean=True)),
    output:
        counts="<results>/test_sets/{set}/counts.npz",
        answers="<results>/test_sets/{set}/answers.npz",
        clean_counts="<results>/test_sets/{set}/clean_counts.npz",
        correct="<results>/test_sets/{set}/correct.tsv",
    log:
        "<results>/logs/counts_on_set/{set}.log",
    benchmark:
        "<results>/benchmarks/counts_on_set/{set}.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 4
    params:
        settings=lambda w: {"models": STUDY.taking(w.set)},
        code=fingerprint("counts_on_set"),
    script:
        "../scripts/counts_on_set.py"


use rule scores as scores_on_set with:
    """Score all ensembles under every combination there, as they were fitted."""
    input:
        manifest="<results>/test_sets/{set}/dataset/manifest.tsv",
        held=lambda w: [] if w.set in STUDY.shown_sets else "<results>/dataset/manifest.tsv",
        calibration="<results>/calibration.tsv",
        weights="<results>/combining/weights.tsv",
        recommended="<results>/selection/recommendations.tsv",
        outputs=lambda w: expand("<results>/{file}", file=STUDY.outputs_on(w.set)),
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
        manifest="<results>/test_sets/{set}/dataset/manifest.tsv",
        held=lambda w: [] if w.set in STUDY.shown_sets else "<results>/dataset/manifest.tsv",
        calibration="<results>/calibration.tsv",
        cascades="<results>/cascades.tsv",
        outputs=lambda w: expand("<results>/{file}", file=STUDY.outputs_on(w.set)),
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
        settings=lambda w: {"models": STUDY.taking(w.set)},
        code=fingerprint("cascades_on_set"),
    script:
        "../scripts/cascades_on_set.py"


use rule accuracy as accuracy_on_set with:
    """Compare public checkpoints with what is published of them on a known test set."""
    input:
        correct="<results>/test_sets/{set}/correct.tsv",
    output:
        table="<results>/test_sets/{set}/accuracy.tsv",
    log:
        "<results>/logs/accuracy_on_set/{set}.log",
    benchmark:
        "<results>/benchmarks/accuracy_on_set/{set}.tsv"
    params:
        settings=lambda w: {
            "claims": claims_on(STUDY, STUDY.test_sets[w.set]),
            "population": POPULATION[further_test_set(STUDY, STUDY.test_sets[w.set])],
            "tolerance": STUDY.accuracy_tolerance,
        },
        code=fingerprint("accuracy"),
