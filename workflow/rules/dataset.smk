"""From any dataset to one manifest, and to its images decoded once."""


rule dataset:
    """Divide a dataset into splits; a class without an image, or a missing file, ends it here."""
    input:
        source=lambda w: source_files(STUDIES[w.study]["dataset"]),
    output:
        manifest="results/{study}/dataset/manifest.tsv",
    log:
        "results/{study}/logs/dataset.log",
    benchmark:
        "results/{study}/benchmarks/dataset.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        dataset=lambda w: STUDIES[w.study]["dataset"],
        code=lambda w: fingerprint("workflow/scripts/dataset.py"),
    script:
        "../scripts/dataset.py"


rule images:
    """Decode, resize and crop the images of a split once, for all models of that geometry."""
    input:
        manifest="results/{study}/dataset/manifest.tsv",
        source=lambda w: source_files(STUDIES[w.study]["dataset"]),
    output:
        array="results/{study}/images/{geometry}/{split}.npy",
    log:
        "results/{study}/logs/images/{geometry}/{split}.log",
    benchmark:
        "results/{study}/benchmarks/images/{geometry}/{split}.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        dataset=lambda w: STUDIES[w.study]["dataset"],
        geometry=lambda w: STUDIES[w.study]["geometries"][w.geometry],
        split=lambda w: w.split,
        code=lambda w: fingerprint("workflow/scripts/images.py"),
    script:
        "../scripts/images.py"
