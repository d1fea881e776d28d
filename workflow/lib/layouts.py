"""Where the images and labels of a dataset are, by its kind, and how they are split.

- `fashion-mnist`: the four gzip files of Xiao, Rasul and Vollgraf (2017).
- `folder`: images by class, `<path>/<split>/<class>/*.jpg`; or `<path>/<class>/*.jpg`, all of which
  then are to be divided.
- `imagenet`: images by synset, or for validation in one folder with the devkit's ground truth.
- `parquet`: files of Hugging Face's layout.

Splits are drawn from the training images. But if `splits` names `test`, and there are test images
(of ImageNet, the validation images), then `calibration` and `test` are drawn from those, and
training images need not exist.
"""

import functools
import hashlib
import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from workflow.lib import imagenet, parquet, voc
from workflow.lib.datasets import HELD, Manifest, Split
from workflow.lib.decoding import FASHION_MNIST_SHA256, Decoder, read_idx
from workflow.lib.jobs import InputError, Progress, ahead

log = logging.getLogger("uncorrelated")

FASHION_MNIST_CLASSES = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
IMAGES = (
    ".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
PARQUET = (".parquet",)
# What tables cannot hold (half of a pair: not UTF-8), and what Snakemake takes for wildcards.
UNWRITABLE = re.compile(r"[\t\n\r{}\ud800-\udfff]")
EXACT = 10_000, 2**32  # files and bytes up to which Snakemake itself watches every file


def source_files(dataset: Mapping) -> list[str]:
    """List the files of a dataset that Snakemake is to watch, by date and content.

    All of them where they are few. Of large datasets, it would take minutes to look at each for
    every plan, so `source_listing` stands for them.

    Parameters
    ----------
    dataset : mapping
        `kind`, `path` and `splits` as in the configuration. Of the kind `scenes`, which a rule
        makes, the file is the listing of their folder.

    Raises
    ------
    InputError
        If the dataset's folder does not exist.
    """
    kind, path = dataset["kind"], dataset["path"]
    if kind == "scenes":
        return [f"{path}.sha256"]
    if kind == "voc":
        return voc.source_files(path)
    if kind == "fashion-mnist":
        return [os.path.join(path, name) for name in FASHION_MNIST_SHA256]
    files = []
    if kind == "imagenet":
        files.append(os.path.relpath(imagenet.CLASSES))
        if _is_flat(path, dataset["splits"]):
            files += imagenet.ground_truth_files(path)
    places, suffixes = _places(dataset)
    if not _listing(path, places, suffixes):
        for place in places:
            files += [os.path.join(path, file) for file, _ in scan(path, place, suffixes)]
    return files


def source_listing(dataset: Mapping) -> str:
    """SHA-256 of the names and sizes of a large dataset's files; of a small one, empty.

    Dates are not in it, so that a dataset which was copied, or touched, reruns nothing. What goes
    unnoticed is a file that was replaced by another of just its size in bytes.
    """
    if dataset["kind"] in ("fashion-mnist", "scenes", "voc"):
        return ""
    return _listing(dataset["path"], *_places(dataset))


def _places(dataset: Mapping) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Folders of a dataset's files, relative to its own, and the suffixes of these files."""
    if dataset["kind"] == "imagenet":
        return tuple(_imagenet_folders(dataset["path"], dataset["splits"]).values()), IMAGES
    return (".",), PARQUET if dataset["kind"] == "parquet" else IMAGES


@functools.cache
def _listing(path: str, places: tuple[str, ...], suffixes: tuple[str, ...]) -> str:
    found = [file for place in places for file in scan(path, place, suffixes)]
    if len(found) <= EXACT[0] and sum(size for _, size in found) <= EXACT[1]:
        return ""
    lines = "".join(f"{file}\t{size}\n" for file, size in found)
    return hashlib.sha256(lines.encode()).hexdigest()


@functools.cache
def scan(
    path: str, place: str = ".", suffixes: tuple[str, ...] = IMAGES
) -> tuple[tuple[str, int], ...]:
    """List the files of some suffixes below `path/place`; once in a process.

    Returns
    -------
    tuple of (str, int)
        Path relative to `path`, with `/`, and size in bytes; sorted by path. What begins with a
        dot is left out.

    Raises
    ------
    InputError
        If there is no such folder, or it cannot be read, or a name cannot be used.
    """
    found, folders = [], ["" if place == "." else f"{place}/"]
    try:
        while folders:
            prefix = folders.pop()
            with os.scandir(os.path.join(path, prefix)) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        if entry.is_symlink():
                            _refuse_loop(path, prefix + entry.name)
                        folders.append(f"{prefix}{entry.name}/")
                    elif entry.name.lower().endswith(suffixes):
                        found.append((prefix + entry.name, entry.stat().st_size))
                        if UNWRITABLE.search(found[-1][0]):
                            raise InputError(
                                f"{entry.path!r}: names of images and their folders must be UTF-8, "
                                f"without tab, line break or braces; rename it"
                            )
    except NotADirectoryError as error:
        raise InputError(f"dataset.path: {error.filename} is no folder") from error
    except FileNotFoundError as error:
        if os.path.isdir(path):
            raise InputError(f"{error.filename} is missing, or a link to nothing") from error
        raise InputError(f"dataset.path: there is no folder {path}") from error
    except OSError as error:
        raise InputError(
            f"dataset.path: cannot read {error.filename}: {error.strerror}; mend or remove it"
        ) from error
    return tuple(sorted(found))


def _refuse_loop(path: str, link: str) -> None:
    """Refuse a link, relative to `path`, to a folder that it lies in."""
    target, above = os.path.realpath(os.path.join(path, link)), link
    while above:
        above = os.path.dirname(above)
        if os.path.realpath(os.path.join(path, above)) == target:
            raise InputError(
                f"{os.path.join(path, link)} is a link to {target}, which it lies in; remove it"
            )


def build_manifest(dataset: Mapping, threads: int = 1) -> Manifest:
    """Find a dataset's examples and divide them among the splits.

    Parameters
    ----------
    dataset : mapping
        As in the configuration: `kind`, `path`, `seed`; `splits`, how many images each split gets,
        one of them perhaps `rest`, drawn at random in equal shares of each class; and
        `skip_corrupt`, whether images that cannot be decoded are left out.
    threads : int
        Images decoded at the same time to find the corrupt ones.

    Raises
    ------
    InputError
        If there are too few images, or none of a class where all classes should have some, or
        none for a split.
    """
    kind, path, splits = dataset["kind"], dataset["path"], dataset["splits"]
    reading = {"fashion-mnist": _read_fashion_mnist, "folder": _read_folder,
               "imagenet": _read_imagenet, "parquet": _read_parquet}  # fmt: skip
    classes, whole = reading[kind](path, splits)
    if not _draws_from_training(splits, "test" in whole):
        whole.pop("train", None)
    for name, split in whole.items():
        highest = int(split.labels.max(initial=-1))
        if highest >= len(classes):
            raise InputError(f"{path}: a label in '{name}' is {highest}, out of range")
    if dataset.get("skip_corrupt", False):
        decode = Decoder(kind, path, "RGB")
        whole = {name: _without_corrupt(decode, split, threads) for name, split in whole.items()}
    divided = _divide_all(whole, splits, len(classes), dataset["seed"], path)
    for name, split in divided.items():
        if not len(split.ids):
            raise InputError(
                f"{path}: no image is left for the split '{name}'; "
                f"lower the numbers of dataset.splits, or add images"
            )
        counts = np.bincount(split.labels, minlength=len(classes))
        empty = [classes[label] for label in np.flatnonzero(counts == 0)]
        told = ", ".join(empty[:10]) + (f" and {len(empty) - 10} more" if len(empty) > 10 else "")
        if empty and kind == "folder":
            raise InputError(
                f"{path}: the split '{name}' has no image of {told}; "
                f"add some, or leave the class out of every split"
            )
        if empty:
            log.warning("the split '%s' has no image of %s", name, told)
        log.info("%s: %d images of %d classes", name, len(split.ids), np.count_nonzero(counts))
    return Manifest(tuple(classes), divided)


def _draws_from_training(splits: Mapping[str, int | str], has_test: bool) -> bool:
    """Say whether any split takes training images."""
    return not splits or any(name not in _drawn_from_test(splits, has_test) for name in splits)


def _drawn_from_test(splits: Mapping[str, int | str], has_test: bool) -> tuple[str, ...]:
    return HELD if "test" in splits and has_test else ()


def _divide_all(
    whole: Mapping[str, Split],
    splits: Mapping[str, int | str],
    classes: int,
    seed: int,
    path: str,
) -> dict[str, Split]:
    """Divide the training images, and where the configuration says so the test images."""
    held = _drawn_from_test(splits, "test" in whole)
    divided = {name: split for name, split in whole.items() if name != "train"}
    for name in splits:
        if name in divided and not (held and name == "test"):
            raise InputError(
                f"dataset.splits.{name} takes images from {path}/train, but {path}/{name} exists "
                f"too; remove one of them"
            )
    if _draws_from_training(splits, "test" in whole):
        own = {name: number for name, number in splits.items() if name not in held}
        if "train" in whole:
            divided = _divide(whole["train"], own, classes, seed, f"{path}/train") | divided
        elif own:
            raise InputError(
                f"dataset.splits.{next(iter(own))} takes training images, but {path} has none; "
                f"leave the split out, or add the folder {path}/train"
            )
    if held:
        own = {name: number for name, number in splits.items() if name in held}
        divided |= _divide(divided.pop("test"), own, classes, seed, f"{path}'s test set")
    for name in HELD:
        if name not in divided:
            raise InputError(
                f"the dataset has no split '{name}': make the folder {path}/{name}, or give "
                f"dataset.splits.{name} a number of images"
            )
    return divided


def _divide(
    pool: Split, splits: Mapping[str, int | str], classes: int, seed: int, where: str
) -> dict[str, Split]:
    """Draw the splits from the pool, in equal shares of each class, without replacement."""
    if not splits:
        return {"train": pool}
    asked = sum(number for number in splits.values() if number != "rest")
    if asked > len(pool.ids):
        raise InputError(f"dataset.splits asks for {asked} images, but {where} has {len(pool.ids)}")
    rng = np.random.default_rng(seed)
    # Deal every class out evenly along a line; a split is then a stretch of that line.
    place = np.empty(len(pool.ids))
    by_class = np.argsort(pool.labels, kind="stable")
    ends = np.cumsum(np.bincount(pool.labels, minlength=classes))[:-1]
    for rows in np.split(by_class, ends):
        place[rng.permutation(rows)] = (np.arange(len(rows)) + rng.random()) / max(len(rows), 1)
    order = np.argsort(place, kind="stable")
    divided, start = {}, 0
    for name, number in sorted(splits.items(), key=lambda item: item[1] == "rest"):
        stop = len(order) if number == "rest" else start + number
        rows = np.sort(order[start:stop])
        divided[name] = Split(pool.ids[rows], pool.labels[rows])
        start = stop
    return {name: divided[name] for name in splits}


def _without_corrupt(decode: Decoder, split: Split, threads: int) -> Split:
    """Leave out the images that cannot be decoded, and log their names."""

    def problem(example: str) -> BaseException | None:
        try:
            decode(example)
        except InputError as error:
            return error.__cause__ or error
        return None

    progress, kept = Progress(len(split.ids), "images checked"), []
    for row, error in enumerate(ahead(problem, split.ids.tolist(), threads, each=4)):
        if error:
            log.warning("left out %s: %s", split.ids[row], error)
        else:
            kept.append(row)
        progress.advance(1)
    return Split(split.ids[kept], split.labels[kept])


def _split(rows: Iterable[tuple[str, int]]) -> Split:
    """Turn pairs of id and label into a split."""
    ids, labels = zip(*rows, strict=True)
    return Split(np.array(ids), np.array(labels, dtype=np.int64))


def _read_fashion_mnist(path: str, splits: Mapping) -> tuple[Sequence[str], dict[str, Split]]:
    whole = {}
    for name, part in (("train", "train"), ("test", "t10k")):
        content = read_idx(path, f"{part}-labels-idx1-ubyte.gz", 8)
        labels = np.frombuffer(content, np.uint8).astype(np.int64)
        whole[name] = Split(np.array([f"{name}/{i:05d}" for i in range(len(labels))]), labels)
    return FASHION_MNIST_CLASSES, whole


def _read_folder(path: str, splits: Mapping) -> tuple[Sequence[str], dict[str, Split]]:
    parts = [(file, file.split("/")) for file, _ in scan(path)]
    if not parts:
        raise InputError(f"{path} holds no image in a folder of a class, train/<class>/*.jpg")
    pooled = all(len(names) == 2 and names[0] not in ("train", "test") for _, names in parts)
    _refuse_stray(path, parts)
    if pooled:
        parts = [(file, ["train", *names]) for file, names in parts]
    found: dict[str, list[tuple[str, str]]] = {}
    for file, names in parts:
        if len(names) < 3:
            raise InputError(
                f"{os.path.join(path, file)} is not in a folder <split>/<class>/; move it into one"
            )
        found.setdefault(names[0], []).append((file, names[1]))
    first = next((name for name in ("train", "test") if name in found), None)
    if first is None:
        raise InputError(f"{path}/train holds no image in a folder of a class, <class>/*.jpg")
    # Folders of a class that lost all its images count, so that their emptiness is noticed.
    names = [entry.name for entry in os.scandir(path if pooled else Path(path, first))
             if entry.is_dir() and not entry.name.startswith(".")]  # fmt: skip
    numbered = all(name.isdecimal() for name in names)
    classes = sorted(names, key=lambda name: (int(name) if numbered else 0, name))
    index = {name: label for label, name in enumerate(classes)}
    for split, rows in found.items():
        unknown = sorted({name for _, name in rows} - set(classes))
        if unknown:
            raise InputError(
                f"{path}/{split}/{unknown[0]} is a class that {path}/{first} has not; "
                f"rename or remove it"
            )
    return classes, {
        split: _split((file, index[name]) for file, name in rows) for split, rows in found.items()
    }


def _refuse_stray(path: str, parts: Sequence[tuple[str, list[str]]]) -> None:
    """Refuse images outside of all folders, and classes whose names are those of splits."""
    for file, names in parts:
        if len(names) == 1:
            raise InputError(
                f"{os.path.join(path, file)} is in no folder of a class; move it into one, or "
                f"remove it"
            )
    tops = {names[0] for _, names in parts}
    taken = [name for name in ("train", "test") if name in tops]
    if taken and tops - {*taken} and all(len(names) == 2 for _, names in parts):
        raise InputError(
            f"{os.path.join(path, taken[0])} is taken for a split by its name, but holds no "
            f"folders of classes; rename it if it is a class"
        )


def _imagenet_folders(path: str, splits: Mapping[str, int | str]) -> dict[str, str]:
    """Folders, relative to `path`, of ImageNet's images that the splits are drawn from."""
    test = imagenet.folder(path, "test")
    train = imagenet.folder(path, "train")
    found = {"test": test} if test else {}
    if train and _draws_from_training(splits, test is not None):
        found["train"] = train
    if not found:
        where = os.path.join(path, "val") if os.path.isdir(path) else path
        raise InputError(f"dataset.path: there is no folder {where}")
    return found


def _is_flat(path: str, splits: Mapping[str, int | str]) -> bool:
    """Say whether most validation images are in one folder, and not in those of their classes."""
    place = _imagenet_folders(path, splits).get("test")
    if place is None:
        return False
    depth = 0 if place == "." else place.count("/") + 1
    found = scan(path, place)
    return 2 * sum(file.count("/") == depth for file, _ in found) > len(found)


def _read_imagenet(path: str, splits: Mapping) -> tuple[Sequence[str], dict[str, Split]]:
    synsets, names = imagenet.classes()
    index = {synset: label for label, synset in enumerate(synsets)}
    truth: dict[str, int] = {}
    flat = _is_flat(path, splits)
    if flat:
        truth = imagenet.ground_truth(imagenet.ground_truth_files(path))
    whole = {}
    for split, place in _imagenet_folders(path, splits).items():
        skip = 0 if place == "." else len(place) + 1
        rows = []
        labels: dict[str, int | None] = {}
        for file, _ in scan(path, place):
            folder, slash, image = file[skip:].partition("/")
            if flat and not slash and split == "test":
                label = truth.get(os.path.splitext(folder)[0])
                problem = "is not among the images whose classes are known"
            else:
                if folder not in labels:
                    labels[folder] = imagenet.label_of(folder, index) if slash else None
                label = labels[folder] if "/" not in image else None
                problem = "is in no folder of a synset of ImageNet's 1000 classes (n01440764 …)"
            if label is None:
                raise InputError(f"{os.path.join(path, file)} {problem}; move or remove it")
            rows.append((file, label))
        if not rows:
            raise InputError(f"{os.path.join(path, place)} holds no image; is it unpacked?")
        whole[split] = _split(rows)
    return names, whole


def _read_parquet(path: str, splits: Mapping) -> tuple[Sequence[str], dict[str, Split]]:
    files: dict[str, list[str]] = {}
    for file, _ in scan(path, ".", PARQUET):
        files.setdefault(parquet.split_of(file), []).append(file)
    if not files:
        raise InputError(f"{path} holds no .parquet file")
    classes, labels = parquet.read_labels(path, [name for each in files.values() for name in each])
    if not any(map(len, labels.values())):
        raise InputError(f"{path} holds no row in any .parquet file; are they downloaded?")
    whole = {}
    for name, each in files.items():
        rows = [
            (f"{file}/{row:06d}", label)
            for file in each
            for row, label in enumerate(labels[file].tolist())
        ]
        if not rows:
            continue
        split = _split(rows)
        if (split.labels >= 0).all():
            whole[name] = split
        elif (split.labels >= 0).any():
            bad = split.ids[split.labels < 0][0]
            raise InputError(f"{path}: the image {bad} has no label; remove it, or give it one")
        else:
            log.warning("'%s' is left out, since its labels are not told (-1)", name)
    # As in ImageNet, whose test images are unlabelled: what there is to validate on is tested on.
    if "validation" in whole:
        validation = whole.pop("validation")
        if "test" not in whole:
            whole["test"] = validation
        elif "calibration" not in splits:
            whole["calibration"] = validation
    return classes, whole
