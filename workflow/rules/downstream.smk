"""From a further, multi-label task to what models and pairs of models make of it."""

if STUDY.downstream.kind == "scenes":

    rule scenes:
        """Compose scenes of images that no model learnt from, each class a task of its own."""
        input:
            manifest="<results>/dataset/manifest.tsv",
            images="<results>/images/{geometry}/{split}.npy".format(
                geometry=STUDY.networks[STUDY.features.base].geometry,
                split=STUDY.downstream.split,
            ),
        output:
            scenes="<results>/downstream/scenes.npy",
            tasks="<results>/downstream/manifest.tsv",
        log:
            "<results>/logs/scenes.log",
        benchmark:
            "<results>/benchmarks/scenes.tsv"
        conda:
            "../../envs/workflow.yaml"
        params:
            settings={
                "split": STUDY.downstream.split,
                "shares": {"train": 0.25, "val": 0.25, "test": 0.5},  # as of VOC 2007
                "seed": STUDY.downstream.seed,
            },
            code=fingerprint("scenes"),
        script:
            "../scripts/scenes.py"

else:

    rule tasks:
        """Read images and labels of a multi-label dataset; a task with one positive ends it here."""
        input:
            source=lambda w: source_files(STUDY.downstream.settings),
        output:
            manifest="<results>/downstream/manifest.tsv",
        log:
            "<results>/logs/tasks.log",
        benchmark:
            "<results>/benchmarks/tasks.tsv"
        conda:
            "../../envs/workflow.yaml"
        params:
            settings={"path": STUDY.downstream.path},
            code=fingerprint("tasks"),
        script:
            "../scripts/tasks.py"


use rule images as task_images with:
    """Decode, resize and crop the images of the task once for each geometry."""
    input:
        manifest="<results>/downstream/manifest.tsv",
    output:
        array="<results>/downstream/images/{geometry}/{split}.npy",
    log:
        "<results>/logs/task_images/{geometry}/{split}.log",
    benchmark:
        "<results>/benchmarks/task_images/{geometry}/{split}.tsv"
    params:
        settings=lambda w: {
            "dataset": {"kind": STUDY.downstream.kind, "path": STUDY.downstream.path},
            "geometry": STUDY.geometries[w.geometry],
            "split": w.split,
        },
        code=fingerprint("images"),


use rule extract as extract_tasks with:
    """Run a model over the images of the task."""
    input:
        manifest="<results>/downstream/manifest.tsv",
        classes="<results>/dataset/manifest.tsv",
        checkpoint="<results>/models/{model}/checkpoint.safetensors",
        images=lambda w: expand(
            "<results>/downstream/images/{geometry}/{split}.npy",
            geometry=STUDY.networks[w.model].geometry,
            split=["train", "val", "test"],
        ),
    output:
        files=expand(
            "<results>/downstream/outputs/{{model}}/{split}.h5", split=["train", "val", "test"]
        ),
    log:
        "<results>/logs/extract_tasks/{model}.log",
    benchmark:
        "<results>/benchmarks/extract_tasks/{model}.tsv"
    params:
        settings=lambda w: {
            "model": w.model,
            "recipe": STUDY.networks[w.model].recipe,
            "splits": ["train", "val", "test"],
            "extraction": STUDY.extraction,
        },
        code=fingerprint("extract"),


rule downstream:
    """Fit linear probes to a model's features, alone and beside those of each model before it."""
    input:
        tasks="<results>/downstream/manifest.tsv",
        train=lambda w: expand(
            "<results>/downstream/outputs/{model}/train.h5",
            model=STUDY.downstream.partners[w.model],
        ),
        val=lambda w: expand(
            "<results>/downstream/outputs/{model}/val.h5", model=STUDY.downstream.partners[w.model]
        ),
        test=lambda w: expand(
            "<results>/downstream/outputs/{model}/test.h5",
            model=STUDY.downstream.partners[w.model],
        ),
    output:
        table="<results>/downstream/probes/{model}.tsv",
    log:
        "<results>/logs/downstream/{model}.log",
    benchmark:
        "<results>/benchmarks/downstream/{model}.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings=lambda w: {
            "models": STUDY.downstream.partners[w.model],
            "regularisation": STUDY.downstream.regularisation,
        },
        code=fingerprint("downstream"),
    script:
        "../scripts/downstream.py"


rule transfer:
    """Put what models and pairs do on the task beside what is known of them."""
    input:
        models="<results>/models.tsv",
        pairs="<results>/pairs.tsv",
        probes=expand("<results>/downstream/probes/{model}.tsv", model=STUDY.downstream.models),
    output:
        table="<results>/figures/figure7.tsv",
    log:
        "<results>/logs/transfer.log",
    benchmark:
        "<results>/benchmarks/transfer.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        settings={"base": STUDY.features.base, "combination": STUDY.ensemble},
        code=fingerprint("transfer"),
    script:
        "../scripts/transfer.py"


rule figure7:
    """A further task: accuracy and diversity of single models, and pairs of them."""
    input:
        table="<results>/figures/figure7.tsv",
    output:
        multiext("<results>/figures/figure7", pdf=".pdf", svg=".svg", png=".png"),
    log:
        "<results>/logs/figure7.log",
    benchmark:
        "<results>/benchmarks/figure7.tsv"
    conda:
        "../../envs/workflow.yaml"
    params:
        code=fingerprint("figures/figure7"),
    script:
        "../scripts/figures/figure7.py"
