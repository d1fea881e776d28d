"""The configuration: read strictly, checked as a whole, and completed model by model.

A study's file says what each model does differently. Here it becomes a *network* for each model
and each pretraining, with a recipe of just what its weights depend on, so that a training runs
again when its own recipe changes and for no other reason.
"""

import csv
import difflib
import functools
import itertools
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator, ValidationError, validators

from workflow.lib.data.splits import HELD
from workflow.lib.models import hub, preprocessing
from workflow.lib.run.errors import InputError

NETWORK = ("architecture", "options", "input")
LEARNING = ("objective", "data", "seed", "epochs", "batch_size", "optimizer", "learning_rate",
            "weight_decay")  # fmt: skip
AUGMENTATION = ("shift", "flip")
SUPERVISION = ("labels", "label_smoothing")
RECIPE = (*NETWORK, *LEARNING, *AUGMENTATION, *SUPERVISION)

READS = {
    # heads of models
    "trained": RECIPE,
    "fine-tuned": (*LEARNING, *AUGMENTATION, *SUPERVISION, "from"),
    "distilled": (*NETWORK, *LEARNING, *AUGMENTATION, "temperature", "teacher"),
    "lbfgs": ("data", "seed", "regularisation", "from"),
    "zero-shot": ("from",),
    "class-mapping": ("from",),
    "checkpoint": (*NETWORK, "checkpoint"),
    # weights of a hub, also under pretraining, and outputs from anywhere
    "timm": ("timm",),
    "open_clip": ("open_clip",),
    "logits": ("logits",),
    # objectives of pretraining
    "supervised": RECIPE,
    "simclr": (*NETWORK, *LEARNING, "temperature", "projection", "crop_scale", "jitter"),
    "clip": (*NETWORK, *LEARNING, *AUGMENTATION,
             "projection", "templates", "text_width", "text_layers", "context"),
}  # fmt: skip
"""What each kind of network needs; of `recipe`, what its own entry leaves out."""

SCHEDULE = ("schedule", "warmup", "milestones")
CROPS = ("augmentation", "crop_scale", "crop_ratio")
DROP_BLOCK = ("drop_block_stages", "drop_block_keep")

OPTIONAL = {
    "trained": (*SCHEDULE, *CROPS, *DROP_BLOCK),
    "fine-tuned": (*SCHEDULE, *CROPS, *DROP_BLOCK),
    "distilled": (*SCHEDULE, *CROPS, *DROP_BLOCK),
    "supervised": (*SCHEDULE, *CROPS, *DROP_BLOCK),
    "simclr": (*SCHEDULE, "augmentation", "crop_ratio"),
    "clip": SCHEDULE,
    "zero-shot": ("templates", "class_names"),
    "checkpoint": ("sha256",),
    "timm": ("options", "checkpoint", "sha256", "input"),
    "open_clip": ("checkpoint", "sha256", "input"),
    "logits": ("sha256",),
}
"""What each kind can choose besides; any other key in its entry has no effect."""

DEFAULTS = {
    "distilled": {"temperature": 4.0},
    "lbfgs": {"regularisation": [0.0001, 0.001, 0.01, 0.1, 1.0]},
    "clip": {"text_width": 64, "text_layers": 2, "context": 16},
}
"""Values of keys that are peculiar to a kind of network and may be left out."""

INHERITS = {
    "fine-tuned": NETWORK,
    "lbfgs": ("input",),
    "zero-shot": ("input", "templates"),
    "class-mapping": ("input", "labels"),
}
"""What each kind takes from the recipe of the network it comes from."""

TRAINED_BY = ("supervised", "distillation", "simclr", "clip")
"""Objectives of networks that are trained here."""

OBJECTIVES = {"trained": "supervised", "fine-tuned": "supervised", "distilled": "distillation"}
"""The objective of each kind of model that learns the classes by itself."""

HUBS = ("timm", "open_clip")
OWN = (*HUBS, "logits")
"""Kinds of networks that take nothing from `recipe`."""

UNTRAINED = (*OWN, "checkpoint")
"""Kinds that are trained elsewhere: `objective` and `head` only say how."""

FEATURELESS = (".npy", ".csv")
"""Kinds of files of logits that hold no features."""

TITLES = {"checkpoint": "a checkpoint", "timm": "the weights of timm",
          "open_clip": "the weights of open_clip", "logits": "logits from a file"}  # fmt: skip
"""What kinds are in words that are neither heads nor objectives."""

FILES = "bring .npz or .h5 with `features`, or leave the model out of features.models"

NO_RECIPE = {"seed": 0, "options": {}}
"""What stands for `recipe` in a study that trains no network."""

FOUND = "UNCORRELATED_PREPROCESSING"
"""Variable of the environment that holds the preprocessing of public networks."""

FOUND_AT_MOST = 100_000
"""Its characters; systems limit what a process is handed."""

PLAIN_GEOMETRY = {"size": 224, "crop": 1.0, "interpolation": "bicubic", "mean": [0.0] * 3}
"""How images are shown in a study that has nothing but logits."""

KORNBLITH = tuple(float(f"{10 ** (-6 + 11 * step / 44):.6g}") for step in range(45))
"""The L2 penalties of Kornblith, Shlens and Le (2019, appendix A.4)."""

FIGURES = ("figure1", "figure2", "figure8", "figure3", "figure4", "figure5", "figure6", "figure7",
           "pareto", "sensitivity")  # fmt: skip
"""All figures. Published numbers are enough for the first three."""

CONTRASTIVE = ("simclr", "clip")
FROZEN = ("lbfgs", "zero-shot", "class-mapping")
SHOWN = ("name", "category", "set", "head", "train_data", "stand_in", "paper")
PARENTS = ("from", "teacher")
LISTS = {"greedy": ("bases", "pool"), "features": ("models",), "downstream": ("models",)}
"""Where analyses name models."""

NUMBER = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+\Z")
"""Numbers such as `1e-3`, which are text in YAML 1.1."""

TEXT_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
TYPES = {"object": "a mapping", "array": "a list", "string": "text", "integer": "a whole number",
         "number": "a number", "boolean": "true or false"}  # fmt: skip
BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most",
          "exclusiveMaximum": "below"}  # fmt: skip

