"""Turn a dataset into one manifest: ids, labels, class names, splits, and a digest."""

from dataclasses import replace

from workflow.lib.data.kinds import build_manifest
from workflow.lib.outputs.digests import digest_files


def dataset(
    *, source: list[str] | str, manifest: str, dataset: dict, listing: str, threads: int
) -> None:
    """Find a dataset's examples, divide them into splits, and write the manifest.

    Parameters
    ----------
    source : list of str or str
        Every file of a small dataset; of a large one, those that say what its images show.
    manifest : str
        Table to write.
    dataset : dict
        `kind`, `path`, `splits`, `seed` and `skip_corrupt` as in the configuration.
    listing : str
        Digest of a large dataset's files, so that a change of one is noticed.
    threads : int
    """
    files = [source] if isinstance(source, str) else source
    replace(build_manifest(dataset, threads), source=digest_files(files, listing)).write(manifest)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(dataset, snakemake)
