"""From the study's choices to what others would have given."""


rule variants:
    """Compute the headline numbers under every variant of the choices that the paper leaves open."""
    input:
        manifest="results/{study}/dataset/manifest.tsv",
        calibration="results/{study}/calibration.tsv",
        models="results/{study}/models.tsv",
        outputs=lambda w: expand(
            "results/{study}/outputs/{model}/test.h5",
            study=w.study,
            model=[k for k, m in STUDIES[w.study]["models"].items() if m["set"] == "main"],
        ),
        greedy=lambda w: expand(
            "results/{study}/greedy.tsv",
            study=[w.study] if "figure5" in STUDIES[w.study]["figures"] else [],
        ),
        features=lambda w: expand(
            "results/{study}/features/{model}.tsv",
            study=w.study,
            model=STUDIES[w.study]["features"]["models"],
        ),
    output:
        table="results/{study}/variants.tsv",
    log:
        "results/{study}/logs/variants.log",
    benchmark:
        "results/{study}/benchmarks/variants.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 4
    params:
        members=lambda w: [k for k, m in STUDIES[w.study]["models"].items() if m["set"] == "main"],
        chosen=lambda w: {
            "mean": STUDIES[w.study]["ensemble"],
            "protocol": STUDIES[w.study]["protocol"],
            "statistic": STUDIES[w.study]["features"]["statistic"],
            "direction": STUDIES[w.study]["features"]["direction"],
        },
        target=lambda w: STUDIES[w.study]["features"]["target"],
        code=fingerprint("variants"),
    script:
        "../scripts/variants.py"


rule sensitivity:
    """How the headline numbers move with the choices that the paper leaves open."""
    input:
        variants="results/{study}/variants.tsv",
    output:
        pdf="results/{study}/figures/sensitivity.pdf",
        svg="results/{study}/figures/sensitivity.svg",
        png="results/{study}/figures/sensitivity.png",
        tsv="results/{study}/figures/sensitivity.tsv",
    log:
        "results/{study}/logs/sensitivity.log",
    benchmark:
        "results/{study}/benchmarks/sensitivity.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        code=fingerprint("figures/sensitivity"),
    script:
        "../scripts/figures/sensitivity.py"
