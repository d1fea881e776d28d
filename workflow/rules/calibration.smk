"""From logits to temperatures, once public checkpoints are as accurate as they should be."""

from workflow.lib.accuracy import POPULATION, claims, gated, test_set


rule accuracy:
    """Compare public checkpoints with their published accuracy; one that is off ends it here."""
    input:
        manifest="results/{study}/dataset/manifest.tsv",
        outputs=lambda w: expand(
            "results/{study}/outputs/{model}/test.h5",
            study=w.study,
            model=gated(STUDY),
        ),
    output:
        table="results/{study}/accuracy.tsv",
    log:
        "results/{study}/logs/accuracy.log",
    benchmark:
        "results/{study}/benchmarks/accuracy.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        claims=lambda w: claims(STUDY),
        population=lambda w: POPULATION[test_set(STUDY.dataset)],
        tolerance=lambda w: STUDIES[w.study]["accuracy_tolerance"],
        code=lambda w: fingerprint("workflow/scripts/accuracy.py"),
    script:
        "../scripts/accuracy.py"


rule calibration:
    """Fit one temperature for each model on the calibration split."""
    input:
        # Without a name, since it is only to come first.
        ancient(lambda w: (f"results/{w.study}/accuracy.tsv" if gated(STUDY) else [])),
        manifest="results/{study}/dataset/manifest.tsv",
        outputs=lambda w: expand(
            "results/{study}/outputs/{model}/calibration.h5",
            study=w.study,
            model=STUDIES[w.study]["models"],
        ),
    output:
        table="results/{study}/calibration.tsv",
    log:
        "results/{study}/logs/calibration.log",
    benchmark:
        "results/{study}/benchmarks/calibration.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        models=lambda w: list(STUDIES[w.study]["models"]),
        code=lambda w: fingerprint("workflow/scripts/calibration.py"),
    script:
        "../scripts/calibration.py"
