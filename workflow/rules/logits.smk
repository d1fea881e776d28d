"""From logits to temperatures, and to counts of what pairs of models have in common.

Logits are streamed before names come in, and at most three times a study, each split's files:

calibration   by `calibration` (temperatures), `selection` (pairs, triples, greedy members)
              and, of the pool alone, `weaker` (whom to add to a strong model)
test          by `calibration_on_test` (temperatures for `variants`, answers that are right),
              `counts` (pairs at all temperatures, answers and confidences)
              and `selection` (greedy members under the protocol of the paper, scores)

Beside that, `selection` and `weaker` read again whom they add, and `pair_classes` the rows on which
a chosen pair differs; and where combinations are fitted and scored, `weights`, `scores` and
`cascades` read as combining.smk says. All other rules join these numbers with names, in seconds.
"""


rule calibration:
    """Fit one temperature for each model on the calibration split."""
    input:
        # Without a name, since it is only to come first.
        ancient("<results>/accuracy.tsv") if gated(STUDY) else [],
        manifest="<results>/dataset/manifest.tsv",
        outputs=expand("<results>/outputs/{model}/calibration.h5", model=STUDY.models),
    output:
        table="<results>/calibration.tsv",
    log:
        "<results>/logs/calibration.log",
    benchmark:
        "<results>/benchmarks/calibration.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={"models": list(STUDY.models), "split": "calibration"},
        code=fingerprint("calibration"),
    script:
        "../scripts/calibration.py"


use rule calibration as calibration_on_test with:
    """Likewise on the test images, for `variants` alone; and how many of them each gets right."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        outputs=expand("<results>/outputs/{model}/test.h5", model=STUDY.models),
    output:
        table="<results>/sensitivity/calibration.tsv",
        correct="<results>/correct.tsv",
    log:
        "<results>/logs/calibration_on_test.log",
    benchmark:
        "<results>/benchmarks/calibration_on_test.tsv"
    params:
        settings={"models": list(STUDY.models), "split": "test"},
        code=fingerprint("calibration"),


rule counts:
    """Count what pairs of models have in common and gain, at each kind of temperatures."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        calibrations=["<results>/calibration.tsv", "<results>/sensitivity/calibration.tsv"],
        outputs=expand("<results>/outputs/{model}/test.h5", model=STUDY.models),
    output:
        counts="<results>/counts.npz",
        answers="<results>/answers.npz",
    log:
        "<results>/logs/counts.log",
    benchmark:
        "<results>/benchmarks/counts.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 4
    params:
        settings={
            "models": list(STUDY.models),
            "split": "test",
            "fitted_on": ["calibration", "test"],
        },
        code=fingerprint("counts"),
    script:
        "../scripts/counts.py"


rule pair_classes:
    """Find what the ensemble of each chosen pair predicts, from logits where the two differ."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        calibration="<results>/calibration.tsv",
        answers="<results>/answers.npz",
        outputs=expand("<results>/outputs/{model}/test.h5", model=STUDY.paired),
    output:
        classes="<results>/pair_classes.npz",
    log:
        "<results>/logs/pair_classes.log",
    benchmark:
        "<results>/benchmarks/pair_classes.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={"models": STUDY.paired, "pairs": STUDY.pairs, "split": "test"},
        code=fingerprint("pair_classes"),
    script:
        "../scripts/pair_classes.py"
