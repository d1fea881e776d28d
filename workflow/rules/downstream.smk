"""From a further, multi-label task to what models and pairs of models make of it."""


rule scenes:
    """Compose scenes of images that no model learnt from, in the layout of Pascal VOC 2007."""
    input:
        manifest="results/{study}/dataset/manifest.tsv",
        images=lambda w: "results/{study}/images/{geometry}/{split}.npy".format(
            study=w.study,
            geometry=STUDIES[w.study]["networks"][STUDIES[w.study]["features"]["base"]][
                "geometry"
            ],
            split=STUDIES[w.study]["downstream"]["split"],
        ),
    output:
        directory=directory("results/{study}/downstream/scenes"),
        listing="results/{study}/downstream/scenes.sha256",
    log:
        "results/{study}/logs/scenes.log",
    benchmark:
        "results/{study}/benchmarks/scenes.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        split=lambda w: STUDIES[w.study]["downstream"]["split"],
        shares={"train": 0.25, "val": 0.25, "test": 0.5},  # as of VOC 2007
        seed=lambda w: STUDIES[w.study]["downstream"]["seed"],
        code=fingerprint("scenes"),
    script:
        "../scripts/scenes.py"


rule tasks:
    """Read the images and labels of a multi-label dataset; a task with one positive ends it here."""
    input:
        source=lambda w: source_files(STUDIES[w.study]["downstream"]),
    output:
        manifest="results/{study}/downstream/manifest.tsv",
    log:
        "results/{study}/logs/tasks.log",
    benchmark:
        "results/{study}/benchmarks/tasks.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        path=lambda w: STUDIES[w.study]["downstream"]["path"],
        code=fingerprint("tasks"),
    script:
        "../scripts/tasks.py"


use rule images as task_images with:
    """Decode, resize and crop the images of the task once for each geometry."""
    input:
        manifest="results/{study}/downstream/manifest.tsv",
    output:
        array="results/{study}/downstream/images/{geometry}/{split}.npy",
    log:
        "results/{study}/logs/task_images/{geometry}/{split}.log",
    benchmark:
        "results/{study}/benchmarks/task_images/{geometry}/{split}.tsv"
    params:
        dataset=lambda w: {"kind": "folder", "path": STUDIES[w.study]["downstream"]["path"]},
        geometry=lambda w: STUDIES[w.study]["geometries"][w.geometry],
        split=lambda w: w.split,
        code=fingerprint("images"),


use rule extract as extract_tasks with:
    """Run a model over the images of the task."""
    input:
        manifest="results/{study}/dataset/manifest.tsv",
        tasks="results/{study}/downstream/manifest.tsv",
        checkpoint="results/{study}/models/{model}/checkpoint.safetensors",
        images=lambda w: expand(
            "results/{study}/downstream/images/{geometry}/{split}.npy",
            study=w.study,
            geometry=STUDIES[w.study]["networks"][w.model]["geometry"],
            split=["train", "val", "test"],
        ),
    output:
        files=[
            "results/{study}/downstream/outputs/{model}/train.h5",
            "results/{study}/downstream/outputs/{model}/val.h5",
            "results/{study}/downstream/outputs/{model}/test.h5",
        ],
    log:
        "results/{study}/logs/extract_tasks/{model}.log",
    benchmark:
        "results/{study}/benchmarks/extract_tasks/{model}.tsv"
    params:
        model=lambda w: w.model,
        recipe=lambda w: STUDIES[w.study]["networks"][w.model]["recipe"],
        splits=["train", "val", "test"],
        extraction=lambda w: STUDIES[w.study]["extraction"],
        code=fingerprint("extract"),


rule downstream:
    """Fit linear probes to a model's features, alone and beside those of each model before it."""
    input:
        tasks="results/{study}/downstream/manifest.tsv",
        outputs=lambda w: expand(
            "results/{study}/downstream/outputs/{model}/{split}.h5",
            study=w.study,
            model=STUDIES[w.study]["downstream"]["partners"][w.model],
            split=["train", "val", "test"],
        ),
    output:
        table="results/{study}/downstream/probes/{model}.tsv",
    log:
        "results/{study}/logs/downstream/{model}.log",
    benchmark:
        "results/{study}/benchmarks/downstream/{model}.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        models=lambda w: STUDIES[w.study]["downstream"]["partners"][w.model],
        regularisation=lambda w: STUDIES[w.study]["downstream"]["regularisation"],
        code=fingerprint("downstream"),
    script:
        "../scripts/downstream.py"


rule figure7:
    """A further task: accuracy and diversity of single models, and pairs of them."""
    input:
        models="results/{study}/models.tsv",
        pairs="results/{study}/pairs.tsv",
        probes=lambda w: expand(
            "results/{study}/downstream/probes/{model}.tsv",
            study=w.study,
            model=STUDIES[w.study]["downstream"]["models"],
        ),
    output:
        pdf="results/{study}/figures/figure7.pdf",
        svg="results/{study}/figures/figure7.svg",
        png="results/{study}/figures/figure7.png",
        tsv="results/{study}/figures/figure7.tsv",
    log:
        "results/{study}/logs/figure7.log",
    benchmark:
        "results/{study}/benchmarks/figure7.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        base=lambda w: STUDIES[w.study]["features"]["base"],
        mean=lambda w: STUDIES[w.study]["ensemble"],
        code=fingerprint("figures/figure7"),
    script:
        "../scripts/figures/figure7.py"
