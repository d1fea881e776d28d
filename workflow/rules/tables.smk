"""From tables for machines to tables for people."""

# Models that are to stand beside a row of a published study, and the names of these rows.
PAPER_ROWS = {
    name: {
        key: model["paper"] for key, model in study.get("models", {}).items() if model.get("paper")
    }
    for name, study in STUDIES.items()
}


rule tables:
    """The models used, the high-accuracy, the low-accuracy and the other ones."""
    input:
        models="results/{study}/models.tsv",
        pairs="results/{study}/pairs.tsv",
        published_models=lambda w: expand(
            "results/{name}/models.tsv", name=PUBLISHED if PAPER_ROWS[w.study] else []
        ),
        published_pairs=lambda w: expand(
            "results/{name}/pairs.tsv", name=PUBLISHED if PAPER_ROWS[w.study] else []
        ),
    output:
        table1_tsv="results/{study}/tables/table1.tsv",
        table1_md="results/{study}/tables/table1.md",
        table1_tex="results/{study}/tables/table1.tex",
        table2_tsv="results/{study}/tables/table2.tsv",
        table2_md="results/{study}/tables/table2.md",
        table2_tex="results/{study}/tables/table2.tex",
        table3_tsv="results/{study}/tables/table3.tsv",
        table3_md="results/{study}/tables/table3.md",
        table3_tex="results/{study}/tables/table3.tex",
        table4_tsv="results/{study}/tables/table4.tsv",
        table4_md="results/{study}/tables/table4.md",
        table4_tex="results/{study}/tables/table4.tex",
    log:
        "results/{study}/logs/tables.log",
    benchmark:
        "results/{study}/benchmarks/tables.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        mean=lambda w: STUDIES[w.study]["ensemble"],
        paper=lambda w: PAPER_ROWS[w.study],
        code=fingerprint("tables"),
    script:
        "../scripts/tables.py"
