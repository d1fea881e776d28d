"""From images to weights: one job for each network that the study trains."""

# Networks that get a head only, and those that others start from or learn from.
HEADS = {
    key
    for name in MEASURED
    for key, network in STUDIES[name]["networks"].items()
    if network["recipe"]["head"] in ("lbfgs", "zero-shot", "class-mapping", "checkpoint")
}
PARENTS = {
    network["parent"]
    for name in MEASURED
    for network in STUDIES[name]["networks"].values()
    if network["parent"]
}


rule train:
    """Train a network by its recipe; a killed training goes on from its last epoch."""
    input:
        manifest="results/{study}/dataset/manifest.tsv",
        images=lambda w: expand(
            "results/{study}/images/{geometry}/{split}.npy",
            study=w.study,
            geometry=STUDIES[w.study]["networks"][w.model]["geometry"],
            split=STUDIES[w.study]["networks"][w.model]["recipe"].get("data", []),
        ),
        parent=lambda w: expand(
            "results/{study}/models/{parent}/checkpoint.safetensors",
            study=w.study,
            parent=STUDIES[w.study]["networks"][w.model]["parent"] or [],
        ),
    output:
        checkpoint="results/{study}/models/{model}/checkpoint.safetensors",
    log:
        "results/{study}/logs/train/{model}.log",
    benchmark:
        "results/{study}/benchmarks/train/{model}.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        recipe=lambda w: STUDIES[w.study]["networks"][w.model]["recipe"],
        code=lambda w: fingerprint("workflow/scripts/train.py"),
    script:
        "../scripts/train.py"


use rule train as train_parent with:
    """Train a network that others start from or learn from: these go first."""
    wildcard_constraints:
        model="|".join(PARENTS) or "-",
    priority: 1


rule head:
    """Give a network that is trained already the head that makes it a classifier of the study."""
    input:
        manifest="results/{study}/dataset/manifest.tsv",
        images=lambda w: expand(
            "results/{study}/images/{geometry}/{split}.npy",
            study=w.study,
            geometry=STUDIES[w.study]["networks"][w.model]["geometry"],
            split=STUDIES[w.study]["networks"][w.model]["recipe"].get("data", []),
        ),
        parent=lambda w: expand(
            "results/{study}/models/{parent}/checkpoint.safetensors",
            study=w.study,
            parent=STUDIES[w.study]["networks"][w.model]["parent"] or [],
        ),
        weights=lambda w: STUDIES[w.study]["networks"][w.model]["recipe"].get("checkpoint", []),
    output:
        checkpoint="results/{study}/models/{model}/checkpoint.safetensors",
    log:
        "results/{study}/logs/head/{model}.log",
    benchmark:
        "results/{study}/benchmarks/head/{model}.tsv"
    wildcard_constraints:
        model="|".join(HEADS) or "-",
    conda:
        "../../envs/workflow.yaml"
    params:
        recipe=lambda w: STUDIES[w.study]["networks"][w.model]["recipe"],
        code=lambda w: fingerprint("workflow/scripts/head.py"),
    script:
        "../scripts/head.py"


ruleorder: head > train_parent > train
