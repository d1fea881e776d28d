"""A study's published numbers, drawn by the code that draws measured ones: a module of its own."""

from workflow.lib.run.fingerprint import fingerprint
from workflow.lib.study.load import load

STUDY = load(config, [])


rule published:
    """Derive the tables of models and pairs from a study's published numbers."""
    input:
        table=STUDY.published["table"],
    output:
        pairs="<results>/pairs.tsv",
        models="<results>/models.tsv",
    log:
        "<results>/logs/published.log",
    benchmark:
        "<results>/benchmarks/published.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={
            "base": STUDY.published["base"],
            "examples": STUDY.published["examples"],
            "corrections": STUDY.published["corrections"],
            "band": STUDY.band,
        },
        code=fingerprint("published"),
    script:
        "../scripts/published.py"


include: "figures.smk"
include: "report.smk"
