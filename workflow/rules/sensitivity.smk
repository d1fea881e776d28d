"""From the study's choices to what others would have given."""


rule variants:
    """Compute the headline numbers under every variant of the choices that the paper leaves open."""
    input:
        counts="<results>/counts.npz",
        models="<results>/models.tsv",
        scores="<results>/scores.tsv",
        greedy="<results>/greedy.tsv" if "figure5" in STUDY.figures else [],
        features=expand("<results>/features/{model}.tsv", model=STUDY.features.models),
    output:
        table="<results>/variants.tsv",
    log:
        "<results>/logs/variants.log",
    benchmark:
        "<results>/benchmarks/variants.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={
            "chosen": {
                "combination": STUDY.ensemble,
                "temperature": "calibration",
                "protocol": STUDY.protocol,
                "statistic": STUDY.features.statistic,
                "direction": STUDY.features.direction,
            },
            "target": STUDY.features.target,
            "bases": STUDY.bases,
        },
        code=fingerprint("variants"),
    script:
        "../scripts/variants.py"


rule sensitivity:
    """How the headline numbers move with the choices that the paper leaves open."""
    input:
        variants="<results>/variants.tsv",
    output:
        multiext("<results>/figures/sensitivity", pdf=".pdf", svg=".svg", png=".png", tsv=".tsv"),
    log:
        "<results>/logs/sensitivity.log",
    benchmark:
        "<results>/benchmarks/sensitivity.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        code=fingerprint("figures/sensitivity"),
    script:
        "../scripts/figures/sensitivity.py"
