"""Further test sets of a study: other images, other labels for its own, or corruptions of these.

Nothing is fitted on them. Each is a manifest with the study's class names and one split, `test`.
"""

import hashlib
import itertools
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from workflow.lib.data import imagenet, labels
from workflow.lib.data.corruptions import Corrupted
from workflow.lib.data.files import check_path
from workflow.lib.data.kinds import (
    KINDS,
    Decoder,
    own_keys,
    source_files,
    source_listing,
    source_warnings,
    without_corrupt,
)
from workflow.lib.data.manifest import Manifest
from workflow.lib.data.splits import Split, deal, split_of_sets
from workflow.lib.run.errors import InputError
from workflow.lib.run.progress import ahead

log = logging.getLogger("uncorrelated")
VALIDATION = re.compile(r"ILSVRC2012_val_(\d{8})")
POPULATION = 50_000  # ImageNet's validation images, of which ReaL's file has a list of labels each
WHOLE = {"test": "rest"}  # of a dataset of its own, all test images are taken
OR_LEAVE_OUT = "put it there, or leave the test set out of the study"
CHUNK = 256  # files looked at in a thread's turn
END = 1024  # bytes of a file's end, which tell most files of one size apart


def files(settings: Mapping, dataset: Mapping) -> list[str]:
    """List the files of a test set that Snakemake is to watch, beside the study's manifest.

    Parameters
    ----------
    settings : mapping
        Of the test set; see `build_test_set`.
    dataset : mapping
        The study's: `kind` and `path`.

    Raises
    ------
    InputError
        If what it names does not exist.
    """
    if "corruption" in settings:
        return []
    for what in ("labels", "answers"):
        if what in settings:
            if not os.path.isfile(settings[what]):
                raise InputError(
                    f"test_sets: there is no file {settings[what]} of {what}; {OR_LEAVE_OUT}"
                )
            return [check_path(settings[what], "test_sets")]
    return _named(source_files, settings)


def listing(settings: Mapping, dataset: Mapping) -> str:
    """SHA-256 of the names and sizes of a large test set's files; of a small one, empty."""
    return _named(source_listing, settings) if "kind" in settings else ""


def warnings(settings: Mapping, dataset: Mapping) -> list[str]:
    """Say which files of a test set are left out, or dated in the future."""
    return source_warnings({**settings, "splits": WHOLE}) if "kind" in settings else []


def _named(function: Callable, settings: Mapping):
    """Call a function of a dataset's settings, whose errors name the study's dataset."""
    if settings["kind"] != "labels" and not os.path.isdir(settings["path"]):
        raise InputError(f"test_sets: there is no folder {settings['path']}; {OR_LEAVE_OUT}")
    try:
        return function({**settings, "splits": WHOLE})
    except InputError as error:
        raise InputError(str(error).replace("dataset.path", "test_sets", 1)) from error


def decoder(settings: Mapping, dataset: Mapping, mode: str) -> Callable[[str], Image.Image]:
    """Make what gives the images of a test set by their ids.

    Parameters
    ----------
    settings, dataset : mapping
        As of `build_test_set`.
    mode : {'L', 'RGB'}
    """
    if "kind" in settings:
        return Decoder(settings["kind"], settings["path"], mode)
    decode = Decoder(dataset["kind"], dataset["path"], mode)
    if "labels" in settings:
        return decode
    seed = settings.get("seed", 0)
    return Corrupted(decode, settings["corruption"], settings["severity"], seed)


def build_test_set(
    settings: Mapping, study: Manifest, dataset: Mapping, threads: int = 1
) -> Manifest:
    """Find the images of a further test set, and what they show.

    Parameters
    ----------
    settings : mapping
        One of three. `kind`, `path` and perhaps `skip_corrupt` and `classes`: a dataset of its own,
        of any of `KINDS`. `labels`: other labels for the study's own test images, ReaL's JSON or a
        CSV file `id, label`. `corruption`, `severity`, and perhaps `images` and `seed`: the study's
        test images, or so many of them, corrupted as they are decoded.
    study : Manifest
        Of the study's dataset.
    dataset : mapping
        The study's: `kind` and `path`.
    threads : int
        Files read at the same time.

    Returns
    -------
    Manifest
        With the study's classes, and one split `test`.

    Raises
    ------
    InputError
        If images are those of a split that something is learnt from, or are of classes that the
        study lacks, or of one class alone; if labels are of other images or of no class.
    """
    if "corruption" in settings:
        split = _drawn(settings, study)
    elif "labels" in settings:
        split = _relabelled(settings["labels"], study)
    else:
        split = _of_its_own(settings, study, dataset, threads)
    log.info(
        "%d images, answers from %d of %d classes",
        len(split.ids),
        len(study.classes) if split.kept is None else len(split.kept),
        len(study.classes),
    )
    return Manifest(study.classes, {"test": split})


