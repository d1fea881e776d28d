"""From frozen features to what linear probes make of them, on the study's task and a further one."""


rule features:
    """Combine a model's features with those of each base, compress them, and fit linear probes."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        learnt=lambda w: expand(
            "<results>/outputs/{model}/{split}.h5",
            model=[*STUDY.features.bases_of(w.model), w.model],
            split=STUDY.features.data,
        ),
        scored=lambda w: expand(
            "<results>/outputs/{model}/test.h5", model=[*STUDY.features.bases_of(w.model), w.model]
        ),
    output:
        table="<results>/features/{model}.tsv",
        right="<results>/features/{model}.npz",
    log:
        "<results>/logs/features/{model}.log",
    benchmark:
        "<results>/benchmarks/features/{model}.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings=lambda w: {
            "model": w.model,
            "bases": STUDY.features.bases_of(w.model),
            **STUDY.features.settings,
        },
        code=fingerprint("features"),
    script:
        "../scripts/features.py"


rule combined:
    """Average probes over draws, then over the models of a category."""
    input:
        models="<results>/models.tsv",
        features=expand("<results>/features/{model}.tsv", model=STUDY.features.models),
    output:
        table="<results>/figures/figure6.tsv",
    log:
        "<results>/logs/combined.log",
    benchmark:
        "<results>/benchmarks/combined.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={
            "statistic": STUDY.features.statistic,
            "direction": STUDY.features.direction,
            "target": STUDY.features.target,
        },
        code=fingerprint("combined"),
    script:
        "../scripts/combined.py"


rule figure6:
    """What combined features are worth, and how many dimensions they need."""
    input:
        table="<results>/figures/figure6.tsv",
    output:
        multiext("<results>/figures/figure6", pdf=".pdf", svg=".svg", png=".png"),
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
        },
        code=fingerprint("figures/figure6"),
    script:
        "../scripts/figures/figure6.py"
