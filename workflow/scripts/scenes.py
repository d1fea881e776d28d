"""Make a multi-label dataset of scenes of garments, each class a task of its own.

The images are those of one split of the study's dataset. No model may have learnt from it.
"""

import hashlib
import logging

import numpy as np

from workflow.lib.data.arrays import Array, Writer
from workflow.lib.data.manifest import Manifest
from workflow.lib.data.scenes import compose, divide, group
from workflow.lib.data.splits import Split
from workflow.lib.data.voc import labels_of
from workflow.lib.run.errors import InputError
from workflow.lib.run.files import replacing

log = logging.getLogger("uncorrelated")


def scenes(
    *,
    manifest: str,
    images: str,
    scenes: str,
    tasks: str,
    split: str,
    shares: dict[str, float],
    seed: int,
) -> None:
    """Write the scenes, and their labels and splits.

    Parameters
    ----------
    manifest : str
    images : str
        Images of the split: uint8, shape (examples, channels, size, size).
    scenes : str
        The .npy file to write: uint8, shape (scenes, channels, height, width).
    tasks : str
        Manifest to write, of the study's classes. An id is the scene's row, and the ids of the
        images it is made of, from the back to the front: `000012:train/00031+train/00007`.
    split : str
        The split whose images are used, each once.
    shares : dict of str to float
        Share of the scenes for each of `train`, `val` and `test`.
    seed : int
        Of the choice of garments for each scene, and of their places.

    Raises
    ------
    InputError
        If the split does not exist, its images are not its images, or it has too few.
    """
    table = Manifest.read(manifest)
    examples = table.split(split)
    pixels = Array(images)
    if len(pixels.shape) != 4 or pixels.shape[1] not in (1, 3) or len(pixels) != len(examples.ids):
        raise InputError(
            f"{images} holds {pixels.dtype} of shape {pixels.shape}, not the {len(examples.ids)} "
            f"grey or colour images of '{split}'; delete it and run again"
        )
    rng = np.random.default_rng(seed)
    rows = group(len(pixels), rng)
    stretches = divide(len(rows), shares)
    composed, annotated = [], []
    for members in rows:
        classes = [table.classes[label] for label in examples.labels[members]]
        scene, objects = compose(pixels[members], classes, rng)
        composed.append(scene)
        annotated.append(objects)
    labels = labels_of(annotated, table.classes).astype(np.int64)
    ids = np.array(
        [f"{row:06d}:{'+'.join(examples.ids[members])}" for row, members in enumerate(rows)]
    )
    whole = np.stack(composed)
    with replacing(scenes) as temporary, Writer(temporary, whole.shape) as file:
        for row in whole:
            file.append(row)
    splits = {name: Split(ids[list(s)], labels[list(s)]) for name, s in stretches.items()}
    Manifest(table.classes, splits, hashlib.sha256(whole).hexdigest()).write(tasks)
    log.info(
        "%d scenes of %d images, %.2f positive labels a scene, %.1f %% of the garments difficult",
        len(rows),
        len(pixels),
        np.count_nonzero(labels > 0) / len(rows),
        100 * np.mean([thing.difficult for objects in annotated for thing in objects]),
    )


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(scenes, snakemake)
