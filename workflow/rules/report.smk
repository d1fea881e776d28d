"""From figures and tables to one page a study, and to which of the paper's claims hold."""


rule tables:
    """The models used, the high-accuracy, the low-accuracy and the other ones, for people."""
    input:
        models="<results>/models.tsv",
        pairs="<results>/pairs.tsv",
        added="<results>/added.tsv" if "nats" in STUDY.figures else [],
        published_models=f"results/{STUDY.alongside.name}/models.tsv" if STUDY.paper_rows else [],
        published_pairs=f"results/{STUDY.alongside.name}/pairs.tsv" if STUDY.paper_rows else [],
    output:
        tables=expand("<results>/tables/table{n}.{kind}", n=[1, 2, 3, 4], kind=["tsv", "md", "tex"]),
    log:
        "<results>/logs/tables.log",
    benchmark:
        "<results>/benchmarks/tables.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={"combination": STUDY.ensemble, "paper": STUDY.paper_rows},
        code=fingerprint("tables"),
    script:
        "../scripts/tables.py"


rule findings:
    """Say which models to combine, and which one is different, with intervals."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        models="<results>/models.tsv",
        pairs="<results>/pairs.tsv",
        answers="<results>/answers.npz",
        recommendations=(
            "<results>/recommendations.tsv" if "recommendations" in STUDY.tables else []
        ),
        added="<results>/added.tsv" if "nats" in STUDY.figures else [],
        scores="<results>/scores.tsv" if "recommendations" in STUDY.tables else [],
    output:
        findings="<results>/findings.tsv",
        novelty="<results>/novelty.tsv",
        only_right="<results>/only_right.tsv",
    log:
        "<results>/logs/findings.log",
    benchmark:
        "<results>/benchmarks/findings.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={
            "combination": STUDY.ensemble,
            "places": STUDY.places,
            "cards": {
                card: f"results/{STUDY.name}/deployment/{card}.json" for card in STUDY.cards
            },
        },
        code=fingerprint("findings"),
    script:
        "../scripts/findings.py"


rule summary:
    """Say with numbers what the study found, and which of the paper's claims hold in it."""
    input:
        findings="<results>/findings.tsv" if "novelty" in STUDY.tables else [],
        holds="<results>/holds.tsv" if STUDY.test_sets else [],
        pairs="<results>/pairs.tsv",
        models="<results>/models.tsv",
        answers="<results>/answers.npz" if not STUDY.published else [],
        manifest="<results>/dataset/manifest.tsv" if not STUDY.published else [],
        weaker="<results>/weaker.tsv" if "figure5" in STUDY.figures else [],
        features="<results>/figures/figure6.tsv" if "figure6" in STUDY.figures else [],
        probes=(
            expand("<results>/features/{model}.tsv", model=STUDY.features.models)
            if "figure6" in STUDY.figures
            else []
        ),
        right=(
            expand("<results>/features/{model}.npz", model=STUDY.features.models)
            if "figure6" in STUDY.figures
            else []
        ),
        downstream="<results>/figures/figure7.tsv" if "figure7" in STUDY.figures else [],
        updates="<results>/updates.tsv" if STUDY.updates else [],
        update_classes="<results>/update_classes.tsv" if STUDY.updates else [],
    output:
        multiext("<results>/summary", tsv=".tsv", md=".md"),
    log:
        "<results>/logs/summary.log",
    benchmark:
        "<results>/benchmarks/summary.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={
            "study": STUDY.name,
            "title": STUDY.title,
            "combination": STUDY.ensemble,
            "bases": STUDY.bases,
        },
        code=fingerprint("summary"),
    script:
        "../scripts/summary.py"


rule report:
    """Put everything of a study on one page that needs no network."""
    input:
        template="workflow/report/report.html.j2",
        figures=expand(
            "<results>/figures/{figure}.{kind}", figure=STUDY.figures, kind=["svg", "png", "pdf"]
        ),
        tsvs=expand("<results>/figures/{figure}.tsv", figure=STUDY.figures),
        captions=expand(
            "workflow/report/{figure}.rst",
            figure=[
                *STUDY.figures,
                "contact_sheet",
                "flip_sheets",
                "image_sheets",
                "images",
                "novelty",
                "recommendations",
                "uncertainty",
                "update_classes",
                "updates",
                *(["robustness"] if STUDY.test_sets else []),
            ],
        ),
        tables=[
            *expand("<results>/tables/table{n}.tsv", n=[1, 2, 3, 4]),
            *expand("<results>/{table}.tsv", table=STUDY.tables),
        ],
        sheets=expand(
            "<results>/contact_sheets/{pair}.png", pair=["--".join(pair) for pair in STUDY.sheets]
        ),
        flip_sheets=expand(
            "<results>/flip_sheets/{update}.png",
            update=["--".join(update) for update in STUDY.flip_sheets],
        ),
        image_sheets=expand("<results>/image_sheets/{sheet}.png", sheet=STUDY.image_sheets),
        findings="<results>/findings.tsv" if "novelty" in STUDY.tables else [],
        summary="<results>/summary.tsv",
        models="<results>/models.tsv",
        pairs="<results>/pairs.tsv",
        manifest="<results>/dataset/manifest.tsv" if "novelty" in STUDY.tables else [],
    output:
        html="<results>/report.html",
    log:
        "<results>/logs/report.log",
    benchmark:
        "<results>/benchmarks/report.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={"study": STUDY.settings},
        code=fingerprint("report"),
    script:
        "../scripts/report.py"


rule study:
    """Every figure and table, the summary and the report."""
    input:
        expand("<results>/{file}", file=["summary.md", "report.html"]),
        expand("<results>/tables/table{n}.{kind}", n=[1, 2, 3, 4], kind=["tsv", "md", "tex"]),
        expand(
            "<results>/figures/{figure}.{kind}",
            figure=STUDY.figures,
            kind=["pdf", "svg", "png", "tsv"],
        ),
        expand("<results>/deployment/{card}.json", card=STUDY.cards),
        STUDY.external_files,
