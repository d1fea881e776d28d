"""From images or public weights to checkpoints: one job for each network of the study."""

from workflow.lib.models.hub import weights_files


# Nodes of a cluster that compute often reach no hub.
localrules:
    pretrained,


rule pretrained:
    """Bring the weights of a public network, from the hub or from a file, among the checkpoints."""
    input:
        # A classifier must have the study's classes.
        manifest=lambda w: (
            "<results>/dataset/manifest.tsv"
            if STUDY.networks[w.model].recipe["head"] == "pretrained"
            else []
        ),
        weights=lambda w: weights_files(STUDY.networks[w.model].recipe),
    output:
        checkpoint="<results>/models/{model}/checkpoint.safetensors",
    log:
        "<results>/logs/pretrained/{model}.log",
    benchmark:
        "<results>/benchmarks/pretrained/{model}.tsv"
    wildcard_constraints:
        model=STUDY.made_by("pretrained"),
    conda:
        "../../envs/workflow.yaml"
    params:
        settings=lambda w: {
            "recipe": STUDY.networks[w.model].recipe,
            "entry": f"{'models' if w.model in STUDY.models else 'pretraining'}.{w.model}",
        },
        code=fingerprint("pretrained"),
    script:
        "../scripts/pretrained.py"


rule train:
    """Train a network by its recipe; a killed training resumes from its last epoch."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        images=lambda w: expand(
            "<results>/images/{geometry}/{split}.npy",
            geometry=STUDY.networks[w.model].geometry,
            split=STUDY.networks[w.model].arrays,
        ),
        parents=lambda w: expand(
            "<results>/models/{parent}/checkpoint.safetensors",
            parent=STUDY.networks[w.model].parents,
        ),
    output:
        checkpoint="<results>/models/{model}/checkpoint.safetensors",
    log:
        "<results>/logs/train/{model}.log",
    benchmark:
        "<results>/benchmarks/train/{model}.tsv"
    wildcard_constraints:
        model=STUDY.made_by("train"),
    conda:
        "../../envs/workflow.yaml"
    # Decoding keeps many cores busy for one GPU; the result does not depend on their number.
    threads: lambda w: 16 if STUDY.networks[w.model].reads_files else 1
    params:
        settings=lambda w: {
            "recipe": STUDY.networks[w.model].recipe,
            "dataset": (
                {"kind": STUDY.dataset.kind, "path": STUDY.dataset.path}
                if STUDY.networks[w.model].reads_files
                else None
            ),
        },
        code=fingerprint("train"),
    script:
        "../scripts/train.py"


use rule train as train_parent with:
    """Train a network that others start from or learn from: these go first."""
    wildcard_constraints:
        model=STUDY.made_by("train", parents=True),
    priority: 1


rule head:
    """Give a network that is trained already the head that makes it a classifier of the study."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        images=lambda w: expand(
            "<results>/images/{geometry}/{split}.npy",
            geometry=STUDY.networks[w.model].geometry,
            split=STUDY.networks[w.model].arrays,
        ),
        parents=lambda w: expand(
            "<results>/models/{parent}/checkpoint.safetensors",
            parent=STUDY.networks[w.model].parents,
        ),
        weights=lambda w: weights_files(STUDY.networks[w.model].recipe),
    output:
        checkpoint="<results>/models/{model}/checkpoint.safetensors",
    log:
        "<results>/logs/head/{model}.log",
    benchmark:
        "<results>/benchmarks/head/{model}.tsv"
    wildcard_constraints:
        model=STUDY.made_by("head"),
    conda:
        "../../envs/workflow.yaml"
    params:
        settings=lambda w: {"recipe": STUDY.networks[w.model].recipe},
        code=fingerprint("head"),
    script:
        "../scripts/head.py"


ruleorder: pretrained > head > train_parent > train
