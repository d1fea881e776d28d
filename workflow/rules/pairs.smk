"""From calibrated logits to what each pair of models has in common, and gains together."""


rule pairs:
    """Compare and combine all pairs of models, streaming their logits, in one job."""
    input:
        manifest="results/{study}/dataset/manifest.tsv",
        calibration="results/{study}/calibration.tsv",
        outputs=lambda w: expand(
            "results/{study}/outputs/{model}/test.h5",
            study=w.study,
            model=STUDIES[w.study]["models"],
        ),
    output:
        pairs="results/{study}/pairs.tsv",
        models="results/{study}/models.tsv",
    log:
        "results/{study}/logs/pairs.log",
    benchmark:
        "results/{study}/benchmarks/pairs.tsv"
    wildcard_constraints:
        study="|".join(MEASURED) or "-",
    conda:
        "../../envs/workflow.yaml"
    threads: 4
    params:
        members=lambda w: STUDIES[w.study]["models"],
        band=lambda w: STUDIES[w.study]["band"],
        code=fingerprint("pairs"),
    script:
        "../scripts/pairs.py"


rule published:
    """Derive the same tables from a study's published numbers."""
    input:
        table=lambda w: STUDIES[w.study]["published"]["table"],
    output:
        pairs="results/{study}/pairs.tsv",
        models="results/{study}/models.tsv",
    log:
        "results/{study}/logs/published.log",
    benchmark:
        "results/{study}/benchmarks/published.tsv"
    wildcard_constraints:
        study="|".join(PUBLISHED) or "-",
    conda:
        "../../envs/workflow.yaml"
    params:
        base=lambda w: STUDIES[w.study]["published"]["base"],
        examples=lambda w: STUDIES[w.study]["published"]["examples"],
        corrections=lambda w: STUDIES[w.study]["published"]["corrections"],
        band=lambda w: STUDIES[w.study]["band"],
        code=fingerprint("published"),
    script:
        "../scripts/published.py"
