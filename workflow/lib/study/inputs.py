"""What a study's files hold, against what the study says of them: before any job starts.

The dataset is listed and divided as its job will do it, without decoding an image, and files of
external outputs are looked at from outside: whether they are there, and of which shape. A table of
attributes is read.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from workflow.lib.data import imagenet, test_sets
from workflow.lib.data.kinds import build_manifest
from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import HELD, draws_from_training
from workflow.lib.outputs import formats
from workflow.lib.outputs.answers import labelled
from workflow.lib.outputs.attributes import read_attributes
from workflow.lib.run.errors import InputError
from workflow.lib.study.completed import Study
from workflow.lib.study.load import ConfigurationError
from workflow.lib.study.parse import nearest

LISTED = "dataset/manifest.tsv"


def check_inputs(study: Any, files: Iterable[str | os.PathLike]) -> None:
    """Refuse a study whose images or external outputs are not what it says.

    Parameters
    ----------
    study : Study or PublishedStudy
        Of published numbers nothing is looked at.
    files : iterable of path
        Its configuration files, for messages.

    Raises
    ------
    ConfigurationError
        With every mistake.
    """
    if not isinstance(study, Study):
        return
    name = " + ".join(os.path.relpath(file) for file in files) or "configuration"
    mistakes = [f"{name}: {text}" for text in find_mistakes(study)]
    if mistakes:
        raise ConfigurationError(mistakes)


def find_mistakes(study: Study) -> Iterator[str]:
    """Find what does not match, each with the key that it is about."""
    manifest = None
    if not _left_to_its_job(study):
        try:
            manifest = build_manifest(study.dataset.settings | {"skip_corrupt": False})
        except InputError as error:
            text = str(error)
            text = text if text.startswith("dataset.") else f"dataset: {text}"
            yield text + _misspelt(study.dataset.splits)
    if manifest is not None:
        yield from _split_mistakes(study, manifest)
    table = study.attributes
    if table not in (None, "pixels") and os.path.isfile(table):
        try:
            read_attributes(table, manifest.splits if manifest else None, "test")
        except InputError as error:
            yield f"attributes: {error}"
    for name in study.test_sets:
        if text := _set_mistake(study, name, manifest):
            yield f"test_sets.{name}: {text}"
    for key, network in study.networks.items():
        path = network.recipe.get("logits")
        if path and os.path.isfile(path):
            for text in _file_mistakes(study, key, path, manifest):
                yield f"models.{key}.logits: {text}"


def _misspelt(splits: Iterable[str]) -> str:
    """Point to a split that no model is scored on, if its name is nearly that of one that is."""
    lacking = [name for name in HELD if name not in splits]
    hints = {name: nearest(name, [own for own in splits if own not in HELD]) for name in lacking}
    return next((f'; "{name}" is not there{hint}' for name, hint in hints.items() if hint), "")


def _left_to_its_job(study: Study) -> bool:
    """Whether listing the dataset takes more than seconds, or there is nothing left to list."""
    dataset = study.dataset
    unlisted = dataset.kind in ("imagenet", "parquet") or not os.path.exists(dataset.path)
    if unlisted and os.path.exists(f"results/{study.name}/{LISTED}"):
        # It has been listed once, and its job runs again if that has changed; results may be drawn
        # again where the images are not.
        return True
    if dataset.kind != "imagenet":
        return False
    try:
        has_test = imagenet.folder_of(dataset.path, "test") is not None
    except InputError:
        return False
    return draws_from_training(dataset.splits, has_test)


def _set_mistake(study: Study, name: str, manifest: Manifest | None) -> str:
    """Say what is wrong with a further test set, as far as that takes no look at its images."""
    own = study.test_sets[name]
    if os.path.exists(f"results/{study.name}/test_sets/{name}/{LISTED}"):
        return ""  # as of the dataset
    try:
        test_sets.files(own, study.dataset.settings)
        if manifest is not None and ("labels" in own or "corruption" in own):
            test_sets.build_test_set(own, manifest, study.dataset.settings)
        if manifest is not None and "answers" in own:
            labelled(own["answers"], manifest.classes)
            if not study.taking(name):
                return f"{own['answers']} has answers of none of the models"
    except InputError as error:
        return str(error).removeprefix("test_sets: ")
    return ""


def _split_mistakes(study: Study, manifest: Manifest) -> Iterator[str]:
    """Find splits that something learns from, or is asked of, and that are not there."""
    known = manifest.splits
    wanted = {
        f"{'models' if key in study.models else 'pretraining'}.{key}.data": network.recipe["data"]
        for key, network in study.networks.items()
        if isinstance(network.recipe.get("data"), list)
    }
    if study.features.models:
        wanted["features.data"] = [study.features.data]
    if study.downstream and study.downstream.split:
        wanted["downstream.split"] = [study.downstream.split]
    for place, splits in wanted.items():
        for split in splits:
            if split not in known:
                yield f'{place}: there is no split "{split}"{nearest(split, known)}'


def _file_mistakes(study: Study, key: str, path: str, manifest: Manifest | None) -> Iterator[str]:
    """Find what is wrong with a file of external outputs, as far as its shape tells."""
    try:
        classes = manifest.classes if manifest else None
        rows, columns, has_ids = formats.shape_of(path, classes)
    except InputError as error:
        yield str(error)
        return
    if manifest is None:
        return
    if columns is not None and columns != len(manifest.classes):
        yield formats.class_count(path, columns, len(manifest.classes))
    if rows is None:
        return
    sizes = [_size(manifest, splits) for splits in (study.splits_of(key), study.template_splits)]
    if has_ids and rows < sizes[0]:
        yield f"{path} has {rows:,} rows, but the study needs {sizes[0]:,} images of it"
    if not has_ids and rows not in sizes:
        yield (
            f"{path} names no images and has {rows:,} rows, but must hold {sizes[0]:,}, in the "
            f"order of results/{study.name}/template/images.csv; bring an array `ids`, or as many "
            f"rows"
        )


def _size(manifest: Manifest, splits: Sequence[str]) -> int:
    return sum(len(manifest.splits[name].ids) for name in splits if name in manifest.splits)
