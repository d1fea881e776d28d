"""Write a study of your own images and models: a commented file that runs as it is.

    make study NAME=mine IMAGES=photos MODELS="resnet50.a1_in1k resnet50:mine.pth other.npz"

writes studies/mine.yaml. IMAGES is a folder of images by class, `<class>/*.jpg` or
`train/<class>/*.jpg` and `test/<class>/*.jpg`, or a folder of ImageNet or of parquet files; or a
CSV file `id,label` where all models are files of logits. MODELS are names of timm or open_clip,
weights of your own (`architecture:file`) and files of logits, in any mixture; the first is the
base. What names tell of the others, their category and training data, is guessed and said to be.
"""

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import jinja2
import yaml

from workflow.lib.data import files as on_disk
from workflow.lib.data import imagenet, parquet
from workflow.lib.data import labels as labels_of
from workflow.lib.run.errors import InputError
from workflow.lib.run.files import replacing
from workflow.lib.study.completed import Study
from workflow.lib.study.inputs import find_mistakes
from workflow.lib.study.load import ConfigurationError, load, read
from workflow.lib.study.sources import BY_HAND, UNKNOWN, Source, find

TEMPLATE = Path(__file__).with_name("new.yaml.j2")
EXAMPLE = 'make study NAME=mine IMAGES=photos MODELS="resnet50.a1_in1k convnext_tiny.in12k_ft_in1k"'


@dataclass(frozen=True)
class Images:
    """A dataset, as a study says it.

    Attributes
    ----------
    kind : {'imagenet', 'folder', 'parquet', 'labels'}
    path : str
    splits : dict of str to int or 'rest'
    found : str
        What was found there, in words.
    classes : int
        How many there are.
    """

    kind: str
    path: str
    splits: dict[str, int | str]
    found: str
    classes: int


