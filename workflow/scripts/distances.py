"""Place all models on a map, and join them into clusters, by how inconsistent their errors are."""

from workflow.lib.measures.maps import cluster, distances, model_map
from workflow.lib.outputs.tables import read_table, write_table


def distances_of_models(*, pairs: str, models: str, map: str, clusters: str) -> None:
    """Write what the map and the clusters draw.

    Parameters
    ----------
    pairs, models : str
        Tables of pairs and of models.
    map, clusters : str
        Tables to write: `model_map`, and all distances as `cluster` orders them.
    """
    known = read_table(models)
    matrix = distances(read_table(pairs), known)
    write_table(map, model_map(matrix, known))
    write_table(clusters, cluster(matrix, known)[1])


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(distances_of_models, snakemake)
