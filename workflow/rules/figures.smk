"""From tables of pairs to the figures that published numbers are enough for."""


rule comparison:
    """Choose the main models as compared with the base, and average each category."""
    input:
        pairs="<results>/pairs.tsv",
        models="<results>/models.tsv",
        published=f"results/{STUDY.alongside.name}/pairs.tsv" if STUDY.paper_rows else [],
    output:
        figure1="<results>/figures/figure1.tsv",
        figure2="<results>/figures/figure2.tsv",
        figure8="<results>/figures/figure8.tsv",
    log:
        "<results>/logs/comparison.log",
    benchmark:
        "<results>/benchmarks/comparison.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={"combination": STUDY.ensemble, "bases": STUDY.bases},
        code=fingerprint("comparison"),
    script:
        "../scripts/comparison.py"


rule figure1:
    """Error inconsistency with the base by category."""
    input:
        table="<results>/figures/figure1.tsv",
    output:
        multiext("<results>/figures/figure1", pdf=".pdf", svg=".svg", png=".png"),
    log:
        "<results>/logs/figure1.log",
    benchmark:
        "<results>/benchmarks/figure1.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        code=fingerprint("figures/figure1"),
    script:
        "../scripts/figures/figure1.py"


rule figure2:
    """What an ensemble with the base gains against how inconsistent the errors are."""
    input:
        table="<results>/figures/figure2.tsv",
    output:
        multiext("<results>/figures/figure2", pdf=".pdf", svg=".svg", png=".png"),
    log:
        "<results>/logs/figure2.log",
    benchmark:
        "<results>/benchmarks/figure2.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={"combination": STUDY.ensemble, "label": STUDY.pairs},
        code=fingerprint("figures/figure2"),
    script:
        "../scripts/figures/figure2.py"


rule figure8:
    """Figure 1, with what both get right and what both get wrong."""
    input:
        table="<results>/figures/figure8.tsv",
    output:
        multiext("<results>/figures/figure8", pdf=".pdf", svg=".svg", png=".png"),
    log:
        "<results>/logs/figure8.log",
    benchmark:
        "<results>/benchmarks/figure8.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        code=fingerprint("figures/figure8"),
    script:
        "../scripts/figures/figure8.py"
