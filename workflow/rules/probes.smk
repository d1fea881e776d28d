"""From frozen features to what linear probes make of them, on the study's task and a further one."""


rule features:
    """Combine a model's features with the base's, compress them, and fit linear probes."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        learnt=expand(
            "<results>/outputs/{model}/{split}.h5",
            model=[STUDY.features.base, "{model}"],
            split=STUDY.features.data,
        ),
        scored=expand("<results>/outputs/{model}/test.h5", model=[STUDY.features.base, "{model}"]),
    output:
        table="<results>/features/{model}.tsv",
    log:
        "<results>/logs/features/{model}.log",
    benchmark:
        "<results>/benchmarks/features/{model}.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings=lambda w: {"model": w.model, **STUDY.features.settings},
        code=fingerprint("features"),
    script:
        "../scripts/features.py"


rule figure6:
    """What combined features are worth, and how many dimensions they need."""
    input:
        models="<results>/models.tsv",
        features=expand("<results>/features/{model}.tsv", model=STUDY.features.models),
    output:
        multiext("<results>/figures/figure6", pdf=".pdf", svg=".svg", png=".png", tsv=".tsv"),
    log:
        "<results>/logs/figure6.log",
    benchmark:
        "<results>/benchmarks/figure6.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={
            "statistic": STUDY.features.statistic,
            "direction": STUDY.features.direction,
            "target": STUDY.features.target,
        },
        code=fingerprint("figures/figure6"),
    script:
        "../scripts/figures/figure6.py"
