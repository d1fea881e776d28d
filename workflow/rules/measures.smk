"""From logits to temperatures, to what pairs of models have in common, and to who specialises."""


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
        settings={"models": list(STUDY.models)},
        code=fingerprint("calibration"),
    script:
        "../scripts/calibration.py"


rule pairs:
    """Compare and combine all pairs of models, streaming their logits, in one job."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        calibration="<results>/calibration.tsv",
        outputs=expand("<results>/outputs/{model}/test.h5", model=STUDY.models),
    output:
        pairs="<results>/pairs.tsv",
        models="<results>/models.tsv",
    log:
        "<results>/logs/pairs.log",
    benchmark:
        "<results>/benchmarks/pairs.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 4
    params:
        settings={"members": STUDY.described(), "band": STUDY.band},
        code=fingerprint("pairs"),
    script:
        "../scripts/pairs.py"


rule specialisation:
    """Compare the confidences of each pair on every test image."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        calibration="<results>/calibration.tsv",
        outputs=expand("<results>/outputs/{model}/test.h5", model=STUDY.paired),
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
            "mean": STUDY.ensemble,
        },
        code=fingerprint("specialisation"),
    script:
        "../scripts/specialisation.py"


rule class_specialisation:
    """Summarise it by class and by group of classes, and test who gets each right more often."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        specialisation="<results>/specialisation.tsv",
    output:
        table="<results>/class_specialisation.tsv",
    log:
        "<results>/logs/class_specialisation.log",
    benchmark:
        "<results>/benchmarks/class_specialisation.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={"groups": STUDY.groups},
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
