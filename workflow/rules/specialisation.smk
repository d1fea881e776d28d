"""From calibrated logits to which model of chosen pairs is the more confident, and on what."""


rule specialisation:
    """Compare the confidences of each pair on every test image."""
    input:
        manifest="results/{study}/dataset/manifest.tsv",
        calibration="results/{study}/calibration.tsv",
        outputs=lambda w: expand(
            "results/{study}/outputs/{model}/test.h5",
            study=w.study,
            model=dict.fromkeys(key for pair in STUDIES[w.study]["pairs"] for key in pair),
        ),
    output:
        table="results/{study}/specialisation.tsv",
    log:
        "results/{study}/logs/specialisation.log",
    benchmark:
        "results/{study}/benchmarks/specialisation.tsv"
    wildcard_constraints:
        study="|".join(MEASURED) or "-",
    conda:
        "../../envs/workflow.yaml"
    params:
        members=lambda w: {
            key: {field: STUDIES[w.study]["models"][key][field] for field in ("name", "category")}
            for pair in STUDIES[w.study]["pairs"]
            for key in pair
        },
        pairs=lambda w: STUDIES[w.study]["pairs"],
        mean=lambda w: STUDIES[w.study]["ensemble"],
        code=fingerprint("specialisation"),
    script:
        "../scripts/specialisation.py"


rule class_specialisation:
    """Summarise it by class and by group of classes, and test who gets each right more often."""
    input:
        manifest="results/{study}/dataset/manifest.tsv",
        specialisation="results/{study}/specialisation.tsv",
    output:
        table="results/{study}/class_specialisation.tsv",
    log:
        "results/{study}/logs/class_specialisation.log",
    benchmark:
        "results/{study}/benchmarks/class_specialisation.tsv"
    wildcard_constraints:
        study="|".join(MEASURED) or "-",
    conda:
        "../../envs/workflow.yaml"
    params:
        groups=lambda w: STUDIES[w.study]["groups"],
        code=fingerprint("class_specialisation"),
    script:
        "../scripts/class_specialisation.py"


rule figure3:
    """Confidences of both models of each pair, and their angle by who is right."""
    input:
        specialisation="results/{study}/specialisation.tsv",
    output:
        pdf="results/{study}/figures/figure3.pdf",
        svg="results/{study}/figures/figure3.svg",
        png=report(
            "results/{study}/figures/figure3.png",
            caption="../report/figure3.rst",
            category="{study}",
        ),
        tsv="results/{study}/figures/figure3.tsv",
    log:
        "results/{study}/logs/figure3.log",
    benchmark:
        "results/{study}/benchmarks/figure3.tsv"
    wildcard_constraints:
        study="|".join(MEASURED) or "-",
    conda:
        "../../envs/workflow.yaml"
    params:
        code=fingerprint("figures/figure3"),
    script:
        "../scripts/figures/figure3.py"


rule figure4:
    """Mean angle by class and by group of classes, and who specialises."""
    input:
        table="results/{study}/class_specialisation.tsv",
    output:
        pdf="results/{study}/figures/figure4.pdf",
        svg="results/{study}/figures/figure4.svg",
        png=report(
            "results/{study}/figures/figure4.png",
            caption="../report/figure4.rst",
            category="{study}",
        ),
        tsv="results/{study}/figures/figure4.tsv",
    log:
        "results/{study}/logs/figure4.log",
    benchmark:
        "results/{study}/benchmarks/figure4.tsv"
    wildcard_constraints:
        study="|".join(MEASURED) or "-",
    conda:
        "../../envs/workflow.yaml"
    params:
        code=fingerprint("figures/figure4"),
    script:
        "../scripts/figures/figure4.py"


rule contact_sheet:
    """The test images that each model of a pair alone gets right, as the first is given them."""
    input:
        specialisation="results/{study}/specialisation.tsv",
        images=lambda w: expand(
            "results/{study}/images/{geometry}/test.npy",
            study=w.study,
            geometry=STUDIES[w.study]["networks"][w.first]["geometry"],
        )[0],
    output:
        png=report(
            "results/{study}/contact_sheets/{first}--{second}.png",
            caption="../report/contact_sheet.rst",
            category="{study}",
        ),
        tsv="results/{study}/contact_sheets/{first}--{second}.tsv",
    log:
        "results/{study}/logs/contact_sheet/{first}--{second}.log",
    benchmark:
        "results/{study}/benchmarks/contact_sheet/{first}--{second}.tsv"
    wildcard_constraints:
        study="|".join(MEASURED) or "-",
        first="[a-z0-9]+(-[a-z0-9]+)*",
        second="[a-z0-9]+(-[a-z0-9]+)*",
    conda:
        "../../envs/workflow.yaml"
    params:
        pair=lambda w: [w.first, w.second],
        number=20,
        code=fingerprint("figures/contact_sheet"),
    script:
        "../scripts/figures/contact_sheet.py"
