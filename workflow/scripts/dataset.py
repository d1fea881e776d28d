"""Turn a dataset into one manifest: ids, labels, class names, splits, and a digest."""

from workflow.lib.datasets import build_manifest


def dataset(*, source: list[str], manifest: str, dataset: dict) -> None:
    """Find a dataset's examples, divide them into splits, and write the manifest.

    Parameters
    ----------
    source : list of str
        Every file of the dataset.
    manifest : str
        Table to write.
    dataset : dict
        `kind`, `path`, `splits` and `seed` as in the configuration.
    """
    build_manifest(
        dataset["kind"], dataset["path"], source, dataset["splits"], dataset["seed"]
    ).write(manifest)


if "snakemake" in globals():
    from workflow.lib.jobs import run_script

    run_script(dataset, snakemake)  # noqa: F821
