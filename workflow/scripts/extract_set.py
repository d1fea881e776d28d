"""Run all models over a further test set, one after the other in one process.

What a model has made of these images stays when others join: its part file is kept under a second
name, and there is nothing to compute again unless its weights, the images or the code changed.
"""

from workflow.scripts.extract import extract


def extract_set(
    *,
    manifest: str,
    classes: str,
    checkpoints: list[str],
    images: list[str],
    files: list[str],
    models: list[str],
    recipes: list[dict],
    geometries: list[str],
    extraction: dict,
    code: list[str],
    threads: int,
) -> None:
    """Write the outputs of each model.

    Parameters
    ----------
    manifest, classes : str
        Manifests of the test set, and of the study.
    checkpoints, files : list of str
        Weights of each model, and the outputs file to make.
    images : list of str
        Prepared images, <geometry>.npy.
    models, geometries : list of str
    recipes : list of dict
    extraction : dict
        As `extract` takes it.
    code : list of str
    threads : int
    """
    prepared = {path.rpartition("/")[2].removesuffix(".npy"): path for path in images}
    every = zip(models, recipes, geometries, checkpoints, files, strict=True)
    for model, recipe, geometry, checkpoint, file in every:
        extract(
            manifest=manifest,
            classes=classes,
            checkpoint=checkpoint,
            images=[prepared[geometry]],
            files=[file],
            model=model,
            recipe=recipe,
            splits=["test"],
            extraction=extraction,
            code=code,
            threads=threads,
        )


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(extract_set, snakemake)