def _drawn(settings: Mapping, study: Manifest) -> Split:
    """Draw the test images to be corrupted, in equal shares of each class."""
    own, number = study.split("test"), settings.get("images")
    if number is None:
        return own
    if number > len(own.ids):
        raise InputError(
            f"test_sets: `images` asks for {number} images to corrupt, but the study's test split "
            f"has {len(own.ids)}; lower it, or leave it out for all of them"
        )
    seed = settings.get("seed", 0)
    rows = np.sort(deal(own.labels, len(study.classes), seed)[:number])
    return Split(own.ids[rows], own.labels[rows])


def _relabelled(path: str, study: Manifest) -> Split:
    """Give the study's test images other labels; those without one are left out."""
    own = study.split("test")
    right = _from_json(path, own) if path.endswith(".json") else _from_table(path, study)
    for name, found in right.items():
        wrong = next((label for label in found if not 0 <= label < len(study.classes)), None)
        if wrong is not None:
            raise InputError(
                f"{path}: the label {wrong} of {name} is out of range; the study has "
                f"{len(study.classes)} classes, from 0 to {len(study.classes) - 1}"
            )
    rows = [(example, right[example]) for example in own.ids.tolist() if right.get(example)]
    if not rows:
        raise InputError(f"{path} has no label for any of the study's test images")
    if len(rows) < len(own.ids):
        log.warning("%d of %d test images have no label", len(own.ids) - len(rows), len(own.ids))
    split = split_of_sets(rows)
    _refuse_one_class(np.unique(split.labels), study.classes, path)
    return split


def _from_json(path: str, own: Split) -> dict[str, list[int]]:
    """Read ReaL's file: a list of labels for each of ImageNet's validation images, in order."""
    try:
        lists = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}; replace it") from error
    sound = isinstance(lists, list) and all(
        isinstance(each, list) and all(type(label) is int for label in each) for each in lists
    )
    if not sound or len(lists) != POPULATION:
        found = f"{len(lists)} lists" if sound else "something else"
        raise InputError(
            f"{path} must be a list of {POPULATION} lists of class indices, one for each of "
            f"ImageNet's validation images in order, and holds {found}; for other images write a "
            f"CSV file with the columns `id` and `label`"
        )
    right = {}
    for example in own.ids.tolist():
        number = VALIDATION.search(example)
        if not number or not 1 <= int(number[1]) <= POPULATION:
            raise InputError(
                f"{path} has labels for ILSVRC2012_val_00000001 to _{POPULATION:08d}, and the "
                f"study's test image {example} is none of these by its name; write a CSV file with "
                f"the columns `id` and `label` instead"
            )
        right[example] = list(dict.fromkeys(lists[int(number[1]) - 1]))
    return right


def _from_table(path: str, study: Manifest) -> dict[str, list[int]]:
    """Read a CSV file `id, label`, in which an id may have several rows."""
    own = {*study.split("test").ids.tolist()}
    index = {str(label): label for label in range(len(study.classes))}
    index |= {name: label for label, name in enumerate(study.classes)}
    right: dict[str, list[int]] = {}
    for line, row in labels.rows_of(path, labels.COLUMNS):
        if row["id"] not in own:
            raise InputError(
                f"{path}, line {line}: '{row['id']}' is no id of the study's test images, such as "
                f"'{study.split('test').ids[0]}' (dataset/manifest.tsv lists them)"
            )
        if row["label"] not in index:
            raise InputError(
                f"{path}, line {line}: the label '{row['label']}' is out of range: no class by "
                f"name, or by index from 0 to {len(study.classes) - 1}"
            )
        found = right.setdefault(row["id"], [])
        if index[row["label"]] not in found:
            found.append(index[row["label"]])
    return right