Mistake = tuple[Sequence, str]
"""A key path, and what is wrong there."""


class _Loader(yaml.SafeLoader):
    """Reads `1e-3` as a number, unless it is in quotes."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+0123456789"))


class ConfigurationError(Exception):
    """Everything that is wrong with a configuration, one mistake a line.

    Attributes
    ----------
    mistakes : list of str
    """

    def __init__(self, mistakes: Iterable[str]):
        self.mistakes = list(dict.fromkeys(mistakes))
        super().__init__("\n".join(self.mistakes))


def load(config: Mapping, files: Iterable[str | os.PathLike]) -> dict[str, dict]:
    """Check and complete a study and the published studies alongside it.

    Parameters
    ----------
    config : mapping
        The study as Snakemake merged it from its files and the command line.
    files : iterable of path
        Those files, relative to the working directory.

    Returns
    -------
    dict of str to dict
        Completed studies, by name (see `complete`).

    Raises
    ------
    ConfigurationError
        With every mistake of every file.
    """
    mistakes = []
    files = [os.path.relpath(file) for file in files]

    def reading(file):
        try:
            return read(file)
        except ConfigurationError as error:
            mistakes.extend(error.mistakes)
            return None

    name = " + ".join(files) or "configuration"
    # Snakemake has read the files already, blind to repeated keys and to quotes.
    quoted = {place for file in files for place in _number_like(reading(file))}
    try:
        study = _with_numbers(_plain(config), quoted)
    except RecursionError:
        mistakes = mistakes or [f"{name}: something stands in itself, by an alias of YAML"]
        raise ConfigurationError(mistakes) from None
    mistakes += [f"{name}: {_dotted(path)}: {text}" for path, text in _only_mistakes(study)]
    sources = [(name, _reduced(study))]
    alongside = study.get("alongside")
    for file in alongside if isinstance(alongside, list) else []:
        study = reading(file) if isinstance(file, str) else None
        if study and "published" in study:
            sources.append((file, study))
        elif study:
            mistakes.append(f"{file}: not a published study, so it cannot stand alongside another")

    named = {}
    for file, study in sources:
        mistakes += check(study, file)
        name = str(study.get("study", file))
        if name in named:
            mistakes.append(f'{file}: study: the name "{name}" is also that of {named[name]}')
        named[name] = file
    if not mistakes:
        (file, study), *published = sources
        mistakes += [
            f"{file}: {_dotted(path)}: {text}"
            for path, text in _paper_mistakes(study, [other for _, other in published])
        ]
    if mistakes:
        raise ConfigurationError(mistakes)
    return {study["study"]: complete(study) for _, study in sources}


def _only_mistakes(study: Mapping) -> Iterator[Mistake]:
    only, models = study.get("only"), study.get("models")
    if isinstance(only, list) and isinstance(models, dict):
        for place, key in enumerate(only):
            if isinstance(key, str) and key not in models:
                yield ("only", place), f'there is no model "{key}"{_nearest(key, models)}'


def _reduced(study: Mapping) -> Mapping:
    """Keep only the models that `only` names, the base and teachers, and what they start from.

    Analyses lose the models that are left out, and pairs with one of them are lost.
    """
    only, models = study.get("only"), study.get("models")
    parts = [models, *(study.get(key, {}) for key in ("pretraining", *LISTS))]
    if not isinstance(only, list) or not all(isinstance(part, dict) for part in parts):
        return study
    if not all(isinstance(own, dict) for own in models.values()):
        return study
    kept = [key for key, own in models.items() if key in only or own.get("category") == "base"]
    for key in kept:  # grows: a teacher may have a teacher
        teacher = models[key].get("teacher")
        if isinstance(teacher, str) and teacher in models and teacher not in kept:
            kept.append(teacher)
    study = {**study, "models": {key: own for key, own in models.items() if key in kept}}
    gone = models.keys() - study["models"].keys()
    used = [own.get("from") for own in study["models"].values()]
    if "pretraining" in study:
        study["pretraining"] = {
            key: own for key, own in study["pretraining"].items() if key in used
        }
    if isinstance(study.get("pairs"), list):
        study["pairs"] = [
            pair
            for pair in study["pairs"]
            if not isinstance(pair, list) or not gone & {*map(str, pair)}
        ]
    for section, keys in LISTS.items():
        for key in keys:
            named = study.get(section, {}).get(key)
            if isinstance(named, list) and gone & {*map(str, named)}:
                rest = {name: own for name, own in study[section].items() if name != key}
                left = [name for name in named if name not in gone]
                study[section] = rest | ({key: left} if left else {})
    return study


def _paper_mistakes(study: Mapping, published: Sequence[Mapping]) -> Iterator[Mistake]:
    """Find models that are to stand beside a row that no published study has."""
    rows = {row for other in published for row in _published_rows(other["published"]["table"])}
    for key, own in study.get("models", {}).items():
        row = own.get("paper")
        if row is not None and not published:
            text = "there is no published study to compare with; name its file under alongside"
            yield ("models", key, "paper"), text
        elif row is not None and rows and row not in rows:
            text = f'no published study has a model "{row}"{_nearest(row, rows)}'
            yield ("models", key, "paper"), text


def _published_rows(path: str) -> list[str]:
    """Read the names of the models in a published table; a table that is no such is its job's."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return [row["model"] for row in csv.DictReader(file)]
    except (OSError, KeyError, ValueError, csv.Error):
        return []


def read(path: str | os.PathLike) -> dict:
    """Read a YAML file, refusing what a plain reader would drop in silence.

    Returns
    -------
    dict
        Of plain types. Numbers such as `1e-3`, text in YAML 1.1, are numbers.

    Raises
    ------
    ConfigurationError
        If the file cannot be read, is no mapping, or gives a key twice.
    """
    try:
        loader = _Loader(Path(path).read_bytes())
        root = loader.get_single_node()
        mistakes = list(_misread_keys(root))
        content = loader.construct_document(root) if root else None
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read: {error.strerror}"]) from None
    except yaml.MarkedYAMLError as error:
        line = (error.problem_mark or error.context_mark).line + 1
        what = error.problem or error.context
        raise ConfigurationError([f"{path}: line {line}: not valid YAML: {what}"]) from None
    except yaml.YAMLError as error:
        raise ConfigurationError([f"{path}: not valid YAML: {error}".replace("\n", " ")]) from None
    if not isinstance(content, dict):
        raise ConfigurationError([f"{path}: must hold keys and values"])
    if mistakes:
        raise ConfigurationError(f"{path}: line {line}: {text}" for line, text in mistakes)
    return _plain(content)


