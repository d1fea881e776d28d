"""Write a study of your own images and of models of timm: a commented file that runs as it is.

    make study NAME=mine IMAGES=photos MODELS="resnet50.a1_in1k vit_small_patch16_224.dino"

writes studies/mine.yaml. IMAGES is a folder of images by class, `<class>/*.jpg` or
`train/<class>/*.jpg` and `test/<class>/*.jpg`, or a folder of ImageNet or of parquet files. The
first model is the base. What timm's names tell of the others, their category and training data, is
guessed and said to be.
"""

import argparse
import difflib
import functools
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split

import jinja2
import timm
import yaml

from workflow.lib.data import files as on_disk
from workflow.lib.data import imagenet, parquet
from workflow.lib.data.kinds import build_manifest
from workflow.lib.run.errors import InputError
from workflow.lib.run.files import replacing
from workflow.lib.study.load import ConfigurationError, load, read

DATA = {
    "ImageNet-21k": r"in(w?21|22)k",
    "ImageNet-12k": r"in12k",
    "LAION": r"laion",
    "WIT": r"openai",
    "DataComp": r"datacomp|mclip",
    "DFN": r"dfn",
    "MetaCLIP": r"metaclip",
    "WebLI": r"webli",
    "CC12M": r"cc12m",
    "YFCC": r"yfcc",
    "Instagram": r"ig1b|swag|seer",
    "JFT": r"jft",
    "LVD-142M": r"lvd142m",
    "LVD-1689M": r"lvd1689m",
    "SAT-493M": r"sat493m",
    "SA-1B": r"sa1b",
    "Merged-2B": r"merged2b",
    "Merged-30M": r"m30m",
    "Merged-38M": r"m38m",
    "Bamboo": r"bamboo",
}
"""What in a tag of timm tells of training data besides ImageNet-1k."""

FRAMEWORKS = {
    "images and texts": r"clip|laion|openai|datacomp|dfn|webli|siglip|_pt\b",
    "self-supervision": r"dino|mae|mim|ijepa|beit|eva|seer|ssl(?!d)|radio|eupe",
    "distillation": r"dist|ssld|\bns_|usi|deit_in1k|teacher",
}
"""What in a name of timm tells of another framework than supervised training; the first counts."""
TEMPLATE = Path(__file__).with_name("new.yaml.j2")
EXAMPLE = 'make study NAME=mine IMAGES=photos MODELS="resnet50.a1_in1k convnext_tiny.in12k_ft_in1k"'
NEAREST = 5  # names to suggest for an unknown one


@dataclass(frozen=True)
class Pretrained:
    """A model of timm, and what its name tells.

    Attributes
    ----------
    name : str
        As a study says it: architecture and tag, or `local-dir:<folder>`.
    architecture, tag : str
    classes : int
        Outputs of its own head; 0 if it has none.
    """

    name: str
    architecture: str
    tag: str
    classes: int

    @property
    def title(self) -> str:
        """What to call it: its name, or that of its folder."""
        return Path(self.name.partition(":")[2]).name if ":" in self.name else self.name

    @property
    def key(self) -> str:
        """Its key in the study, of its title: small letters, digits and single hyphens."""
        slugs = (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
                 for name in (self.title, self.architecture))  # fmt: skip
        return next(filter(None, slugs))

    @property
    def data(self) -> tuple[str, ...]:
        """Names of the training data, as the tag tells them."""
        found = [name for name, pattern in DATA.items() if re.search(pattern, self.tag)]
        own = "in1k" in self.tag or re.search(r"\b(fb_)?(dino|mae|fcmae)\b", self.tag)
        return (*found, *(["ImageNet-1k"] if own else [])) or ("unknown data",)

    @property
    def framework(self) -> str:
        """How it was trained, as architecture and tag tell it."""
        name = f"{self.architecture}.{self.tag}"
        found = (kind for kind, pattern in FRAMEWORKS.items() if re.search(pattern, name))
        return next(found, "supervised training")

    def differs(self, base: "Pretrained") -> tuple[str, str]:
        """Guess along which axis it differs from the base, the most divergent one, and say why."""
        beyond = [name for name in self.data if name not in base.data]
        beyond += [name for name in base.data if name not in self.data]
        if set(beyond) - {"ImageNet-1k"}:
            return "dataset", f"trained on {' and '.join(self.data)}"
        if self.framework != base.framework:
            return "fwork", f"by {self.framework}, not {base.framework}"
        if self.architecture != base.architecture:
            return "arch", f"{self.architecture}, not {base.architecture}"
        return "hparam", f"{self.architecture} too, trained by another recipe"


