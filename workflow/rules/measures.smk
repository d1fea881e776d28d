"""From counts to what pairs of models have in common, where they stand, and who specialises."""


rule pairs:
    """Describe all pairs of models, and the models, from their counts."""
    input:
        counts="<results>/counts.npz",
        calibration="<results>/calibration.tsv",
    output:
        pairs="<results>/pairs.tsv",
        models="<results>/models.tsv",
    log:
        "<results>/logs/pairs.log",
    benchmark:
        "<results>/benchmarks/pairs.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={
            "members": STUDY.described(),
            "band": STUDY.band,
            "fitted_on": "calibration" if STUDY.has_logits else "none",
        },
        code=fingerprint("pairs"),
    script:
        "../scripts/pairs.py"


rule specialisation:
    """Compare the confidences of each pair on every test image."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        answers="<results>/answers.npz",
        classes="<results>/pair_classes.npz" if STUDY.has_logits else [],
    output:
        table="<results>/specialisation.tsv",
    log:
        "<results>/logs/specialisation.log",
    benchmark:
        "<results>/benchmarks/specialisation.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={
            "members": STUDY.described("name", "category", models=STUDY.paired),
            "pairs": STUDY.pairs,
            "combination": STUDY.ensemble,
            "split": "test",
        },
        code=fingerprint("specialisation"),
    script:
        "../scripts/specialisation.py"


rule class_specialisation:
    """Summarise it by class, group of classes and attribute, and test who gets each right more often."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        specialisation="<results>/specialisation.tsv",
        attributes="<results>/attributes.tsv" if STUDY.attributes else [],
    output:
        table="<results>/class_specialisation.tsv",
    log:
        "<results>/logs/class_specialisation.log",
    benchmark:
        "<results>/benchmarks/class_specialisation.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={"groups": STUDY.groups, "split": "test"},
        code=fingerprint("class_specialisation"),
    script:
        "../scripts/class_specialisation.py"


rule angles:
    """Count angles by who is right, and find those from which on one model prevails."""
    input:
        specialisation="<results>/specialisation.tsv",
    output:
        table="<results>/figures/figure3.tsv",
    log:
        "<results>/logs/angles.log",
    benchmark:
        "<results>/benchmarks/angles.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        code=fingerprint("angles"),
    script:
        "../scripts/angles.py"


rule figure3:
    """Confidences of both models of each pair, and their angle by who is right."""
    input:
        specialisation="<results>/specialisation.tsv",
        table="<results>/figures/figure3.tsv",
    output:
        multiext("<results>/figures/figure3", pdf=".pdf", svg=".svg", png=".png"),
    log:
        "<results>/logs/figure3.log",
    benchmark:
        "<results>/benchmarks/figure3.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        code=fingerprint("figures/figure3"),
    script:
        "../scripts/figures/figure3.py"


rule figure4:
    """Mean angle by class and by group of classes, and who specialises."""
    input:
        table="<results>/class_specialisation.tsv",
    output:
        multiext("<results>/figures/figure4", pdf=".pdf", svg=".svg", png=".png", tsv=".tsv"),
    log:
        "<results>/logs/figure4.log",
    benchmark:
        "<results>/benchmarks/figure4.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        code=fingerprint("figures/figure4"),
    script:
        "../scripts/figures/figure4.py"


rule contact_sheet:
    """The test images that each model of a pair alone gets right, as the first is given them."""
    input:
        specialisation="<results>/specialisation.tsv",
        images=lambda w: f"<results>/images/{STUDY.networks[w.first].geometry}/test.npy",
    output:
        multiext("<results>/contact_sheets/{first}--{second}", png=".png", tsv=".tsv"),
    log:
        "<results>/logs/contact_sheet/{first}--{second}.log",
    benchmark:
        "<results>/benchmarks/contact_sheet/{first}--{second}.tsv"
    wildcard_constraints:
        first="[a-z0-9]+(-[a-z0-9]+)*",
        second="[a-z0-9]+(-[a-z0-9]+)*",
    conda:
        "../../envs/workflow.yaml"
    params:
        settings=lambda w: {"pair": [w.first, w.second], "number": 20},
        code=fingerprint("figures/contact_sheet"),
    script:
        "../scripts/figures/contact_sheet.py"


rule distances:
    """Place all models on a map, and join them into clusters."""
    input:
        pairs="<results>/pairs.tsv",
        models="<results>/models.tsv",
    output:
        map="<results>/figures/map.tsv",
        clusters="<results>/figures/clusters.tsv",
    log:
        "<results>/logs/distances.log",
    benchmark:
        "<results>/benchmarks/distances.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        code=fingerprint("distances"),
    script:
        "../scripts/distances.py"


rule map:
    """All models in a plane: the nearer, the more consistent their errors."""
    input:
        table="<results>/figures/map.tsv",
    output:
        multiext("<results>/figures/map", pdf=".pdf", svg=".svg", png=".png"),
    log:
        "<results>/logs/map.log",
    benchmark:
        "<results>/benchmarks/map.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        code=fingerprint("figures/map"),
    script:
        "../scripts/figures/map.py"


rule clusters:
    """Error inconsistency of all pairs, models that err alike side by side."""
    input:
        table="<results>/figures/clusters.tsv",
    output:
        multiext("<results>/figures/clusters", pdf=".pdf", svg=".svg", png=".png"),
    log:
        "<results>/logs/clusters.log",
    benchmark:
        "<results>/benchmarks/clusters.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        code=fingerprint("figures/clusters"),
    script:
        "../scripts/figures/clusters.py"
