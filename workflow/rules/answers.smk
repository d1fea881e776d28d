"""From answers alone to what pairs of models have in common: in place of all that needs logits."""


rule answers:
    """Read the answers of all models, and count what each pair has in common."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        sources=STUDY.external_files,
    output:
        counts="<results>/counts.npz",
        answers="<results>/answers.npz",
        calibration="<results>/calibration.tsv",
    log:
        "<results>/logs/answers.log",
    benchmark:
        "<results>/benchmarks/answers.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={
            "models": STUDY.answers,
            "controls": {
                key: own["weights_of"]
                for key, own in STUDY.described("weights_of").items()
                if own["weights_of"]
            },
            "split": "test",
            "combination": STUDY.ensemble,
        },
        code=fingerprint("answers"),
    script:
        "../scripts/answers.py"


rule voted:
    """Let the main models vote, three at a time."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        answers="<results>/answers.npz",
        models="<results>/models.tsv",
    output:
        table="<results>/figures/votes.tsv",
    log:
        "<results>/logs/voted.log",
    benchmark:
        "<results>/benchmarks/voted.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 2
    params:
        settings={"split": "test"},
        code=fingerprint("voted"),
    script:
        "../scripts/voted.py"


rule votes:
    """What a vote of three models gains, by how inconsistent their errors are."""
    input:
        table="<results>/figures/votes.tsv",
    output:
        multiext("<results>/figures/votes", pdf=".pdf", svg=".svg", png=".png"),
    log:
        "<results>/logs/votes.log",
    benchmark:
        "<results>/benchmarks/votes.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        code=fingerprint("figures/votes"),
    script:
        "../scripts/figures/votes.py"