def find(name: str) -> Pretrained:
    """Look up a model of timm that has public weights, or a folder of weights.

    Raises
    ------
    InputError
        If there is no such model, with the names that come nearest.
    """
    if name.startswith("local-dir:"):
        file = Path(name.partition(":")[2], "config.json")
        try:
            config = json.loads(file.read_text(encoding="utf-8"))
            own = config.get("pretrained_cfg", config)
            classes = own.get("num_classes", config.get("num_classes", 1000))
            architecture, tag = config["architecture"], own.get("tag") or ""
            if [type(each) for each in (architecture, tag, classes)] != [str, str, int]:
                raise TypeError("architecture or tag is no text, or num_classes no whole number")
            return Pretrained(name, architecture, tag, classes)
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise InputError(
                f"{name}: cannot read {file}: {error!r}; timm writes such folders by "
                f"timm.models.save_for_hf"
            ) from error
    architecture, _, tag = name.partition(".")
    known = _pretrained()
    if not tag and timm.is_model(architecture):
        config = timm.get_pretrained_cfg(architecture)
        tag = config.tag if config is not None else ""
        name = f"{architecture}.{tag}"
    if name not in known:
        nearest = [each for each in known if each.startswith(f"{architecture}.")][:NEAREST]
        nearest = nearest or difflib.get_close_matches(name, known, n=NEAREST, cutoff=0.5)
        hint = f"; near it are {', '.join(nearest)}" if nearest else ""
        raise InputError(f"timm has no pretrained model '{name}'{hint}")
    return Pretrained(name, architecture, tag, timm.get_pretrained_cfg(name).num_classes)


@functools.cache
def _pretrained() -> list[str]:
    """All of timm's names of architectures with a tag that has weights; takes a second."""
    return timm.list_pretrained()


@dataclass(frozen=True)
class Images:
    """A dataset, as a study says it.

    Attributes
    ----------
    kind : {'imagenet', 'folder', 'parquet'}
    path : str
    splits : dict of str to int or 'rest'
    found : str
        What was found there, in words.
    """

    kind: str
    path: str
    splits: dict[str, int | str]
    found: str


def look(path: str) -> Images:
    """See what kind of dataset a folder holds, and propose how to divide its images.

    Raises
    ------
    InputError
        If there is no such folder, or it does not hold what a study needs.
    """
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
        return Images("folder", path, {"train": "rest", **own}, found)
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
    return Images("folder", path, _divided(len(files)), found)


def _look_at_imagenet(path: str) -> Images:
    test, train = (imagenet.folder_of(path, split) for split in ("test", "train"))
    count = len(on_disk.scan(path, test)) if test else 0
    if not count:
        raise InputError(f"{path} holds ImageNet's images to train on, but no folder val")
    splits: dict[str, int | str] = {"train": "rest"} if train else {}
    splits |= {"calibration": min(10000, count // 5), "test": "rest"}
    return Images("imagenet", path, splits, f"{count:,} validation images of ImageNet")


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
        return Images("parquet", path, _divided(count), found)
    return Images("parquet", path, {"train": "rest", "calibration": count // 5}, found)


def _divided(count: int) -> dict[str, int | str]:
    return {"train": count * 3 // 5, "calibration": count // 5, "test": "rest"}


def write(name: str, images: Images, models: list[Pretrained]) -> str:
    """Write the study.

    Parameters
    ----------
    name : str
    images : Images
    models : list of Pretrained
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
        if images.kind == "imagenet" and model.classes == 1000:
            own += f", timm: {quote(model.name)}"
            head = "its own head"
        else:
            parent = f"{model.key}-features"
            pretraining.append(f"  {parent}: {{timm: {quote(model.name)}}}")
            mapped = images.kind == "imagenet" and model.classes > 10000
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
        entries.append(
            f"  # {model.architecture}, {head}. {guess}: {why}.\n"
            f"  {quote(model.key)}: {{name: {quote(model.title)}, {own}, "
            f"train_data: {quote(' + '.join(model.data))}}}"
        )
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["yaml"] = quote
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        name=name, images=images, count=len(models), base=base, others=others, fits=fits,
        pretraining=pretraining, entries=entries,
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
        Names of timm, the base first.
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
        raise InputError("\n".join(mistakes))
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
    build_manifest(study.settings["dataset"])


def main() -> None:
    """Read the command line, and say what to do with the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--name", required=True, help="name of the study")
    parser.add_argument("--images", required=True, help="folder of images")
    parser.add_argument("models", nargs="*", help="names of timm, the base first")
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
