"""From images or public weights to checkpoints: one job for each network of the study."""

from workflow.lib.models.hub import weights_files

# Networks that get a head only, those with public weights, those that are trained, and of these
# those that others start from or learn from.
HEADS = {
    key
    for name in MEASURED
    for key, network in STUDIES[name]["networks"].items()
    if network["recipe"]["head"] in ("lbfgs", "zero-shot", "class-mapping", "checkpoint")
}
PUBLIC = {
    key
    for name in MEASURED
    for key, network in STUDIES[name]["networks"].items()
    if "timm" in network["recipe"] or "open_clip" in network["recipe"]
}
TRAINED = {
    key
    for name in MEASURED
    for key, network in STUDIES[name]["networks"].items()
    if key not in HEADS | PUBLIC and network["recipe"]["head"] != "logits"
}
PARENTS = TRAINED & {
    network["parent"]
    for name in MEASURED
    for network in STUDIES[name]["networks"].values()
    if network["parent"]
}
# Trainings that decode the image files themselves, each epoch anew.
FROM_FILES = {
    (name, key)
    for name in MEASURED
    for key, network in STUDIES[name]["networks"].items()
    if network["recipe"].get("augmentation") == "random-resized-crop"
}


# Nodes of a cluster that compute often reach no hub.
localrules:
    pretrained,


rule pretrained:
    """Bring the weights of a public network, from the hub or from a file, among the checkpoints."""
    input:
        # A classifier must have the study's classes.
        manifest=lambda w: (
            f"results/{w.study}/dataset/manifest.tsv"
            if STUDIES[w.study]["networks"][w.model]["recipe"]["head"] == "pretrained"
            else []
        ),
        weights=lambda w: weights_files(STUDIES[w.study]["networks"][w.model]["recipe"]),
    output:
        checkpoint="results/{study}/models/{model}/checkpoint.safetensors",
    log:
        "results/{study}/logs/pretrained/{model}.log",
    benchmark:
        "results/{study}/benchmarks/pretrained/{model}.tsv"
    wildcard_constraints:
        model="|".join(PUBLIC) or "-",
    conda:
        "../../envs/workflow.yaml"
    params:
        recipe=lambda w: STUDIES[w.study]["networks"][w.model]["recipe"],
        entry=lambda w: (
            f"models.{w.model}"
            if w.model in STUDIES[w.study]["models"]
            else f"pretraining.{w.model}"
        ),
        code=fingerprint("pretrained"),
    script:
        "../scripts/pretrained.py"


rule train:
    """Train a network by its recipe; a killed training goes on from its last epoch."""
    input:
        manifest="results/{study}/dataset/manifest.tsv",
        images=lambda w: expand(
            "results/{study}/images/{geometry}/{split}.npy",
            study=w.study,
            geometry=STUDIES[w.study]["networks"][w.model]["geometry"],
            split=(
                []
                if (w.study, w.model) in FROM_FILES
                else STUDIES[w.study]["networks"][w.model]["recipe"].get("data", [])
            ),
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
    wildcard_constraints:
        model="|".join(TRAINED) or "-",
    conda:
        "../../envs/workflow.yaml"
    # Decoding keeps many cores busy for one GPU; the result does not depend on their number.
    threads: lambda w: 16 if (w.study, w.model) in FROM_FILES else 1
    params:
        recipe=lambda w: STUDIES[w.study]["networks"][w.model]["recipe"],
        dataset=lambda w: (
            {key: STUDIES[w.study]["dataset"][key] for key in ("kind", "path")}
            if (w.study, w.model) in FROM_FILES
            else None
        ),
        code=fingerprint("train"),
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
        code=fingerprint("head"),
    script:
        "../scripts/head.py"


ruleorder: pretrained > head > train_parent > train
