"""From weights to logits and features: all that the analyses read of a model."""


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
    conda:
        "../../envs/workflow.yaml"
    params:
        model=lambda w: w.model,
        recipe=lambda w: STUDIES[w.study]["networks"][w.model]["recipe"],
        splits=["calibration", "test"],
        code=lambda w: fingerprint("workflow/scripts/extract.py"),
    script:
        "../scripts/extract.py"
