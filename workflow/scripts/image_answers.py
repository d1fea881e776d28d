"""How each test image fares with all models: who gets it right, and what most of them answer.

Models that have the weights of another are not counted twice. The images are in the dataset's
order; `rank` orders those whose most frequent answer is not the label, as suspected labels are
looked at.
"""

import numpy as np

from workflow.lib.data.manifest import Manifest
from workflow.lib.measures.images import describe_images
from workflow.lib.outputs.arrays import read_arrays
from workflow.lib.outputs.tables import write_table


def image_answers(
    *, manifest: str, answers: str, table: str, categories: dict[str, str], split: str
) -> None:
    """Write a table of images.

    Parameters
    ----------
    manifest : str
    answers : str
        What each model answers and how sure it is, as `counts` writes it.
    table : str
        Table to write: `id`, and what `measures.images.describe_images` gives, with the names of
        the label, `class`, and of the `answer`.
    categories : dict of str to str
        Category of each model to count, by key.
    split : str
        The evaluation split.
    """
    dataset = Manifest.read(manifest)
    examples, known = dataset.splits[split], read_arrays(answers)
    places = [known["models"].tolist().index(key) for key in categories]
    rows = describe_images(
        known["top"][places],
        np.exp(known["log_confidence"][places]),
        examples.labels,
        list(categories.values()),
    )
    names = np.array([*dataset.classes, ""], dtype=object)  # the last of what gave no answer
    rows.insert(0, "id", examples.ids)
    rows.insert(3, "class", names[rows["label"]])
    rows["answer"] = names[rows["answer"]]
    write_table(table, rows, float_format="%.6g")


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(image_answers, snakemake)
