"""From tables to figures, each with the table that it draws."""


rule figure1:
    """Error inconsistency with the base by category."""
    input:
        pairs="results/{study}/pairs.tsv",
    output:
        pdf="results/{study}/figures/figure1.pdf",
        svg="results/{study}/figures/figure1.svg",
        png="results/{study}/figures/figure1.png",
        tsv="results/{study}/figures/figure1.tsv",
    log:
        "results/{study}/logs/figure1.log",
    benchmark:
        "results/{study}/benchmarks/figure1.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        mean=lambda w: STUDIES[w.study]["ensemble"],
        code=fingerprint("figures/figure1"),
    script:
        "../scripts/figures/figure1.py"


rule figure2:
    """What an ensemble with the base gains against how inconsistent the errors are."""
    input:
        pairs="results/{study}/pairs.tsv",
    output:
        pdf="results/{study}/figures/figure2.pdf",
        svg="results/{study}/figures/figure2.svg",
        png="results/{study}/figures/figure2.png",
        tsv="results/{study}/figures/figure2.tsv",
    log:
        "results/{study}/logs/figure2.log",
    benchmark:
        "results/{study}/benchmarks/figure2.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        mean=lambda w: STUDIES[w.study]["ensemble"],
        label=lambda w: STUDIES[w.study]["pairs"],
        code=fingerprint("figures/figure2"),
    script:
        "../scripts/figures/figure2.py"


rule figure8:
    """Figure 1, with what both get right and what both get wrong."""
    input:
        pairs="results/{study}/pairs.tsv",
    output:
        pdf="results/{study}/figures/figure8.pdf",
        svg="results/{study}/figures/figure8.svg",
        png="results/{study}/figures/figure8.png",
        tsv="results/{study}/figures/figure8.tsv",
    log:
        "results/{study}/logs/figure8.log",
    benchmark:
        "results/{study}/benchmarks/figure8.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        mean=lambda w: STUDIES[w.study]["ensemble"],
        code=fingerprint("figures/figure8"),
    script:
        "../scripts/figures/figure8.py"