def _misread_keys(node, path=(), above=()) -> Iterator[tuple[int, str]]:
    """Find keys given twice or not read as text, and what stands in itself, with their lines."""
    if node in above:
        text = "holds an alias of what it stands in; write out what is meant"
        yield node.start_mark.line + 1, f"{_dotted(path)}: {text}"
        return
    above = (*above, node)
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _misread_keys(item, path, above)
    if isinstance(node, yaml.MappingNode):
        lines = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            here = _dotted((*path, name))
            if name in lines:
                yield line, f"{here}: the key is given twice, first in line {lines[name]}"
            elif key.tag not in TEXT_TAGS:
                yield line, f'{here}: YAML does not read this key as text; write "{name}"'
            lines.setdefault(name, line)
            yield from _misread_keys(value, (*path, name), above)


def _plain(value):
    """Copy into dicts, lists and scalars."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | None) else str(value)


def _number_like(value, path=()) -> Iterator[tuple[tuple, str]]:
    """Find text such as "1e-3", with its key path."""
    if isinstance(value, str) and NUMBER.match(value):
        yield path, value
    for key, item in _items(value):
        yield from _number_like(item, (*path, key))


def _with_numbers(value, quoted: set[tuple[tuple, str]]):
    """Copy plain values with text such as "1e-3" as the number it is, unless it is quoted."""
    value = deepcopy(value)
    for path, text in _number_like(value):
        if (path, text) not in quoted:
            *above, last = path
            functools.reduce(lambda part, key: part[key], above, value)[last] = float(text)
    return value


def _items(value) -> Iterable[tuple[str | int, object]]:
    """Keys or places and what is there, of a dict or a list; else nothing."""
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def check(config: Mapping, file: str) -> list[str]:
    """Find everything that is wrong with a study.

    Parameters
    ----------
    config : mapping
        A study as `read` gives it.
    file : str
        Its name, for messages.

    Returns
    -------
    list of str
        Mistakes, each `file: key.path: what is wrong`.
    """
    validator = _validator(config)
    mistakes, sound = [], deepcopy(config)
    for error in validator.iter_errors(config):
        for path, text in _explained(error, validator.schema):
            mistakes.append((path, text))
            if not _only_misspelt(error, path):
                _remove(sound, path, mapping=error.validator_value == "object")
    wrong = [path for path, _ in mistakes]
    mistakes += [mistake for mistake in _beyond_schema(sound) if mistake[0] not in wrong]
    return list(dict.fromkeys(f"{file}: {_dotted(path)}: {text}" for path, text in mistakes))


def _only_misspelt(error: ValidationError, path: Sequence) -> bool:
    """Say whether a wrong value is better kept: without it, others would seem to be wrong too."""
    kind = path[-1] in ("head", "objective") and isinstance(error.instance, str)
    return error.validator in ("pattern", "anyOf") or kind


def _remove(config: dict, path: Sequence, mapping: bool) -> None:
    """Take out a wrong value, or empty what should be a mapping, to check the rest without it."""
    *above, last = itertools.takewhile(lambda key: isinstance(key, str), path)
    for key in above:
        config = config.get(key, {})
    config.pop(last, None)
    if mapping:
        config[last] = {}


def _validator(config: Mapping) -> Draft202012Validator:
    """Validator of the schema for a study of this kind."""
    return _validator_of("published" if "published" in config else "study")


@functools.cache
def _validator_of(name: str) -> Draft202012Validator:
    """Validator of a schema, for which 2.0 is no whole number and infinity none at all."""
    path = Path(__file__).parents[2] / "schemas" / f"{name}.schema.yaml"
    # Each job reads it; the loader in C is ten times as fast.
    schema = yaml.load(path.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))

    def number(_, value):
        return type(value) is int or (type(value) is float and math.isfinite(value))

    checker = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": lambda _, value: type(value) is int, "number": number}
    )
    return validators.extend(Draft202012Validator, type_checker=checker)(schema)


def _explained(error: ValidationError, root: Mapping) -> Iterator[Mistake]:
    """Put an error of the schema in plain English."""
    path, value, limit, schema = (
        tuple(error.absolute_path), error.instance, error.validator_value, error.schema
    )  # fmt: skip
    match error.validator:
        case "additionalProperties" | "unevaluatedProperties":
            known = _properties(schema, root)
            for key in value:
                if key not in known:
                    yield (*path, key), f"unknown key{_nearest(key, known)}"
        case "required":
            for key in limit:
                if key not in value:
                    yield (*path, key), "the key is missing"
        case "pattern" | "anyOf":
            inside = (*path, value) if "propertyNames" in error.absolute_schema_path else path
            yield inside, f"{_shown(value)} is not {schema['title']}"
        case "type":
            wanted = [limit] if isinstance(limit, str) else limit
            yield path, f"must be {' or '.join(map(TYPES.get, wanted))}, not {_shown(value)}"
        case "enum":
            text = f"must be one of {', '.join(limit)}, not {_shown(value)}"
            yield path, text + _nearest(value, limit)
        case "minItems" | "maxItems":
            least, most = schema.get("minItems", 0), schema.get("maxItems")
            wanted = f"exactly {most}" if least == most else f"at least {least}"
            yield path, f"must have {wanted} item{'s' * (least != 1)}, not {len(value)}"
        case "uniqueItems":
            yield path, f"gives an item twice: {_shown(value)}"
        case "minLength":
            yield path, "must not be empty"
        case bound if bound in BOUNDS:
            yield path, f"must be {BOUNDS[bound]} {limit}, not {_shown(value)}"
        case _:
            yield path, error.message


def _properties(schema: Mapping, root: Mapping) -> dict:
    """Properties of a schema and of those that it refers to."""
    parent = schema.get("$ref")
    inherited = _properties(root["$defs"][parent.split("/")[-1]], root) if parent else {}
    return inherited | schema.get("properties", {})


def _beyond_schema(study: Mapping) -> Iterator[Mistake]:
    """Find mistakes that lie between keys, in a study without those that the schema finds."""
    band = study.get("band", [0, 1])
    if band[0] >= band[1]:
        yield ("band",), f"must go from the lower to the higher accuracy, not {_shown(band)}"
    if "published" in study:
        return
    yield from _dataset_mistakes(study.get("dataset", {}))
    yield from _group_mistakes(study.get("groups", {}))
    yield from _model_mistakes(study.get("models", {}), study.get("pretraining", {}))
    yield from _pair_mistakes(study.get("pairs", []), study.get("models", {}))
    yield from _analysis_mistakes(study)
    networks = list(_networks(study))
    taught = [network for network in networks if "epochs" in READS.get(network.kind, ())]
    if "recipe" not in study and taught:
        place = _dotted(taught[0].path)
        yield ("recipe",), f"the key is missing; {place} is trained here, and needs it"
        networks = [network for network in networks if network not in taught]
    default = study.get("recipe", {})
    for key, text in _void(default):
        if key in default:
            yield ("recipe", key), text
    for network in networks:
        if network.kind in READS:
            yield from _source_mistakes(network)
            yield from _key_mistakes(network)
            yield from _value_mistakes(network, study.get("dataset", {}))
            yield from _parent_mistakes(network, study)
        elif network.kind == "distillation":
            yield network.origin("objective"), "distillation is for models, not pretraining"
        elif "objective" in network.own:
            yield network.origin("objective"), _not_one_of(TRAINED_BY, network.kind)
        elif "recipe" not in study:
            text = "the key is missing; say it, or `timm` or `open_clip`: what network this is"
            yield (*network.path, "objective"), text


def _networks(study: Mapping) -> Iterator["_Network"]:
    """Give every entry, pretraining first."""
    default = study.get("recipe", NO_RECIPE)
    for section in ("pretraining", "models"):
        for key, own in study.get(section, {}).items():
            yield _Network((section, key), own, default)


def _dataset_mistakes(dataset: Mapping) -> Iterator[Mistake]:
    kind, splits = dataset.get("kind"), dataset.get("splits", {})
    place = ("dataset", "splits")
    if kind == "fashion-mnist" and "test" in splits:
        yield (*place, "test"), "the name is that of the dataset's own test images"
    if kind == "fashion-mnist" and "skip_corrupt" in dataset:
        yield ("dataset", "skip_corrupt"), "has no effect with the kind fashion-mnist"
    held = [name for name in splits if "test" in splits and name in HELD]
    for pool in (held, [name for name in splits if name not in held]):
        if [splits[name] for name in pool].count("rest") > 1:
            among = f" among {' and '.join(held)}" if pool is held else ""
            yield place, f'only one split{among} can be "rest"'


def _group_mistakes(groups: Mapping) -> Iterator[Mistake]:
    for name, group in groups.items():
        match group:
            case [int(first), int(last)] if first > last:
                text = f"must go from the first to the last class, not {_shown(group)}"
                yield ("groups", name), text


def _missing_split(split: str, dataset: Mapping) -> str | None:
    """Say that a dataset has no such split, as far as its splits are known before it is read."""
    kind, splits = dataset.get("kind"), dataset.get("splits", {})
    path = dataset.get("path", "")
    own = kind in ("folder", "parquet")  # may have splits of its own
    if split in splits or "splits" not in dataset or not (splits or own):
        return None
    if kind == "parquet" and split in (HELD if splits else (*HELD, "train")):
        return None
    # A folder of its own is a split, but train only if nothing is drawn from it.
    unread = not os.path.isdir(path) or os.path.isdir(os.path.join(path, split))
    if kind == "folder" and unread and not (splits and split == "train"):
        return None
    return f'there is no split "{split}"{_nearest(split, splits)}'


def _model_mistakes(models: Mapping, pretraining: Mapping) -> Iterator[Mistake]:
    bases = [key for key, own in models.items() if own.get("category") == "base"]
    if len(bases) > 1 or (not bases and all("category" in own for own in models.values())):
        found = " and ".join(bases) or "none"
        yield ("models",), f"exactly one model must be of the category base, not {found}"
    for key in bases:
        if models[key].get("set", "main") != "main":
            yield ("models", key, "set"), "the base must be in the set main"
    for key in pretraining:
        if key in models:
            yield ("pretraining", key), "a model has the same key; each network needs its own"
    for key in models:
        cycle = _lessons(key, models)
        if cycle and key == min(cycle):
            chain = " learns from ".join([*cycle, key])
            yield ("models", key, "teacher"), f"a model cannot teach itself: {chain}"


def _lessons(key: str, models: Mapping) -> list[str]:
    """Walk from a model to its teacher's teacher and so on; none if this never leads back."""
    chain = [key]
    while (teacher := models.get(chain[-1], {}).get("teacher")) not in (None, *chain):
        chain.append(teacher)
    return chain if teacher == key else []


