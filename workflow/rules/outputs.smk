"""From weights to logits and features: all that the analyses read of a model."""

from workflow.lib.data.files import check_path
from workflow.lib.measures.accuracy import POPULATION, claims, gated, test_set
from workflow.lib.outputs.external import missing_files, without_features

if workflow.is_main_process:
    for message in [*missing_files(STUDY), *without_features(STUDY)]:
        logger.warning(message)

# Splits that are not evaluated: of the others, `extract` and `external` make the files at once.
LEARNT = rf"(?!({'|'.join(STUDY.evaluation_splits)})\.)[a-z0-9]+(-[a-z0-9]+)*"


rule extract:
    """Run a model over the evaluation splits; a killed extraction resumes from its last block."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        classes="<results>/dataset/manifest.tsv",
        checkpoint="<results>/models/{model}/checkpoint.safetensors",
        images=lambda w: expand(
            "<results>/images/{geometry}/{split}.npy",
            geometry=STUDY.networks[w.model].geometry,
            split=STUDY.evaluation_splits,
        ),
    output:
        files=expand("<results>/outputs/{{model}}/{split}.h5", split=STUDY.evaluation_splits),
    log:
        "<results>/logs/extract/{model}.log",
    benchmark:
        "<results>/benchmarks/extract/{model}.tsv"
    wildcard_constraints:
        model=STUDY.made_by("train", "head", "pretrained"),
    conda:
        "../../envs/workflow.yaml"
    params:
        settings=lambda w: {
            "model": w.model,
            "recipe": STUDY.networks[w.model].recipe,
            "splits": STUDY.evaluation_splits,
            "extraction": STUDY.extraction,
        },
        code=fingerprint("extract"),
    script:
        "../scripts/extract.py"


use rule extract as extract_features with:
    """Run a model over the images that linear probes learn from."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        classes="<results>/dataset/manifest.tsv",
        checkpoint="<results>/models/{model}/checkpoint.safetensors",
        images=lambda w: [f"<results>/images/{STUDY.networks[w.model].geometry}/{w.split}.npy"],
    output:
        files=["<results>/outputs/{model}/{split}.h5"],
    log:
        "<results>/logs/extract_features/{model}/{split}.log",
    benchmark:
        "<results>/benchmarks/extract_features/{model}/{split}.tsv"
    wildcard_constraints:
        model=STUDY.made_by("train", "head", "pretrained"),
        split=LEARNT,
    params:
        settings=lambda w: {
            "model": w.model,
            "recipe": STUDY.networks[w.model].recipe,
            "splits": [w.split],
            "extraction": STUDY.extraction,
        },
        code=fingerprint("extract"),


rule template:
    """Write the images and classes, in order, that a file of external outputs must have.

    snakemake --cores 1 --configfile studies/<study>.yaml -- results/<study>/template/images.csv
    """
    input:
        manifest="<results>/dataset/manifest.tsv",
    output:
        images="<results>/template/images.csv",
        classes="<results>/template/classes.csv",
    log:
        "<results>/logs/template.log",
    benchmark:
        "<results>/benchmarks/template.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={"splits": STUDY.template_splits},
        code=fingerprint("template"),
    script:
        "../scripts/template.py"


rule external:
    """Take a model's logits, and features where there are any, from a file of any framework."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        source=lambda w: check_path(
            STUDY.networks[w.model].recipe["logits"], f"models.{w.model}.logits"
        ),
    output:
        files=expand("<results>/outputs/{{model}}/{split}.h5", split=STUDY.evaluation_splits),
    log:
        "<results>/logs/external/{model}.log",
    benchmark:
        "<results>/benchmarks/external/{model}.tsv"
    wildcard_constraints:
        model=STUDY.made_by("external"),
    conda:
        "../../envs/workflow.yaml"
    params:
        settings=lambda w: {
            "model": w.model,
            "sha256": STUDY.networks[w.model].recipe.get("sha256"),
            "macs": STUDY.networks[w.model].recipe.get("macs"),
            "splits": STUDY.evaluation_splits,
            "order": STUDY.splits_of(w.model),
            "template": STUDY.template_splits,
            "images": f"results/{STUDY.name}/template/images.csv",
            "record": f"results/{STUDY.name}/models/{w.model}/order.sha256",
            "features": STUDY.splits_of(w.model) != STUDY.evaluation_splits,
        },
        code=fingerprint("external"),
    script:
        "../scripts/external.py"


use rule external as external_features with:
    """Take a model's features of the images that linear probes learn from, likewise."""
    output:
        files=["<results>/outputs/{model}/{split}.h5"],
    log:
        "<results>/logs/external_features/{model}/{split}.log",
    benchmark:
        "<results>/benchmarks/external_features/{model}/{split}.tsv"
    wildcard_constraints:
        model=STUDY.made_by("external"),
        split=LEARNT,
    params:
        settings=lambda w: {
            "model": w.model,
            "sha256": STUDY.networks[w.model].recipe.get("sha256"),
            "macs": STUDY.networks[w.model].recipe.get("macs"),
            "splits": [w.split],
            "order": STUDY.splits_of(w.model),
            "template": STUDY.template_splits,
            "images": f"results/{STUDY.name}/template/images.csv",
            "record": f"results/{STUDY.name}/models/{w.model}/order.sha256",
            "features": True,
        },
        code=fingerprint("external"),


rule accuracy:
    """Compare public checkpoints with their published accuracy; one that is off ends it here."""
    input:
        correct="<results>/correct.tsv",
    output:
        table="<results>/accuracy.tsv",
    log:
        "<results>/logs/accuracy.log",
    benchmark:
        "<results>/benchmarks/accuracy.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={
            "claims": claims(STUDY),
            "population": POPULATION.get(test_set(STUDY.dataset)),
            "tolerance": STUDY.accuracy_tolerance,
        },
        code=fingerprint("accuracy"),
    script:
        "../scripts/accuracy.py"
