"""From any dataset to one manifest, and to its images decoded once."""

from workflow.lib.data.kinds import source_files, source_listing, source_warnings
from workflow.lib.study.inputs import check_inputs

if workflow.is_main_process:
    check_inputs(STUDY, workflow.configfiles)
    for message in source_warnings(STUDY.dataset.settings):
        logger.warning(message)


rule dataset:
    """Divide a dataset into splits; a class without an image, or a missing file, ends it here."""
    input:
        source=lambda w: source_files(STUDY.dataset.settings),
    output:
        manifest="<results>/dataset/manifest.tsv",
    log:
        "<results>/logs/dataset.log",
    benchmark:
        "<results>/benchmarks/dataset.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 8 if STUDY.dataset.settings["skip_corrupt"] else 1
    params:
        settings={"dataset": STUDY.dataset.settings},
        listing=lambda w: source_listing(STUDY.dataset.settings),
        code=fingerprint("dataset"),
    script:
        "../scripts/dataset.py"


rule images:
    """Decode, resize and crop the images of a split once, for all models of that geometry."""
    input:
        manifest="<results>/dataset/manifest.tsv",
    output:
        array="<results>/images/{geometry}/{split}.npy",
    log:
        "<results>/logs/images/{geometry}/{split}.log",
    benchmark:
        "<results>/benchmarks/images/{geometry}/{split}.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: 1 if STUDY.dataset.kind == "fashion-mnist" else 8
    params:
        settings=lambda w: {
            "dataset": {"kind": STUDY.dataset.kind, "path": STUDY.dataset.path},
            "geometry": STUDY.geometries[w.geometry],
            "split": w.split,
        },
        code=fingerprint("images"),
    script:
        "../scripts/images.py"
