"""The configuration: read strictly, checked as a whole, and completed model by model.

A study's file says what each model does differently. Here it becomes a *network* for each model
and each pretraining, with a recipe of just what its weights depend on, so that a training runs
again when its own recipe changes and for no other reason.
"""

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
    "zero-shot": ("templates", "from"),
    "class-mapping": ("from",),
    "checkpoint": (*NETWORK, "checkpoint"),
    # objectives of pretraining
    "supervised": RECIPE,
    "simclr": (*NETWORK, *LEARNING, "temperature", "projection", "crop_scale", "jitter"),
    "clip": (*NETWORK, *LEARNING, *AUGMENTATION,
             "projection", "templates", "text_width", "text_layers", "context"),
}  # fmt: skip
"""What each kind of network can choose; any other key in its entry has no effect."""

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

OBJECTIVES = {"trained": "supervised", "fine-tuned": "supervised", "distilled": "distillation"}
"""The objective of each kind of model that learns the classes by itself."""

KORNBLITH = tuple(float(f"{10 ** (-6 + 11 * step / 44):.6g}") for step in range(45))
"""The L2 penalties of Kornblith, Shlens and Le (2019, appendix A.4)."""

FIGURES = ("figure1", "figure2", "figure8", "figure3", "figure4", "figure5", "figure6", "figure7",
           "pareto", "sensitivity")  # fmt: skip
"""All figures. Published numbers are enough for the first three."""

CONTRASTIVE = ("simclr", "clip")
FROZEN = ("lbfgs", "zero-shot", "class-mapping")
SHOWN = ("name", "category", "set", "head", "train_data")
PARENTS = ("from", "teacher")

TEXT_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
TYPES = {"object": "a mapping", "array": "a list", "string": "text", "integer": "a whole number",
         "number": "a number", "boolean": "true or false"}  # fmt: skip
BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most",
          "exclusiveMaximum": "below"}  # fmt: skip

