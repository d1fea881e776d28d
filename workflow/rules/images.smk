"""From answers to images: how each fares with all models, and what attributes it has."""

from workflow.lib.data.files import check_path


rule image_answers:
    """Count for each test image which models get it right, and what most of them answer."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        answers="<results>/answers.npz",
    output:
        table="<results>/images.tsv",
    log:
        "<results>/logs/image_answers.log",
    benchmark:
        "<results>/benchmarks/image_answers.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={"categories": STUDY.counted, "split": "test"},
        code=fingerprint("image_answers"),
    script:
        "../scripts/image_answers.py"


rule image_sheets:
    """Images that no model gets right, and those whose most frequent answer is not the label."""
    input:
        table="<results>/images.tsv",
        images=f"<results>/images/{STUDY.shown_geometry}/test.npy",
    output:
        none_right="<results>/image_sheets/none-right.png",
        suspected="<results>/image_sheets/suspected-labels.png",
        tsv="<results>/image_sheets/shown.tsv",
    log:
        "<results>/logs/image_sheets.log",
    benchmark:
        "<results>/benchmarks/image_sheets.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={"number": 40},
        code=fingerprint("figures/image_sheets"),
    script:
        "../scripts/figures/image_sheets.py"


rule attributes:
    """Read the attributes of the test images from a table, or take them by their pixels."""
    input:
        manifest="<results>/dataset/manifest.tsv",
        source=lambda w: (
            f"<results>/images/{STUDY.shown_geometry}/test.npy"
            if STUDY.attributes == "pixels"
            else check_path(STUDY.attributes, "attributes")
        ),
    output:
        table="<results>/attributes.tsv",
    log:
        "<results>/logs/attributes.log",
    benchmark:
        "<results>/benchmarks/attributes.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={"pixels": STUDY.attributes == "pixels", "split": "test"},
        code=fingerprint("attributes"),
    script:
        "../scripts/attributes.py"