def _pair_mistakes(pairs: Sequence, models: Mapping) -> Iterator[Mistake]:
    for place, (first, second) in enumerate(pairs):
        for key in (first, second):
            if models and key not in models:
                yield ("pairs", place), f'there is no model "{key}"{_nearest(key, models)}'
        if first == second:
            yield ("pairs", place), f'pairs the model "{first}" with itself'
        if any({first, second} == {*earlier} for earlier in pairs[:place]):
            yield ("pairs", place), f"gives the pair of {first} and {second} twice"


def _analysis_mistakes(study: Mapping) -> Iterator[Mistake]:
    """Find models, splits and numbers that an analysis names and the study does not have."""
    models = study.get("models", {})
    for section, key in ((section, key) for section, keys in LISTS.items() for key in keys):
        for place, model in enumerate(study.get(section, {}).get(key, [])):
            if models and model not in models:
                text = f'there is no model "{model}"{_nearest(model, models)}'
                yield (section, key, place), text
    bases, pool = _bases_and_pool(study)
    if bases and not pool and "pool" not in study.get("greedy", {}):
        yield ("greedy", "pool"), "the pool is empty: every model is of the set high; name some"
    if "bases" not in study.get("greedy", {}) and "pool" in study.get("greedy", {}) and not bases:
        yield ("greedy", "bases"), "no model is of the set high; name some to begin with"
    for model in bases:
        if pool == [model]:
            yield ("greedy", "pool"), f'the pool holds only the base "{model}" itself'

    dataset = study.get("dataset", {})
    for section, key in (("features", "data"), ("downstream", "split")):
        split = study.get(section, {}).get(key)
        if split == "test" or (section == "features" and split == "calibration"):
            yield (section, key), f"the split {split} must not be learnt from"
        elif split and (text := _missing_split(split, dataset)):
            yield (section, key), text
    by_default = "data" not in study.get("features", {}) and _probed(study)
    if by_default and (text := _missing_split("train", dataset)):
        text += ", from which the probes of figure 6 learn; draw one, or name another here"
        yield ("features", "data"), text
    yield from _weightless_mistakes(study)
    downstream = study.get("downstream", {})
    unused = {"scenes": ("path",), "voc": ("split", "seed")}.get(downstream.get("kind"), ())
    for key in unused:
        if key in downstream:
            yield ("downstream", key), f"has no effect with the kind {downstream['kind']}"
    if downstream.get("kind") == "scenes":
        guilty = [network.path[1] for network in _networks(study)
                  if downstream.get("split") in network.values.get("data", [])]  # fmt: skip
        if guilty:
            text = f'the split {downstream["split"]} is learnt from by "{guilty[0]}"'
            yield ("downstream", "split"), text