def _of_its_own(settings: Mapping, study: Manifest, dataset: Mapping, threads: int) -> Split:
    """Take all test images of a dataset, with the study's class for each of theirs."""
    kind, path = settings["kind"], settings["path"]
    names, whole = _named(lambda own: KINDS[kind].read(path, WHOLE, **own_keys(own)), settings)
    split = whole.get("test") or whole.get("train") or next(iter(whole.values()))
    if settings.get("skip_corrupt", False):
        split = without_corrupt(Decoder(kind, path, "RGB"), split, threads)
    theirs, ours = _by_synset(names), _by_synset(study.classes)
    index = {name: label for label, name in enumerate(ours)}
    sets = list(split.right())
    shown = sorted({label for right in sets for label in right})
    if not shown:
        raise InputError(f"{path}: no image is left")
    if not 0 <= shown[0] <= shown[-1] < len(names):
        raise InputError(f"{path}: a label is {shown[-1]}, out of range")
    lacking = [names[label] for label in shown if theirs[label] not in index]
    if lacking:
        more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        raise InputError(
            f"{path} shows classes that the study lacks: {', '.join(lacking[:5])}{more}; remove "
            f"their images, or name them as the study does ({', '.join(study.classes[:3])} …)"
        )
    kept = np.array(sorted(index[theirs[label]] for label in shown), dtype=np.int64)
    _refuse_one_class(kept, study.classes, path)
    rows = [
        (example, [index[theirs[label]] for label in right])
        for example, right in zip(split.ids.tolist(), sets, strict=True)
    ]
    found = split_of_sets(rows, None if len(kept) == len(study.classes) else kept)
    _refuse_shared(settings, found, study, dataset, threads)
    return found


def _by_synset(names: Sequence[str]) -> list[str]:
    """Put ImageNet's synsets for its names of classes, unless two classes would then be one."""
    synset = dict(zip(imagenet.classes()[1], imagenet.classes()[0], strict=True))
    found = [synset.get(name, name) for name in names]
    return found if len(set(found)) == len(found) else list(names)


def _refuse_one_class(kept: np.ndarray, classes: Sequence[str], path: str) -> None:
    if len(kept) == 1:
        raise InputError(
            f"{path} shows one class alone, {classes[kept[0]]}, so that every answer is right; add "
            f"images of others"
        )


def _refuse_shared(
    settings: Mapping, split: Split, study: Manifest, dataset: Mapping, threads: int
) -> None:
    """Refuse images that are also in a split that something is learnt from, by their content."""
    kinds = {settings["kind"], dataset["kind"]}
    if "labels" in kinds:  # no images to compare
        return
    fitted = {
        example: name
        for name, own in study.splits.items()
        if name != "test"
        for example in own.ids.tolist()
    }
    of_pixels = "fashion-mnist" in kinds  # which has no files of images
    first = _Contents(settings["kind"], settings["path"], of_pixels, threads)
    second = _Contents(dataset["kind"], dataset["path"], of_pixels, threads)
    sides = [(first, split.ids.tolist()), (second, list(fitted))]
    # The cheap ones first, and the next of what is left; pixels cost the same whatever is asked.
    for measure in ("digest",) if of_pixels else ("size", "end", "digest"):
        keys = [dict(zip(ids, of.each(measure, ids), strict=True)) for of, ids in sides]
        both = {*keys[0].values()} & {*keys[1].values()}
        sides = [
            (of, [example for example in ids if key[example] in both])
            for (of, ids), key in zip(sides, keys, strict=True)
        ]
    (_, shared), (_, twins) = sides
    if not shared:
        return
    twin = next(example for example in twins if keys[1][example] == keys[0][shared[0]])
    raise InputError(
        f"{settings['path']} shares {len(shared)} of its images with the study's split "
        f"'{fitted[twin]}', which is learnt from: {shared[0]} is {twin}; remove them from the test "
        f"set"
    )


class _Contents:
    """What images of a dataset hold, as far as it is needed to tell them apart."""

    def __init__(self, kind: str, path: str, of_pixels: bool, threads: int):
        self.threads, self.open = threads, KINDS[kind].opener(path)
        self.decode = Decoder(kind, path, "L") if of_pixels else None

    def each(self, measure: str, ids: Sequence[str]) -> Iterator[object]:
        """Give the size, the end or the digest of each image."""
        measure_one = getattr(self, measure)
        chunks = [ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)]
        measured = ahead(lambda chunk: [*map(measure_one, chunk)], chunks, self.threads)
        return itertools.chain.from_iterable(measured)

    def size(self, example: str) -> int:
        content = self._content(example)
        return len(content) if isinstance(content, bytes) else os.path.getsize(content)

    def end(self, example: str) -> bytes:
        content = self._content(example)
        if isinstance(content, bytes):
            return content[-END:]
        with open(content, "rb") as file:
            file.seek(-min(END, os.path.getsize(content)), os.SEEK_END)
            return file.read()

    def digest(self, example: str) -> bytes:
        content = self._content(example)
        whole = content if isinstance(content, bytes) else Path(content).read_bytes()
        return hashlib.sha256(whole).digest()

    def _content(self, example: str) -> bytes | str:
        """Give the pixels, the encoded image, or the file that holds it."""
        if self.decode:
            return self.decode(example).tobytes()
        source = self.open(example)
        return source if isinstance(source, str) else source.getvalue()
