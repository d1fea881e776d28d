"""From figures and tables to one page a study, and to which of the paper's claims hold."""


rule summary:
    """Say with numbers which of the paper's claims hold in the study."""
    input:
        pairs="results/{study}/pairs.tsv",
        classes=lambda w: expand(
            "results/{study}/class_specialisation.tsv",
            study=[w.study] if "figure4" in STUDIES[w.study]["figures"] else [],
        ),
        first=lambda w: expand(
            "results/{study}/greedy_first.tsv",
            study=[w.study] if "figure5" in STUDIES[w.study]["figures"] else [],
        ),
        features=lambda w: expand(
            "results/{study}/figures/figure6.tsv",
            study=[w.study] if "figure6" in STUDIES[w.study]["figures"] else [],
        ),
        downstream=lambda w: expand(
            "results/{study}/figures/figure7.tsv",
            study=[w.study] if "figure7" in STUDIES[w.study]["figures"] else [],
        ),
    output:
        tsv="results/{study}/summary.tsv",
        md="results/{study}/summary.md",
    log:
        "results/{study}/logs/summary.log",
    benchmark:
        "results/{study}/benchmarks/summary.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        study=lambda w: w.study,
        title=lambda w: STUDIES[w.study].get("title", ""),
        mean=lambda w: STUDIES[w.study]["ensemble"],
        code=lambda w: fingerprint("workflow/scripts/summary.py"),
    script:
        "../scripts/summary.py"


rule report:
    """Put everything of a study on one page that needs no network."""
    input:
        template="workflow/report/report.html.j2",
        figures=lambda w: expand(
            "results/{study}/figures/{figure}.svg",
            study=w.study,
            figure=STUDIES[w.study]["figures"],
        ),
        pngs=lambda w: expand(
            "results/{study}/figures/{figure}.png",
            study=w.study,
            figure=STUDIES[w.study]["figures"],
        ),
        tsvs=lambda w: expand(
            "results/{study}/figures/{figure}.tsv",
            study=w.study,
            figure=STUDIES[w.study]["figures"],
        ),
        captions=lambda w: expand(
            "workflow/report/{figure}.rst",
            figure=[*STUDIES[w.study]["figures"], "contact_sheet", "recommendations"],
        ),
        tables=lambda w: [
            *expand("results/{study}/tables/table{n}.tsv", study=w.study, n=[1, 2, 3, 4]),
            *expand(
                "results/{study}/calibration.tsv",
                study=[w.study] if "pareto" in STUDIES[w.study]["figures"] else [],
            ),
            *expand(
                "results/{study}/accuracy.tsv",
                study=[w.study] if w.study in MEASURED and gated(STUDY) else [],
            ),
            *expand(
                "results/{study}/class_specialisation.tsv",
                study=[w.study] if "figure4" in STUDIES[w.study]["figures"] else [],
            ),
            *expand(
                "results/{study}/recommendations.tsv",
                study=[w.study] if "pareto" in STUDIES[w.study]["figures"] else [],
            ),
        ],
        sheets=lambda w: expand(
            "results/{study}/contact_sheets/{pair}.png",
            study=w.study,
            pair=["--".join(pair) for pair in STUDIES[w.study]["pairs"]],
        ),
        summary="results/{study}/summary.tsv",
        models="results/{study}/models.tsv",
        pairs="results/{study}/pairs.tsv",
        manifest=lambda w: expand(
            "results/{study}/dataset/manifest.tsv",
            study=[w.study] if "pareto" in STUDIES[w.study]["figures"] else [],
        ),
    output:
        html="results/{study}/report.html",
    log:
        "results/{study}/logs/report.log",
    benchmark:
        "results/{study}/benchmarks/report.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        study=lambda w: STUDIES[w.study],
        code=lambda w: fingerprint("workflow/scripts/report.py"),
    script:
        "../scripts/report.py"