def _probed(study: Mapping) -> list[str]:
    """List the models whose features are combined with the base's."""
    models, named = study.get("models", {}), study.get("features", {}).get("models")
    base = next((key for key, own in models.items() if own.get("category") == "base"), None)
    if named is None:
        looked_at = {key for pair in study.get("pairs", []) for key in pair}
        named = [key for key in looked_at if key in models and _has_features(models[key])]
        if base is None or not _has_features(models[base]):
            named = []
    return [key for key in models if key in named and key != base]


def _has_features(own: Mapping) -> bool:
    """Say whether a model has features; a file of logits may be of a kind that holds none."""
    return not own.get("logits", "").endswith(FEATURELESS)


def _weightless_mistakes(study: Mapping) -> Iterator[Mistake]:
    """Find models of which only logits are there, and more is asked for."""
    models, probed = study.get("models", {}), _probed(study)
    for place, key in enumerate(study.get("features", {}).get("models", [])):
        if not _has_features(models.get(key, {})):
            text = f"{models[key]['logits']} holds no features; {FILES}"
            yield ("features", "models", place), text
    for key, own in models.items():
        if own.get("category") == "base" and probed and not _has_features(own):
            text = f"{own['logits']} holds no features, with which others' are combined; {FILES}"
            yield ("models", key, "logits"), text
    downstream = study.get("downstream")
    if downstream is None:
        return
    for place, key in enumerate(downstream.get("models", [])):
        if "logits" in models.get(key, {}):
            text = f"the logits of {key} are brought: there are no weights to run on other images"
            yield ("downstream", "models", place), text
    if models and "models" not in downstream and not _downstream_models(study):
        text = "name models with weights: of the base and those of features only logits are there"
        yield ("downstream", "models"), text


def _downstream_models(study: Mapping) -> list[str]:
    """List the models that are evaluated on the further task."""
    models = study.get("models", {})
    named = study["downstream"].get("models")
    if named is None:
        base = [key for key, own in models.items() if own.get("category") == "base"]
        named = [key for key in (*base, *_probed(study)) if "logits" not in models[key]]
    return [key for key in models if key in named]


def _bases_and_pool(study: Mapping) -> tuple[list[str], list[str]]:
    """Models that greedy ensembles begin with, and those that they add, in the models' order."""
    models, greedy = study.get("models", {}), study.get("greedy", {})
    high = [key for key, own in models.items() if own.get("set") == "high"]
    bases = greedy.get("bases", high)
    pool = greedy.get("pool", [key for key in models if key not in high])
    return [key for key in models if key in bases], [key for key in models if key in pool]


def _partners(keys: Sequence[str]) -> dict[str, list[str]]:
    """Give each model itself and half of the others, so that all pairs are shared out evenly."""
    count = len(keys)
    partners = {}
    for place, key in enumerate(keys):
        # With an even number, models that face each other across the circle are one pair.
        last = count // 2 - (count % 2 == 0 and place >= count // 2)
        partners[key] = [key] + [keys[(place + step) % count] for step in range(1, last + 1)]
    return partners