def look(path: str) -> Images:
    """See what kind of dataset a folder holds, and propose how to divide its images.

    Raises
    ------
    InputError
        If there is no such folder, or it does not hold what a study needs.
    """
    if path.endswith((".csv", ".tsv")):
        return _look_at_labels(path)
    files = [file for file, _ in on_disk.scan(path)]
    if not files:
        return _look_at_parquet(path)
    folders = {part for file in files for part in file.split("/")[:-1]}
    synsets, test = set(imagenet.classes()[0]), imagenet.folder_of(path, "test")
    flat = test not in (None, ".") and not folders - set(test.split("/"))
    numbered = folders == {str(label) for label in range(len(synsets))}  # as ImageNet-V2
    if flat or numbered or folders & synsets:
        return _look_at_imagenet(path)
    stray = [file for file in files if "/" not in file]
    if stray and len(stray) < len(files):
        raise InputError(
            f"{path}/{stray[0]} is in no folder of a class; move it into one, or remove it"
        )
    tops = {file.partition("/")[0] for file in files}
    if {"train", "test"} <= tops:
        count = sum(file.startswith("train/") for file in files)
        found = f"{count:,} images to train on, and {len(files) - count:,} others"
        own = {} if "calibration" in tops else {"calibration": count // 5}
        classes = len({file.split("/")[1] for file in files if file.count("/") > 1})
        return Images("folder", path, {"train": "rest", **own}, found, classes)
    if "train" in tops or "test" in tops:
        there, lacking = ("train", "test") if "train" in tops else ("test", "train")
        raise InputError(
            f"{path} has no folder {lacking}; both are needed, or folders of classes, none of "
            f"them called {there}"
        )
    if len(tops) < 2 or any(file.count("/") != 1 for file in files):
        raise InputError(
            f"{path} must hold folders of classes, {path}/<class>/*.jpg, or folders train and test "
            f"with those inside"
        )
    found = f"{len(files):,} images in {len(tops)} classes"
    return Images("folder", path, _divided(len(files)), found, len(tops))


def _look_at_imagenet(path: str) -> Images:
    test, train = (imagenet.folder_of(path, split) for split in ("test", "train"))
    count = len(on_disk.scan(path, test)) if test else 0
    if not count:
        raise InputError(f"{path} holds ImageNet's images to train on, but no folder val")
    splits: dict[str, int | str] = {"train": "rest"} if train else {}
    splits |= {"calibration": min(10000, count // 5), "test": "rest"}
    found = f"{count:,} validation images of ImageNet"
    return Images("imagenet", path, splits, found, len(imagenet.classes()[0]))


def _look_at_parquet(path: str) -> Images:
    files = [file for file, _ in on_disk.scan(path, ".", parquet.PARQUET)]
    if not files:
        raise InputError(f"{path} holds no images")
    classes, labels = parquet.read_labels(path, files)
    count = sum(len(labels[file]) for file in files if parquet.split_of(file) == "train")
    others = sum(map(len, labels.values())) - count
    found = f"{count:,} images to train on, and {others:,} others, in parquet files"
    if not others:
        found = f"{count:,} images in {len(classes)} classes"
        return Images("parquet", path, _divided(count), found, len(classes))
    splits: dict[str, int | str] = {"train": "rest", "calibration": count // 5}
    return Images("parquet", path, splits, found, len(classes))


def _look_at_labels(path: str) -> Images:
    names, splits = labels_of.read(path, {})
    count = sum(len(split.ids) for split in splits.values())
    found = f"labels of {count:,} images, and no images"
    own: dict[str, int | str] = {"calibration": count // 5, "test": "rest"}
    return Images("labels", path, {} if "calibration" in splits else own, found, len(names))


def _divided(count: int) -> dict[str, int | str]:
    return {"train": count * 3 // 5, "calibration": count // 5, "test": "rest"}


def write(name: str, images: Images, models: list[Source]) -> str:
    """Write the study.

    Parameters
    ----------
    name : str
    images : Images
    models : list of Source
        The base first.

    Returns
    -------
    str
        YAML, with comments.

    Raises
    ------
    InputError
        If a model has no head for ImageNet and there are no images to fit one to.
    """
    base, *others = models
    fits = "train" in images.splits
    pretraining, entries = [], []
    for model in models:
        category, why = ("base", "the first one named") if model is base else model.differs(base)
        own = f"category: {category}"
        origin = f"{model.kind}: {quote(model.name)}"
        origin += f", checkpoint: {quote(model.file)}" if model.file else ""
        if images.kind == "labels" and model.kind != "logits":
            raise InputError(
                f"{model.name} needs images to run on, and {images.path} has labels alone; bring "
                f"its logits in a file, or give a folder of images as IMAGES"
            )
        if model.kind == "logits":
            own += f", {origin}"
            head = "logits from a file"
        elif model.classes == images.classes and (images.kind == "imagenet" or model.file):
            own += f", {origin}"
            head = "its own head"
        elif model.kind == "open_clip" and (images.kind == "imagenet" or not fits):
            parent = f"{model.key}-features"
            pretraining.append(f"  {parent}: {{{origin}}}")
            texts = "" if images.kind == "imagenet" else ', templates: ["a photo of a {}"]'
            own += f", from: {parent}, head: zero-shot{texts}"
            head = "a head made of the classes' names"
        else:
            parent = f"{model.key}-features"
            pretraining.append(f"  {parent}: {{{origin}}}")
            mapped = images.kind == "imagenet" and model.classes > 10000 and not model.file
            if not mapped and not fits:
                raise InputError(
                    f"{model.name} has no head for ImageNet's classes, and {images.path} has no "
                    f"images to fit one to; add its folder train, or leave the model out"
                )
            fitted, head = "lbfgs, data: [train]", "a head fitted here"
            if mapped:
                fitted, head = "class-mapping", f"{model.classes:,} classes mapped to ImageNet's"
            own += f", from: {parent}, head: {fitted}"
        guess = "Base" if model is base else f"Guess: {category}"
        what = f"{model.architecture}, {head}" if model.architecture else head.capitalize()
        data = " + ".join(model.data)
        known = f", train_data: {quote(data)}" if data != UNKNOWN else ""
        entries.append(
            f"  # {what}. {guess}: {why}.\n"
            f"  {quote(model.key)}: {{name: {quote(model.title)}, {own}{known}}}"
        )
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["yaml"] = quote
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        name=name, images=images, count=len(models), base=base, others=others, fits=fits,
        pretraining=pretraining, entries=entries, probed=fits and base.kind != "logits",
    )  # fmt: skip


def quote(text: str) -> str:
    """Write text as YAML, in quotes where it needs them."""
    plain = re.fullmatch(r"[A-Za-z][\w./-]*( [\w./-]+)*", text)
    if plain and yaml.safe_load(text) == text:
        return text
    whole = float("inf")  # not folded into lines
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=whole).strip()


def new_study(name: str, images: str, models: list[str], folder: str = "studies") -> Path:
    """Write a study file.

    Parameters
    ----------
    name : str
        Of the study: small letters, digits and single hyphens.
    images : str
        Folder of images.
    models : list of str
        As `workflow.lib.study.sources.find` reads them, the base first.
    folder : str
        Where to write `<name>.yaml`.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If the file exists, or if an argument is wrong, or if the study could not run.
    """
    if not (name and images and models):
        raise InputError(f"give a name, a folder of images, and models: {EXAMPLE}")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise InputError(f"NAME: '{name}' must be small letters, digits and single hyphens")
    file = Path(folder, f"{name}.yaml")
    if file.exists():
        raise InputError(f"{file} exists already; choose another NAME, or remove it")
    for other in (Path("config.yaml"), *sorted(Path(folder).glob("*.yaml"))):
        if _named(other) == name:
            raise InputError(f"NAME: '{name}' is the study of {other}; choose another")
    if on_disk.UNWRITABLE.search(images):
        raise InputError(
            f"IMAGES: {images!r} must be UTF-8, without tab, line break or braces; rename it"
        )
    found, mistakes = [], []
    for each in models:
        try:
            found.append(find(each))
        except InputError as error:
            mistakes.append(str(error))
    keys = [model.key for model in found]
    mistakes += [
        f"MODELS: {key} is named twice" for key in dict.fromkeys(keys) if keys.count(key) > 1
    ]
    if mistakes:
        text = "\n".join(mistakes)
        advice = BY_HAND if BY_HAND in text else ""  # once is enough
        raise InputError(text.replace(BY_HAND, "") + advice)
    there = look(images)
    if 0 in there.splits.values():
        raise InputError(f"IMAGES: {images} holds too few to divide ({there.found}); add some")
    text = write(name, there, found)
    with replacing(file) as part:
        part.write_text(text, encoding="utf-8")
        _check(part)
    return file


def _named(file: Path) -> object:
    """Name of the study in a file; None if it cannot be read."""
    try:
        return read(file).get("study")
    except ConfigurationError:
        return None


def _check(file: Path) -> None:
    """Refuse a study that would not be planned, or whose images could not be divided."""
    try:
        study = load(read(file), [file])
    except ConfigurationError as error:
        listed = [mistake.partition(": ")[2] for mistake in error.mistakes]
        raise InputError("the study would not run: " + "\n".join(listed)) from error
    mistakes = list(find_mistakes(study)) if isinstance(study, Study) else []
    if mistakes:
        raise InputError("the study would not run: " + "\n".join(mistakes))


def main() -> None:
    """Read the command line, and say what to do with the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--name", required=True, help="name of the study")
    parser.add_argument("--images", required=True, help="folder of images, or labels.csv")
    parser.add_argument("models", nargs="*", help="names or files, the base first")
    arguments = parser.parse_args()
    try:
        models = " ".join(arguments.models).split()  # make gives them as one text
        file = new_study(arguments.name, arguments.images, models)
    except InputError as error:
        sys.exit(str(error))
    print(f"Wrote {file}. Look at its guesses, then:")
    print(f"    snakemake --cores all --configfile {file}")


if __name__ == "__main__":
    main()
