"""Describe all pairs of models on a further test set, and the models, from their counts."""

import numpy as np

from workflow.lib.ensembles.counts import read_counts
from workflow.lib.measures.pairs import pair_table
from workflow.lib.measures.statistics import wilson
from workflow.lib.outputs.arrays import read_arrays
from workflow.lib.outputs.tables import read_table, write_table
from workflow.scripts.pairs import describe


def pairs_on_set(
    *,
    counts: str,
    clean_counts: str,
    answers: str,
    models: str,
    pairs: str,
    clean_pairs: str,
    models_table: str,
) -> None:
    """Write tables of pairs and of models.

    Parameters
    ----------
    counts, clean_counts, answers : str
        What `counts_on_set` wrote.
    models : str
        Table of models of the study, whose main analyses theirs are, too.
    pairs, clean_pairs : str
        Tables to write, as `pairs.tsv` of the study: on the test set, and on the study's test
        images that it is to be compared with.
    models_table : str
        Table to write: a row a model, with its `accuracy` among the classes that the test set has,
        that among all classes, `accuracy_of_all`, and `clean_accuracy` on the images beside it.
    """
    known = read_table(models)
    for source, target in ((counts, pairs), (clean_counts, clean_pairs)):
        keys, found = read_counts(source)
        (beside,) = found.values()
        write_table(target, describe(pair_table(beside, keys), known))
    right = read_arrays(answers)
    table = known.set_index("model").loc[keys, ["name", "category", "group"]].reset_index()
    examples = right["right"].shape[1]
    for column, own in (("accuracy", right["right"]), ("accuracy_of_all", right["right_of_all"])):
        table[column] = own.mean(axis=1)
    low, high = wilson(right["right"].sum(axis=1), np.full(len(keys), examples))
    table["accuracy_low"], table["accuracy_high"] = low, high
    table["clean_accuracy"] = beside.correct / beside.examples
    table["examples"] = examples
    write_table(models_table, table)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(pairs_on_set, snakemake)
