"""From calibrated logits to combinations, their scores, and cascades.

Beside the streams that logits.smk counts, `weights` reads the calibration split once a step of
Newton's method and once more a fold, `scores` the test split once, and `cascades` each twice.
"""


rule weights:
    """Fit weights of all pairs and listed ensembles, and choose each one's combination."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        calibration="<results>/calibration.tsv",
        recommended="<results>/selection/recommendations.tsv",
        greedy="<results>/selection/greedy.tsv",
        outputs=expand("<results>/outputs/{model}/calibration.h5", model=STUDY.models),
    output:
        table="<results>/combining/weights.tsv",
    log:
        "<results>/logs/weights.log",
    benchmark:
        "<results>/benchmarks/weights.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 4
    params:
        settings={
            "models": list(STUDY.models),
            "named": STUDY.ensembles,
            "split": "calibration",
        },
        code=fingerprint("weights"),
    script:
        "../scripts/weights.py"


rule scores:
    """Score all of them under every combination on the test images."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        calibration="<results>/calibration.tsv",
        weights="<results>/combining/weights.tsv",
        recommended="<results>/selection/recommendations.tsv",
        outputs=expand("<results>/outputs/{model}/test.h5", model=STUDY.models),
    output:
        table="<results>/scores.tsv",
        risks="<results>/combining/risks.tsv",
    log:
        "<results>/logs/scores.log",
    benchmark:
        "<results>/benchmarks/scores.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 4
    params:
        settings={"models": list(STUDY.models), "split": "test"},
        code=fingerprint("scores"),
    script:
        "../scripts/scores.py"


rule cascades:
    """Run the next model only where the cheaper one is not sure: all pairs, and the best triples."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        calibration="<results>/calibration.tsv",
        recommended="<results>/selection/recommendations.tsv",
        selected=expand("<results>/outputs/{model}/calibration.h5", model=STUDY.models),
        scored=expand("<results>/outputs/{model}/test.h5", model=STUDY.models),
    output:
        table="<results>/cascades.tsv",
        curves="<results>/combining/curves.tsv",
        risks="<results>/combining/cascade_risks.tsv",
        scores="<results>/combining/cascade_scores.tsv",
    log:
        "<results>/logs/cascades.log",
    benchmark:
        "<results>/benchmarks/cascades.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 4
    params:
        settings={"models": list(STUDY.models), "splits": ["calibration", "test"]},
        code=fingerprint("cascades"),
    script:
        "../scripts/cascades.py"


rule added:
    """Say what each model adds to the base and to the best single model."""
    input:
        weights="<results>/combining/weights.tsv",
        scores="<results>/scores.tsv",
        models="<results>/models.tsv",
        pairs="<results>/pairs.tsv",
    output:
        table="<results>/added.tsv",
        figure="<results>/figures/nats.tsv",
    log:
        "<results>/logs/added.log",
    benchmark:
        "<results>/benchmarks/added.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={"base": STUDY.features.base},
        code=fingerprint("added"),
    script:
        "../scripts/added.py"


rule nats:
    """What a model adds to the base against error inconsistency."""
    input:
        table="<results>/figures/nats.tsv",
    output:
        multiext("<results>/figures/nats", pdf=".pdf", svg=".svg", png=".png"),
    log:
        "<results>/logs/nats.log",
    benchmark:
        "<results>/benchmarks/nats.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={"label": STUDY.pairs},
        code=fingerprint("figures/nats"),
    script:
        "../scripts/figures/nats.py"


rule uncertainty:
    """Set the scores of the best single model, pair, triple and cascade side by side."""
    input:
        recommended="<results>/recommendations.tsv",
        scores="<results>/scores.tsv",
        risks="<results>/combining/risks.tsv",
        cascade_scores="<results>/combining/cascade_scores.tsv",
        cascade_risks="<results>/combining/cascade_risks.tsv",
    output:
        table="<results>/uncertainty.tsv",
        figure="<results>/figures/risk.tsv",
    log:
        "<results>/logs/uncertainty.log",
    benchmark:
        "<results>/benchmarks/uncertainty.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={"members": STUDY.described("name"), "combination": STUDY.ensemble},
        code=fingerprint("uncertainty"),
    script:
        "../scripts/uncertainty.py"


rule risk:
    """Risk against coverage of the best single model, pair, triple and cascade."""
    input:
        table="<results>/figures/risk.tsv",
    output:
        multiext("<results>/figures/risk", pdf=".pdf", svg=".svg", png=".png"),
    log:
        "<results>/logs/risk.log",
    benchmark:
        "<results>/benchmarks/risk.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        code=fingerprint("figures/risk"),
    script:
        "../scripts/figures/risk.py"


rule card:
    """Write the cards of the recommended and the named ensembles, and the function to apply them."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        calibration="<results>/calibration.tsv",
        recommended="<results>/recommendations.tsv",
        weights="<results>/combining/weights.tsv",
        scores="<results>/scores.tsv",
        cascades="<results>/cascades.tsv",
        cascade_scores="<results>/combining/cascade_scores.tsv",
        outputs=expand("<results>/outputs/{model}/test.h5", model=STUDY.models),
    output:
        cards=expand("<results>/deployment/{card}.json", card=STUDY.cards),
        function="<results>/deployment/apply_card.py",
    log:
        "<results>/logs/card.log",
    benchmark:
        "<results>/benchmarks/card.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={
            "study": STUDY.name,
            "models": list(STUDY.models),
            "members": STUDY.deployed,
            "names": STUDY.cards,
            "split": "test",
        },
        code=fingerprint("card"),
    script:
        "../scripts/card.py"