@dataclass(frozen=True)
class _Network:
    """An entry under `models` or `pretraining`, beside the recipe that it departs from."""

    path: tuple[str, str]
    own: Mapping
    default: Mapping

    @property
    def kind(self) -> str | None:
        """What kind of network it is: a key of READS; if it is pretrained here, its objective."""
        for kind in ("logits", *HUBS):
            if kind in self.own:
                return kind
        objective = self.own.get("objective", self.default.get("objective"))
        if self.path[0] == "pretraining":
            return objective
        if "checkpoint" in self.own:
            return "checkpoint"
        by_default = "fine-tuned" if "from" in self.own else "trained"
        return self.own.get("head", "distilled" if objective == "distillation" else by_default)

    @property
    def title(self) -> str:
        """Its kind, in words."""
        if self.kind in TITLES:
            return TITLES[self.kind]
        return f"the {'objective' if self.path[0] == 'pretraining' else 'head'} {self.kind}"

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys that it reads."""
        return (*READS[self.kind], *OPTIONAL.get(self.kind, ()))

    @property
    def values(self) -> dict:
        """Its own values on top of the defaults."""
        if self.kind in OWN:
            return dict(self.own)
        values = {**self.default, **DEFAULTS.get(self.kind, {}), **self.own}
        return values | {"input": self.default.get("input", {}) | self.own.get("input", {})}

    def image(self) -> dict:
        """Say how it wants its images, its own parts on top of the hub's or of the defaults.

        Raises
        ------
        InputError
            If the hub has no such network.
        """
        image = self.values.get("input", {})
        if self.kind in HUBS:
            entry = {key: self.own[key] for key in self.keys if key in self.own}
            image = _preprocessing(json.dumps(entry)) | image
        if image.get("crop_mode", "center") == "center":
            image = {key: value for key, value in image.items() if key != "crop_mode"}
        if image.get("crop_mode") != "border":
            image = {key: value for key, value in image.items() if key != "fill"}
        return image

    def origin(self, key: str) -> tuple[str, ...]:
        """Say where the value of a key was written."""
        return (*self.path, key) if key in self.own else ("recipe", key)

    def recipe(self, parent: Mapping) -> dict:
        """Gather all that its weights depend on, and no more.

        Parameters
        ----------
        parent : mapping
            Recipe of the network that it comes from, if any.
        """
        inherited, keys, values = INHERITS.get(self.kind, ()), self.keys, self.values
        if self.kind != "logits":
            values |= {"input": self.image()}
        if self.kind == "fine-tuned" and "timm" in parent:
            parent = {"architecture": parent["timm"], "options": {}, **parent}
        values = {key: value for key, value in values.items()
                  if key in self.own or key not in inherited}  # fmt: skip
        values = {key: parent[key] for key in inherited if key in parent} | values
        if self.kind in OBJECTIVES:
            values["objective"] = OBJECTIVES[self.kind]
        void = dict(_void(values)) if "epochs" in keys else {}
        keys = [
            key
            for key in (*inherited, *keys)
            if key not in PARENTS and key in values and (key not in void or key in READS[self.kind])
        ]
        head = "pretrained" if self.kind in HUBS else self.kind
        head = "pretraining" if self.path[0] == "pretraining" else head
        return {"head": head} | {key: _in_order(values[key]) for key in keys}


def _in_order(value):
    """Copy a value, keys in alphabetical order, so that their order in the file is no change."""
    if isinstance(value, Mapping):
        return {key: _in_order(value[key]) for key in sorted(value)}
    return deepcopy(value)


@functools.cache
def _preprocessing(entry: str) -> dict:
    """Look up how a public network wants its images, `entry` being JSON.

    timm and open_clip take seconds to import, and every job's process reads the study again: what
    was found is handed to them by the environment.
    """
    known = json.loads(os.environ.get(FOUND, "{}"))
    if entry not in known:
        known[entry] = preprocessing.preprocessing(json.loads(entry))
        text = json.dumps(known)
        if len(text) < FOUND_AT_MOST:
            os.environ[FOUND] = text
    return known[entry]


def _void(values: Mapping) -> Iterator[tuple[str, str]]:
    """Say which optional keys of a training have no effect beside the others."""
    schedule = values.get("schedule", "one-cycle")
    augmentation = values.get("augmentation", "shift-and-flip")
    if schedule == "one-cycle":
        yield "warmup", f"has no effect with the schedule {schedule}"
    if schedule != "step":
        yield "milestones", f"has no effect with the schedule {schedule}"
    if augmentation != "random-resized-crop":
        yield "crop_scale", f"has no effect with the augmentation {augmentation}"
        yield "crop_ratio", f"has no effect with the augmentation {augmentation}"


def _source_mistakes(network: _Network) -> Iterator[Mistake]:
    """Find networks that do not suit their section, and heads that need another network."""
    section, own, kind = network.path[0], network.own, network.kind
    if section == "pretraining" and "checkpoint" in own and kind not in HUBS:
        text = "needs `timm` or `open_clip` beside it, which says what network the file is of"
        yield (*network.path, "checkpoint"), text
    if section == "models" and kind == "open_clip":
        text = "is no classifier by itself; move it to pretraining, and name it with `from` and"
        yield (*network.path, "open_clip"), f"{text} the head zero-shot or lbfgs"
    if section == "models" and kind in HUBS and own.get("head") in FROZEN:
        text = f"the head {own['head']} needs a network under pretraining; move `{kind}` there, and"
        yield (*network.path, "head"), f"{text} name it with `from`"
    objective = own.get("objective")
    if kind not in UNTRAINED and objective is not None and objective not in TRAINED_BY:
        yield network.origin("objective"), _not_one_of(TRAINED_BY, objective)


def _not_one_of(known: Sequence[str], value: object) -> str:
    return f"must be one of {', '.join(known)}, not {_shown(value)}{_nearest(value, known)}"


def _key_mistakes(network: _Network) -> Iterator[Mistake]:
    """Find keys without effect, and those that one kind of network cannot do without."""
    shown = SHOWN if network.path[0] == "models" else ()
    shown = (*shown, "objective") if network.kind in UNTRAINED else shown
    told = {key for key, _ in _source_mistakes(network)}
    for key in network.own:
        if key not in (*network.keys, *shown) and (*network.path, key) not in told:
            yield (*network.path, key), f"has no effect with {network.title}"
    given = (*INHERITS.get(network.kind, ()), *network.values)
    if network.default is not NO_RECIPE:
        given += RECIPE  # what is missing there has been told
    for key in READS[network.kind]:
        if key not in given:
            yield (*network.path, key), f"the key is missing; {network.title} needs it"
    if network.default is NO_RECIPE and "input" in READS[network.kind]:
        parts = ("size", "crop", "interpolation", "mean", "std")
        lacking = [key for key in parts if key not in network.values["input"]]
        if lacking:
            text = f"must say {', '.join(lacking)}, since there is no `recipe` to take them from"
            yield (*network.path, "input"), text


def _value_mistakes(network: _Network, dataset: Mapping) -> Iterator[Mistake]:
    """Find values that do not go with the rest of the study."""
    reads, values, origin = network.keys, network.values, network.origin
    for split in values.get("data", []) if "data" in reads else []:
        if split in HELD:
            yield origin("data"), f"the split {split} must not be learnt from"
        elif text := _missing_split(split, dataset):
            yield origin("data"), text
    if "input" in reads:
        yield from _input_mistakes(network)
    if "epochs" in reads:
        yield from _training_mistakes(network)

    if network.kind not in OBJECTIVES or values.get("objective") not in TRAINED_BY:
        return
    objective, wanted = values["objective"], OBJECTIVES[network.kind]
    if objective in CONTRASTIVE:
        text = f"{objective} gives no classifier; move it to pretraining, and name it with `from`"
        yield origin("objective"), text
    elif "objective" in network.own and objective != wanted:
        yield origin("objective"), f"must be {wanted} with {network.title}, not {objective}"
    if "labels" in reads and values.get("labels") == "shades":
        yield origin("labels"), "a model must learn classes; shades are for pretraining"


def _input_mistakes(network: _Network) -> Iterator[Mistake]:
    try:
        image = network.image()
    except InputError as error:
        yield (*network.path, network.kind), str(error)
        return
    own = network.own.get("input", {})

    def place(*keys):
        overridden = network.kind in HUBS or {*keys} & own.keys()
        return (*network.path, "input") if overridden else ("recipe", "input")

    counts = [len(image[key]) for key in ("mean", "std") if key in image]
    if counts not in ([1, 1], [3, 3]) and len(counts) == 2:
        text = f"one value each, or three each, not {counts[0]} and {counts[1]}"
        yield place("mean", "std"), f"mean and std must have {text}"
    elif image.get("crop_mode") == "border" and len(image.get("fill", ())) not in counts:
        text = f"the crop mode border needs `fill`, a value for each of {counts[:1]} channels"
        yield place("crop_mode", "fill", "mean"), text.replace("[", "").replace("]", "")
    if "fill" in own and image.get("crop_mode") != "border":
        yield (*network.path, "input", "fill"), "has no effect unless the crop_mode is border"


def _training_mistakes(network: _Network) -> Iterator[Mistake]:
    """Find choices of a training that do not go together."""
    own, values, reads, origin = network.own, network.values, network.keys, network.origin
    void = dict(_void(values))
    for key in own:
        if key in void and key in OPTIONAL[network.kind]:
            yield (*network.path, key), void[key]
    milestones = values.get("milestones", [])
    if values.get("schedule") == "step" and not milestones:
        place = (*origin("schedule")[:-1], "milestones")
        yield place, "the key is missing; the schedule step needs it"
    elif "milestones" not in void and milestones != sorted(milestones):
        yield origin("milestones"), f"must grow, unlike {_shown(milestones)}"
    warmup, epochs = values.get("warmup", 0), values.get("epochs")
    if "warmup" not in void and epochs is not None and warmup >= epochs > 0:
        key = "warmup" if "warmup" in own or "epochs" not in own else "epochs"
        text = f"the warm-up of {warmup} epochs is not shorter than the training of {epochs}"
        yield origin(key), text

    crops = "augmentation" in reads and values.get("augmentation") == "random-resized-crop"
    if crops and "shift" in own and "shift" in reads:
        place = (*network.path, "shift")
        yield place, "has no effect with the augmentation random-resized-crop"
    if crops and "labels" in reads and values.get("labels") == "shades":
        text = "shades are told apart in decoded images, and random-resized-crop decodes none"
        yield origin("labels"), f"{text}; give it the augmentation shift-and-flip"
    for key in ("crop_scale", "crop_ratio"):
        ends = values.get(key, [])
        if key in reads and (crops or key in READS[network.kind]) and ends != sorted(ends):
            yield origin(key), f"must go from the least to the greatest, not {_shown(ends)}"
    for key, other in (DROP_BLOCK, DROP_BLOCK[::-1]):
        if key in reads and key in values and other not in values:
            yield (*origin(key)[:-1], other), f"the key is missing; {key} needs it"


def _parent_mistakes(network: _Network, study: Mapping) -> Iterator[Mistake]:
    """Find parents that do not exist or do not suit the head."""
    for key, section in (("from", "pretraining"), ("teacher", "models")):
        name, known = network.own.get(key), study.get(section, {})
        if name is not None and name not in known:
            text = f'there is no "{name}" under {section}{_nearest(name, known)}'
            yield (*network.path, key), text
        elif name is not None and "logits" in known[name]:
            text = f"the logits of {name} are brought: there are no weights to learn from"
            yield (*network.path, key), text
    name, pretraining = network.own.get("from"), study.get("pretraining", {})
    if name not in pretraining or network.kind in UNTRAINED:
        return
    source = _Network(("pretraining", name), pretraining[name], network.default)
    place, parent, trained = (*network.path, "from"), source.values, source.kind
    if trained not in READS:
        return  # which has been told
    if network.kind == "zero-shot" and trained == "timm":
        yield place, f"the head zero-shot needs a clip, and {name} is of timm, without texts"
    elif network.kind == "zero-shot" and trained not in ("clip", "open_clip"):
        yield place, f"the head zero-shot needs a clip, and {name} is {trained}"
    own_templates = trained != "open_clip" or "templates" in network.own
    imagenet = study.get("dataset", {}).get("kind", "imagenet") == "imagenet"
    if network.kind == "zero-shot" and not own_templates and not imagenet:
        text = "the key is missing; open_clip's own templates are for ImageNet's classes"
        yield (*network.path, "templates"), text
    shades = trained == "supervised" and parent.get("labels") == "shades"
    if network.kind == "class-mapping" and not shades and trained != "timm":
        text = (
            f"the head class-mapping needs supervised pretraining on shades, or a network of timm, "
            f"and {name} is none"
        )
        yield place, text
    folder = parent.get("timm", "").startswith(hub.LOCAL)
    if network.kind == "fine-tuned" and (folder or trained == "open_clip"):
        of = f"of {hub.LOCAL}<folder>" if folder else "of open_clip"
        text = f"{name} is {of}, which cannot be fine-tuned here; choose the head lbfgs"
        yield place, text


def _nearest(word: object, known: Iterable[str]) -> str:
    """Suggest the nearest known word, if one is near."""
    near = difflib.get_close_matches(str(word), list(known), n=1)
    return f'; did you mean "{near[0]}"?' if near else ""


def _shown(value: object) -> str:
    """Write a value for a message."""
    text = json.dumps(value, ensure_ascii=False) if value is not None else "nothing"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _dotted(path: Iterable[str | int]) -> str:
    """Write a key path, such as `pairs[0]` or `recipe.input.size`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")


