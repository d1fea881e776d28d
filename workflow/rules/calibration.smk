"""From logits to temperatures."""


rule calibration:
    """Fit one temperature for each model on the calibration split."""
    input:
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
