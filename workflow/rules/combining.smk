"""From calibrated logits to combinations, their scores, and cascades.

Beside the streams that measures.smk counts, `weights` reads the calibration split once a step of
Newton's method and once more a fold, `scores` the test split once, and `cascades` each twice.
"""


rule weights:
    """Fit weights of all pairs and listed ensembles, and choose each one's combination."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        calibration="<results>/calibration.tsv",
        recommended="<results>/selection/recommendations.tsv",
        greedy="<results>/selection/greedy.tsv",
        outputs=expand("<results>/outputs/{model}/calibration.h5", model=STUDY.models),
    output:
        table="<results>/combining/weights.tsv",
    log:
        "<results>/logs/weights.log",
    benchmark:
        "<results>/benchmarks/weights.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 4
    params:
        settings={
            "models": list(STUDY.models),
            "named": STUDY.ensembles,
            "split": "calibration",
        },
        code=fingerprint("weights"),
    script:
        "../scripts/weights.py"


rule scores:
    """Score all of them under every combination on the test images."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        calibration="<results>/calibration.tsv",
        weights="<results>/combining/weights.tsv",
        recommended="<results>/selection/recommendations.tsv",
        outputs=expand("<results>/outputs/{model}/test.h5", model=STUDY.models),
    output:
        table="<results>/scores.tsv",
        risks="<results>/combining/risks.tsv",
    log:
        "<results>/logs/scores.log",
    benchmark:
        "<results>/benchmarks/scores.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 4
    params:
        settings={"models": list(STUDY.models), "split": "test"},
        code=fingerprint("scores"),
    script:
        "../scripts/scores.py"