def complete(config: Mapping) -> dict:
    """Fill in the defaults, and say for each network what its weights depend on.

    Parameters
    ----------
    config : mapping
        A study without mistakes.

    Returns
    -------
    dict
        Of plain types that share nothing. A published study is its file with the defaults, and
        the `ensemble` "unstated". Any other has the keys of its file likewise, but `recipe` and
        `pretraining`; `published` (None); and

        networks
            For the key of each pretraining and model: its `recipe`, the key of its `parent`, whose
            checkpoint it needs, or None, and its `geometry`.
        models
            For each model what figures and tables show of it: `name`, `category`, `set`,
            `objective`, `train_data`, `head`.
        geometries
            For each geometry in use: `size`, `crop`, `interpolation`, `channels`.
        greedy, features, downstream
            With lists of models filled in, `members` of `greedy` being all of its own;
            `downstream` is None where there is none, and else has in `partners` for each model
            itself and those it is paired with, each pair once.

        Every study has `figures`: names of those that it can draw.
    """
    schema = _validator(config).schema
    study = _filled(_plain(config), schema, schema)
    study.pop("only", None)
    if "published" in study:
        # Papers may leave open which mean they took; and their pairs have no keys to name them by.
        return study | {"ensemble": "unstated", "pairs": [], "figures": list(FIGURES[:3])}
    config = _plain(config)
    networks = {network.path[1]: network for network in _networks(config)}
    for key in ("recipe", "pretraining", "models"):
        study.pop(key, None)
    study |= {"published": None, "networks": {}, "models": {}, "geometries": {}}
    for key, network in networks.items():
        own, parent = network.own, network.own.get("from")
        recipe = network.recipe(study["networks"][parent]["recipe"] if parent else {})
        if image := recipe.get("input"):
            _add_geometry(study, image)
        study["networks"][key] = {
            "recipe": recipe,
            "parent": parent or own.get("teacher"),
            "geometry": geometry(image) if image else None,
        }
        if network.path[0] == "models":
            own = _filled(own, schema["$defs"]["model"], schema)
            study["models"][key] = _display(key, own, network, recipe, networks.get(parent))
    study |= _analyses(study, config)
    _lend_geometry(study, config)
    return study