Mistake = tuple[Sequence, str]
"""A key path, and what is wrong there."""


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

    for file in files:
        reading(file)  # Snakemake has read it already, blind to repeated keys
    sources = [(" + ".join(files) or "configuration", _plain(config))]
    alongside = sources[0][1].get("alongside")
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
    if mistakes:
        raise ConfigurationError(mistakes)
    return {study["study"]: complete(study) for _, study in sources}


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
        loader = yaml.SafeLoader(Path(path).read_bytes())
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
    """Find keys given twice, and keys that YAML does not read as text, with their lines."""
    if node in above:  # an alias of what it stands in
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
    """Copy into dicts, lists and scalars, with text such as "1e-3" as the number it is."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        return float(value)
    return value if isinstance(value, str | int | float | None) else str(value)


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
    path = Path(__file__).parents[1] / "schemas" / f"{name}.schema.yaml"
    schema = yaml.safe_load(path.read_text(encoding="utf-8"))

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
        case _:
            yield path, f"must be {BOUNDS[error.validator]} {limit}, not {_shown(value)}"


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
    splits = study.get("dataset", {}).get("splits", {})
    if "test" in splits:
        yield ("dataset", "splits", "test"), "the name is that of the dataset's own test images"
    if list(splits.values()).count("rest") > 1:
        yield ("dataset", "splits"), 'only one split can be "rest"'
    yield from _model_mistakes(study.get("models", {}), study.get("pretraining", {}))
    yield from _pair_mistakes(study.get("pairs", []), study.get("models", {}))
    yield from _analysis_mistakes(study)
    for section in ("pretraining", "models"):
        for key, own in study.get(section, {}).items():
            network = _Network((section, key), own, study.get("recipe", {}))
            if network.kind in READS:
                yield from _key_mistakes(network)
                yield from _value_mistakes(network, study.get("dataset", {}))
                yield from _parent_mistakes(network, study)
            elif network.kind == "distillation":
                yield network.origin("objective"), "distillation is for models, not pretraining"


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
    named = [
        ("greedy", "bases"),
        ("greedy", "pool"),
        ("features", "models"),
        ("downstream", "models"),
    ]
    for section, key in named:
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
    splits = dataset.get("splits")
    for section, key in (("features", "data"), ("downstream", "split")):
        split = study.get(section, {}).get(key)
        if split == "test" or (section == "features" and split == "calibration"):
            yield (section, key), f"the split {split} must not be learnt from"
        elif split and splits and split not in splits and dataset.get("kind") != "folder":
            yield (section, key), f'there is no split "{split}"{_nearest(split, splits)}'
    downstream = study.get("downstream", {})
    unused = {"scenes": ("path",), "voc": ("split", "seed")}.get(downstream.get("kind"), ())
    for key in unused:
        if key in downstream:
            yield ("downstream", key), f"has no effect with the kind {downstream['kind']}"
    if downstream.get("kind") == "scenes":
        entries = {**study.get("pretraining", {}), **study.get("models", {})}
        learnt = {key: {**study.get("recipe", {}), **own}.get("data", [])
                  for key, own in entries.items()}  # fmt: skip
        guilty = [key for key, data in learnt.items() if downstream.get("split") in data]
        if guilty:
            text = f'the split {downstream["split"]} is learnt from by "{guilty[0]}"'
            yield ("downstream", "split"), text


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
        """What kind of network it is: a key of READS; of pretraining, its objective."""
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
        if self.kind == "checkpoint":
            return "a checkpoint"
        return f"the {'objective' if self.path[0] == 'pretraining' else 'head'} {self.kind}"

    @property
    def values(self) -> dict:
        """Its own values on top of the defaults."""
        values = {**self.default, **DEFAULTS.get(self.kind, {}), **self.own}
        return values | {"input": self.default.get("input", {}) | self.own.get("input", {})}

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
        inherited = INHERITS.get(self.kind, ())
        values = self.values | {key: parent[key] for key in inherited if key not in self.own}
        if self.kind in OBJECTIVES:
            values["objective"] = OBJECTIVES[self.kind]
        keys = [key for key in (*inherited, *READS[self.kind]) if key not in PARENTS]
        head = "pretraining" if self.path[0] == "pretraining" else self.kind
        return {"head": head} | {key: deepcopy(values[key]) for key in keys}


def _key_mistakes(network: _Network) -> Iterator[Mistake]:
    """Find keys without effect, and those that one kind of network cannot do without."""
    reads = READS[network.kind]
    shown = (*SHOWN, "objective") if network.kind == "checkpoint" else SHOWN
    for key in network.own:
        if key not in (*reads, *shown):
            yield (*network.path, key), f"has no effect with {network.title}"
    given = (*RECIPE, *INHERITS.get(network.kind, ()), *network.values)
    for key in reads:
        if key not in given:
            yield (*network.path, key), f"the key is missing; {network.title} needs it"


def _value_mistakes(network: _Network, dataset: Mapping) -> Iterator[Mistake]:
    """Find values that do not go with the rest of the study."""
    reads, values, origin = READS[network.kind], network.values, network.origin
    splits = dataset.get("splits")
    for split in values.get("data", []) if "data" in reads else []:
        if split in ("test", "calibration"):
            yield origin("data"), f"the split {split} must not be learnt from"
        elif splits and split not in splits and dataset.get("kind") != "folder":
            yield origin("data"), f'there is no split "{split}"{_nearest(split, splits)}'

    channels = [len(values["input"][key]) for key in ("mean", "std") if key in values["input"]]
    if "input" in reads and channels not in ([1, 1], [3, 3]) and len(channels) == 2:
        text = f"one value each, or three each, not {channels[0]} and {channels[1]}"
        overridden = {"mean", "std"} & network.own.get("input", {}).keys()
        place = origin("input") if overridden else ("recipe", "input")
        yield place, f"mean and std must have {text}"

    if network.kind not in OBJECTIVES:
        return
    objective, wanted = values.get("objective", ""), OBJECTIVES[network.kind]
    if objective in CONTRASTIVE:
        text = f"{objective} gives no classifier; move it to pretraining, and name it with `from`"
        yield origin("objective"), text
    elif "objective" in network.own and objective != wanted:
        yield origin("objective"), f"must be {wanted} with {network.title}, not {objective}"
    if "labels" in reads and values.get("labels") == "shades":
        yield origin("labels"), "a model must learn classes; shades are for pretraining"


def _parent_mistakes(network: _Network, study: Mapping) -> Iterator[Mistake]:
    """Find parents that do not exist or do not suit the head."""
    for key, section in (("from", "pretraining"), ("teacher", "models")):
        name, known = network.own.get(key), study.get(section, {})
        if name is not None and name not in known:
            text = f'there is no "{name}" under {section}{_nearest(name, known)}'
            yield (*network.path, key), text
    name, pretraining = network.own.get("from"), study.get("pretraining", {})
    if name not in pretraining:
        return
    parent = {**study.get("recipe", {}), **pretraining[name]}
    trained = parent.get("objective")
    if network.kind == "zero-shot" and trained not in (None, "clip"):
        yield (*network.path, "from"), f"the head zero-shot needs a clip, and {name} is {trained}"
    shades = trained == "supervised" and parent.get("labels") == "shades"
    if network.kind == "class-mapping" and not shades:
        text = f"the head class-mapping needs supervised pretraining on shades, and {name} is none"
        yield (*network.path, "from"), text


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
    if "published" in study:
        # Papers may leave open which mean they took; and their pairs have no keys to name them by.
        return study | {"ensemble": "unstated", "pairs": [], "figures": list(FIGURES[:3])}
    default = study.pop("recipe")
    entries = {section: study.pop(section) for section in ("pretraining", "models")}
    study |= {"published": None, "networks": {}, "models": {}, "geometries": {}}
    for section, entry in entries.items():
        for key, own in entry.items():
            network, parent = _Network((section, key), own, default), own.get("from")
            source = study["networks"][parent]["recipe"] if parent else {}
            recipe = network.recipe(source)
            image = recipe["input"]
            study["geometries"][geometry(image)] = {
                "size": image["size"],
                "crop": float(image["crop"]),
                "interpolation": image["interpolation"],
                "channels": len(image["mean"]),
            }
            study["networks"][key] = {
                "recipe": recipe,
                "parent": parent or own.get("teacher"),
                "geometry": geometry(image),
            }
            if section == "models":
                own = _filled(own, schema["$defs"]["model"], schema)
                study["models"][key] = _display(key, own, network, recipe, source)
    return study | _analyses(study)


def _analyses(study: Mapping) -> dict:
    """Fill in which models the analyses are of, and which figures follow."""
    models = study["models"]
    base = next(key for key, model in models.items() if model["category"] == "base")
    bases, pool = _bases_and_pool(study)
    looked_at = {key for pair in study["pairs"] for key in pair}
    features = {"regularisation": list(KORNBLITH)} | study["features"]
    others = features.get("models", looked_at)
    features["models"] = [key for key in models if key in others and key != base]
    downstream = study.get("downstream")
    if downstream:
        downstream = {"regularisation": list(KORNBLITH)} | downstream
        others = downstream.get("models", [base, *features["models"]])
        keys = [key for key in models if key in others]
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


def _display(key: str, own: Mapping, network: _Network, recipe: Mapping, source: Mapping) -> dict:
    """Gather what figures and tables show of a model."""
    objective = source.get("objective") or recipe.get("objective") or network.values["objective"]
    data = source["data"] if network.kind in FROZEN else recipe.get("data", [])
    head = "trained" if network.kind == "checkpoint" else network.kind
    return {
        "name": own.get("name", key),
        "category": own["category"],
        "set": own["set"],
        "objective": "contrastive" if objective in CONTRASTIVE else objective,
        "train_data": own.get("train_data", " + ".join(data)),
        "head": own.get("head", head),
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
    crop = f"{100 * image['crop']:g}".replace(".", "p")
    return f"{image['size']}-{crop}-{image['interpolation']}-{len(image['mean'])}"
