"""From answers on further test sets to counts on each: in place of all that needs logits."""


rule answers_on_set:
    """Read the answers of all models there, and count what each pair has in common."""
    input:
        study="<results>/dataset/manifest.tsv",
        manifest="<results>/test_sets/{set}/dataset/manifest.tsv",
        own="<results>/answers.npz",
    output:
        counts="<results>/test_sets/{set}/counts.npz",
        answers="<results>/test_sets/{set}/answers.npz",
        clean_counts="<results>/test_sets/{set}/clean_counts.npz",
    log:
        "<results>/logs/answers_on_set/{set}.log",
    benchmark:
        "<results>/benchmarks/answers_on_set/{set}.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings=lambda w: {
            "models": {key: STUDY.column_of(key) for key in STUDY.taking(w.set)},
            "file": STUDY.test_sets[w.set].get("answers"),
            "combination": STUDY.ensemble,
        },
        code=fingerprint("answers_on_set"),
    script:
        "../scripts/answers_on_set.py"
