"""From frozen features to what linear probes make of them, combined and compressed."""


use rule extract as extract_features with:
    """Run a model over the images that linear probes learn from."""
    input:
        manifest="results/{study}/dataset/manifest.tsv",
        tasks=[],
        checkpoint="results/{study}/models/{model}/checkpoint.safetensors",
        images=lambda w: expand(
            "results/{study}/images/{geometry}/{split}.npy",
            study=w.study,
            geometry=STUDIES[w.study]["networks"][w.model]["geometry"],
            split=w.split,
        ),
    output:
        files=["results/{study}/outputs/{model}/{split}.h5"],
    log:
        "results/{study}/logs/extract_features/{model}/{split}.log",
    benchmark:
        "results/{study}/benchmarks/extract_features/{model}/{split}.tsv"
    params:
        model=lambda w: w.model,
        recipe=lambda w: STUDIES[w.study]["networks"][w.model]["recipe"],
        splits=lambda w: [w.split],
        extraction=lambda w: STUDIES[w.study]["extraction"],
        code=fingerprint("extract"),


ruleorder: extract > extract_features


rule features:
    """Combine a model's features with the base's, compress them, and fit linear probes."""
    input:
        manifest="results/{study}/dataset/manifest.tsv",
        outputs=lambda w: expand(
            "results/{study}/outputs/{model}/{split}.h5",
            study=w.study,
            model=[STUDIES[w.study]["features"]["base"], w.model],
            split=[STUDIES[w.study]["features"]["data"], "test"],
        ),
    output:
        table="results/{study}/features/{model}.tsv",
    log:
        "results/{study}/logs/features/{model}.log",
    benchmark:
        "results/{study}/benchmarks/features/{model}.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        base=lambda w: STUDIES[w.study]["features"]["base"],
        model=lambda w: w.model,
        data=lambda w: STUDIES[w.study]["features"]["data"],
        shares=lambda w: STUDIES[w.study]["features"]["shares"],
        seeds=lambda w: STUDIES[w.study]["features"]["seeds"],
        dimensions=lambda w: STUDIES[w.study]["features"]["dimensions"],
        regularisation=lambda w: STUDIES[w.study]["features"]["regularisation"],
        code=fingerprint("features"),
    script:
        "../scripts/features.py"


rule figure6:
    """What combined features are worth, and how many dimensions they need."""
    input:
        models="results/{study}/models.tsv",
        features=lambda w: expand(
            "results/{study}/features/{model}.tsv",
            study=w.study,
            model=STUDIES[w.study]["features"]["models"],
        ),
    output:
        pdf="results/{study}/figures/figure6.pdf",
        svg="results/{study}/figures/figure6.svg",
        png="results/{study}/figures/figure6.png",
        tsv="results/{study}/figures/figure6.tsv",
    log:
        "results/{study}/logs/figure6.log",
    benchmark:
        "results/{study}/benchmarks/figure6.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        statistic=lambda w: STUDIES[w.study]["features"]["statistic"],
        direction=lambda w: STUDIES[w.study]["features"]["direction"],
        target=lambda w: STUDIES[w.study]["features"]["target"],
        code=fingerprint("figures/figure6"),
    script:
        "../scripts/figures/figure6.py"