def _add_geometry(study: dict, image: Mapping) -> None:
    study["geometries"][geometry(image)] = {
        "size": deepcopy(image["size"]),
        "crop": float(image["crop"]),
        **{key: deepcopy(image[key]) for key in ("crop_mode", "fill") if key in image},
        "interpolation": image["interpolation"],
        "channels": len(image["mean"]),
    }


def _lend_geometry(study: dict, config: Mapping) -> None:
    """Let images be shown for models of which only logits are there, as another sees them."""
    networks, base = study["networks"], study["features"]["base"]
    seen = [networks[key]["geometry"] for key in (base, *networks)]
    lent = next((name for name in seen if name), None)
    if lent is None:
        image = config.get("recipe", {}).get("input", PLAIN_GEOMETRY)
        _add_geometry(study, image)
        lent = geometry(image)
    for network in networks.values():
        network["geometry"] = network["geometry"] or lent


def _analyses(study: Mapping, config: Mapping) -> dict:
    """Fill in which models the analyses are of, and which figures follow."""
    models = study["models"]
    base = next(key for key, model in models.items() if model["category"] == "base")
    bases, pool = _bases_and_pool(study)
    features = {"regularisation": list(KORNBLITH)} | study["features"]
    features["models"] = _probed(config)
    downstream = study.get("downstream")
    if downstream:
        downstream = {"regularisation": list(KORNBLITH)} | downstream
        keys = _downstream_models(config)
        downstream |= {"models": keys, "partners": _partners(keys)}
        if downstream["kind"] == "scenes":
            downstream["path"] = f"results/{study['study']}/downstream/scenes"
    made = {
        "figure3": study["pairs"],
        "figure4": study["pairs"],
        "figure5": bases,
        "figure6": features["models"],
        "figure7": downstream,
    }
    return {
        "greedy": study["greedy"]
        | {"bases": bases, "pool": pool, "members": [k for k in models if k in bases + pool]},
        "features": features | {"base": base},
        "downstream": downstream,
        "figures": [name for name in FIGURES if made.get(name, True)],
    }


def _display(
    key: str, own: Mapping, network: _Network, recipe: Mapping, source: _Network | None
) -> dict:
    """Gather what figures and tables show of a model.

    `source` is the network that it comes from, if any.
    """
    objective = (source or network).values.get("objective", "supervised")
    if source and source.kind == "open_clip":
        objective = source.own.get("objective", "contrastive")
    elif network.kind in OBJECTIVES and not source:
        objective = OBJECTIVES[network.kind]
    data = recipe.get("data", [])
    if network.kind in FROZEN:
        data = source.values.get("data", [])
    head = "trained" if network.kind in UNTRAINED else network.kind
    name, like = own.get("name", key), own.get("paper")
    if own["stand_in"]:
        name += f" (stand-in for {like})" if like else " (stand-in)"
    return {
        "name": name,
        "category": own["category"],
        "set": own["set"],
        "objective": "contrastive" if objective in CONTRASTIVE else objective,
        "train_data": own.get("train_data", " + ".join(data)),
        "head": own.get("head", head),
        "stand_in": own["stand_in"],
        "paper": like,
    }


def _filled(value: object, schema: Mapping, root: Mapping) -> object:
    """Fill in the defaults of a schema, and put keys in its order."""
    properties = _properties(schema, root)
    if not properties:
        return value
    defaults = {key: deepcopy(s["default"]) for key, s in properties.items() if "default" in s}
    values = defaults | value
    return {key: _filled(values[key], properties[key], root) for key in properties if key in values}


def geometry(image: Mapping) -> str:
    """Name the geometry of an input: its size, crop in per cent, interpolation and channels.

    Parameters
    ----------
    image : mapping
        `input` of a recipe.

    Returns
    -------
    str
        A slug, such as `28-100-bilinear-1`, or `224-87p5-bicubic-3` for a crop of 0.875.
    """
    size = image["size"] if isinstance(image["size"], int) else "x".join(map(str, image["size"]))
    crop = f"{100 * image['crop']:g}".replace(".", "p")
    mode = [image["crop_mode"], *image.get("fill", [])] if "crop_mode" in image else []
    parts = [size, crop, image["interpolation"], len(image["mean"]), *mode]
    return "-".join(map(str, parts))
