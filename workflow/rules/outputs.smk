"""From weights to logits and features: all that the analyses read of a model."""

from workflow.lib.brought import SCORED, brought_file, needed_splits, template_splits

# Models whose logits the user brings as a file, and all others.
BROUGHT, COMPUTED = (
    {
        key
        for name in MEASURED
        for key, network in STUDIES[name]["networks"].items()
        if (network["recipe"]["head"] == "logits") == brought
    }
    for brought in (True, False)
)


rule extract:
    """Run a model over the splits that are analysed; a killed extraction goes on from its block."""
    input:
        manifest="results/{study}/dataset/manifest.tsv",
        tasks=[],
        checkpoint="results/{study}/models/{model}/checkpoint.safetensors",
        images=lambda w: expand(
            "results/{study}/images/{geometry}/{split}.npy",
            study=w.study,
            geometry=STUDIES[w.study]["networks"][w.model]["geometry"],
            split=["calibration", "test"],
        ),
    output:
        files=[
            "results/{study}/outputs/{model}/calibration.h5",
            "results/{study}/outputs/{model}/test.h5",
        ],
    log:
        "results/{study}/logs/extract/{model}.log",
    benchmark:
        "results/{study}/benchmarks/extract/{model}.tsv"
    wildcard_constraints:
        model="|".join(COMPUTED) or "-",
    conda:
        "../../envs/workflow.yaml"
    params:
        model=lambda w: w.model,
        recipe=lambda w: STUDIES[w.study]["networks"][w.model]["recipe"],
        splits=["calibration", "test"],
        extraction=lambda w: STUDIES[w.study]["extraction"],
        code=lambda w: fingerprint("workflow/scripts/extract.py"),
    script:
        "../scripts/extract.py"


rule template:
    """Write the images and classes, in order, that a file of brought logits must have.

    snakemake --cores 1 --configfile studies/<study>.yaml results/<study>/template/images.csv
    """
    input:
        manifest="results/{study}/dataset/manifest.tsv",
    output:
        images="results/{study}/template/images.csv",
        classes="results/{study}/template/classes.csv",
    log:
        "results/{study}/logs/template.log",
    benchmark:
        "results/{study}/benchmarks/template.tsv"
    wildcard_constraints:
        study="|".join(MEASURED) or "-",
    conda:
        "../../envs/workflow.yaml"
    params:
        splits=lambda w: template_splits(STUDY),
        code=lambda w: fingerprint("workflow/scripts/template.py"),
    script:
        "../scripts/template.py"


rule brought:
    """Take a model's logits, and features where there are any, from a file of any framework."""
    input:
        manifest="results/{study}/dataset/manifest.tsv",
        source=lambda w: brought_file(STUDY, w.model),
    output:
        files=[
            "results/{study}/outputs/{model}/calibration.h5",
            "results/{study}/outputs/{model}/test.h5",
        ],
    log:
        "results/{study}/logs/brought/{model}.log",
    benchmark:
        "results/{study}/benchmarks/brought/{model}.tsv"
    wildcard_constraints:
        model="|".join(BROUGHT) or "-",
    conda:
        "../../envs/workflow.yaml"
    params:
        model=lambda w: w.model,
        sha256=lambda w: STUDIES[w.study]["networks"][w.model]["recipe"].get("sha256"),
        splits=SCORED,
        order=lambda w: needed_splits(STUDY, w.model),
        template=lambda w: template_splits(STUDY),
        images="results/{study}/template/images.csv",
        record="results/{study}/models/{model}/order.sha256",
        features=lambda w: needed_splits(STUDY, w.model) != SCORED,
        code=lambda w: fingerprint("workflow/scripts/brought.py"),
    script:
        "../scripts/brought.py"


use rule brought as brought_features with:
    """Take a model's features of the images that linear probes learn from, likewise."""
    output:
        files=["results/{study}/outputs/{model}/{split}.h5"],
    log:
        "results/{study}/logs/brought_features/{model}/{split}.log",
    benchmark:
        "results/{study}/benchmarks/brought_features/{model}/{split}.tsv"
    params:
        model=lambda w: w.model,
        sha256=lambda w: STUDIES[w.study]["networks"][w.model]["recipe"].get("sha256"),
        splits=lambda w: [w.split],
        order=lambda w: needed_splits(STUDY, w.model),
        template=lambda w: template_splits(STUDY),
        images="results/{study}/template/images.csv",
        record="results/{study}/models/{model}/order.sha256",
        features=True,
        code=lambda w: fingerprint("workflow/scripts/brought.py"),


ruleorder: brought > brought_features
