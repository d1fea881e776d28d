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
    threads: lambda w: 8 if STUDIES[w.study]["dataset"].get("skip_corrupt") else 1
    params:
        dataset=lambda w: STUDIES[w.study]["dataset"],
        listing=lambda w: source_listing(STUDIES[w.study]["dataset"]),
        code=fingerprint("dataset"),
    script:
        "../scripts/dataset.py"


rule images:
    """Decode, resize and crop the images of a split once, for all models of that geometry."""
    input:
        manifest="results/{study}/dataset/manifest.tsv",
    output:
        array="results/{study}/images/{geometry}/{split}.npy",
    log:
        "results/{study}/logs/images/{geometry}/{split}.log",
    benchmark:
        "results/{study}/benchmarks/images/{geometry}/{split}.tsv"
    conda:
        "../../envs/workflow.yaml"
    threads: lambda w: 1 if STUDIES[w.study]["dataset"]["kind"] == "fashion-mnist" else 8
    params:
        dataset=lambda w: {key: STUDIES[w.study]["dataset"][key] for key in ("kind", "path")},
        geometry=lambda w: STUDIES[w.study]["geometries"][w.geometry],
        split=lambda w: w.split,
        code=fingerprint("images"),
    script:
        "../scripts/images.py"
