"""From calibrated logits to larger ensembles: greedy ones, and those that are worth their cost."""


rule selection:
    """Select greedy ensembles, pairs and triples on one split, and score them on another."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        calibration="<results>/calibration.tsv",
        selected=expand("<results>/outputs/{model}/calibration.h5", model=STUDY.models),
        scored=expand("<results>/outputs/{model}/test.h5", model=STUDY.models),
    output:
        greedy="<results>/selection/greedy.tsv",
        recommendations="<results>/selection/recommendations.tsv",
    log:
        "<results>/logs/selection.log",
    benchmark:
        "<results>/benchmarks/selection.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 4
    params:
        settings={
            "models": list(STUDY.models),
            "splits": ["calibration", "test"],
            "bases": STUDY.greedy.bases,
            "pool": STUDY.greedy.pool,
            "size": STUDY.greedy.size,
        },
        code=fingerprint("selection"),
    script:
        "../scripts/selection.py"


rule weaker:
    """Find what the best model of lower accuracy adds to each strong one, at equal and other weights."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        calibration="<results>/calibration.tsv",
        selected=expand("<results>/outputs/{model}/calibration.h5", model=STUDY.greedy.members),
        scored=expand("<results>/outputs/{model}/test.h5", model=STUDY.greedy.members),
    output:
        table="<results>/weaker.tsv",
    log:
        "<results>/logs/weaker.log",
    benchmark:
        "<results>/benchmarks/weaker.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={
            "models": STUDY.greedy.members,
            "splits": ["calibration", "test"],
            "bases": STUDY.greedy.bases,
            "pool": STUDY.greedy.pool,
            "combination": STUDY.ensemble,
        },
        code=fingerprint("weaker"),
    script:
        "../scripts/weaker.py"


rule greedy:
    """Name the models of greedy ensembles."""
    input:
        selected="<results>/selection/greedy.tsv",
    output:
        table="<results>/greedy.tsv",
        first="<results>/greedy_first.tsv",
    log:
        "<results>/logs/greedy.log",
    benchmark:
        "<results>/benchmarks/greedy.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={
            "members": STUDY.described(
                "name", "category", "objective", "train_data", models=STUDY.greedy.members
            ),
        },
        code=fingerprint("greedy"),
    script:
        "../scripts/greedy.py"


rule figure5:
    """Accuracy of greedy ensembles as they grow, by base."""
    input:
        greedy="<results>/greedy.tsv",
        first="<results>/greedy_first.tsv",
    output:
        multiext("<results>/figures/figure5", pdf=".pdf", svg=".svg", png=".png", tsv=".tsv"),
    log:
        "<results>/logs/figure5.log",
    benchmark:
        "<results>/benchmarks/figure5.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={"combination": STUDY.ensemble, "protocol": STUDY.protocol},
        code=fingerprint("figures/figure5"),
    script:
        "../scripts/figures/figure5.py"


rule recommendations:
    """Name the models of pairs, triples and cascades worth their cost, and how to combine them."""
    input:
        selected="<results>/selection/recommendations.tsv",
        cascades="<results>/cascades.tsv",
        weights="<results>/combining/weights.tsv",
        scores="<results>/scores.tsv",
    output:
        table="<results>/recommendations.tsv",
    log:
        "<results>/logs/recommendations.log",
    benchmark:
        "<results>/benchmarks/recommendations.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={
            "members": STUDY.described("name", "category"),
            "combination": STUDY.ensemble,
        },
        code=fingerprint("recommendations"),
    script:
        "../scripts/recommendations.py"


rule pareto:
    """Accuracy of single models, pairs, triples and cascades against their cost."""
    input:
        table="<results>/recommendations.tsv",
        curves="<results>/combining/curves.tsv",
    output:
        multiext("<results>/figures/pareto", pdf=".pdf", svg=".svg", png=".png", tsv=".tsv"),
    log:
        "<results>/logs/pareto.log",
    benchmark:
        "<results>/benchmarks/pareto.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        code=fingerprint("figures/pareto"),
    script:
        "../scripts/figures/pareto.py"
