"""Make a multi-label dataset of scenes of garments, in the layout of Pascal VOC 2007.

The images are those of one split of the study's dataset. No model may have learnt from it.
"""

import contextlib
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from workflow.lib.data.manifest import Manifest
from workflow.lib.data.scenes import compose, divide, group
from workflow.lib.data.voc import labels_of, write_annotation, write_sets
from workflow.lib.run.errors import InputError
from workflow.lib.run.files import replacing

log = logging.getLogger("uncorrelated")


def scenes(
    *,
    manifest: str,
    images: str,
    directory: str,
    listing: str,
    split: str,
    shares: dict[str, float],
    seed: int,
) -> None:
    """Write the scenes, their annotations and their splits.

    Parameters
    ----------
    manifest : str
    images : str
        Images of the split: uint8, shape (examples, channels, size, size).
    directory : str
        Folder to make, in the layout that `voc.read_voc` reads; one that is there is replaced.
        Classes are those of the manifest, with hyphens for spaces.
    listing : str
        File to write: the SHA-256 of every file of the folder, as `sha256sum` writes them. It tells
        what the folder holds, whatever the dates of its files.
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
    if split not in table.splits:
        raise InputError(
            f"{manifest} has no split '{split}' to make scenes of; it has {', '.join(table.splits)}"
        )
    examples = table.splits[split]
    pixels = np.load(images, mmap_mode="r")
    if (
        pixels.dtype != np.uint8
        or pixels.ndim != 4
        or pixels.shape[1] not in (1, 3)
        or len(pixels) != len(examples.ids)
    ):
        raise InputError(
            f"{images} holds {pixels.dtype} of shape {pixels.shape}, not the {len(examples.ids)} "
            f"grey or colour images of '{split}'; delete it and run again"
        )
    names = ["-".join(name.split()) for name in table.classes]
    if len(set(names)) < len(names):
        raise InputError(f"two classes of {manifest} differ only in spaces and hyphens; rename one")

    rng = np.random.default_rng(seed)
    rows = group(len(pixels), rng)
    stretches = divide(len(rows), shares)
    keys = [f"{number:06d}" for number in range(1, len(rows) + 1)]
    annotated = []
    with _replacing_folder(directory) as folder:
        for name in ("Annotations", "JPEGImages"):
            (folder / name).mkdir()
        for key, members in zip(keys, rows, strict=True):
            classes = [names[label] for label in examples.labels[members]]
            scene, objects = compose(pixels[members], classes, rng)
            channels, height, width = scene.shape
            picture = scene[0] if channels == 1 else scene.transpose(1, 2, 0)
            Image.fromarray(picture).save(folder / "JPEGImages" / f"{key}.jpg", quality=95)
            write_annotation(
                folder / "Annotations" / f"{key}.xml",
                (width, height, channels),
                objects,
                {"database": f"scenes of '{split}'", "image": "; ".join(examples.ids[members])},
            )
            annotated.append(objects)
        labels = labels_of(annotated, names)
        sets = {name: list(stretch) for name, stretch in stretches.items()}
        sets["trainval"] = sorted([*sets["train"], *sets["val"]])
        write_sets(
            folder,
            {name: [keys[i] for i in places] for name, places in sets.items()},
            {name: labels[places] for name, places in sets.items()},
            names,
        )
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(directory)}\n"
        for path in sorted(Path(directory).rglob("*"))
        if path.is_file()
    ]
    with replacing(listing) as temporary:
        temporary.write_text("".join(lines))
    log.info(
        "%d scenes of %d images, %.2f positive labels a scene, %.1f %% of the garments difficult",
        len(rows),
        len(pixels),
        np.count_nonzero(labels > 0) / len(rows),
        100 * np.mean([thing.difficult for objects in annotated for thing in objects]),
    )


@contextlib.contextmanager
def _replacing_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary folder beside `path`; move it there if the block succeeds, else delete it.

    So a folder is there whole or not at all.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as place:
        made, old = Path(place, "made"), Path(place, "old")
        made.mkdir()
        yield made
        if path.exists():
            os.replace(path, old)
        os.replace(made, path)


if "snakemake" in globals():
    from workflow.lib.run.script import run_script

    run_script(scenes, snakemake)
