"""From the plain values of a file to the models of a study, and all that is wrong in plain English.

Nothing stops at the first mistake: a section is built of what is right in it, so that this can be
checked too. What is wrong is left out; it has its default then, or is None.
"""

import difflib
import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError

from workflow.lib.study import fields, networks
from workflow.lib.study.datasets import DATASETS, TestSet
from workflow.lib.study.fields import Section, Strict, keys, optional, shown
from workflow.lib.study.model import TASKS, PublishedFile, StudyFile
from workflow.lib.study.pretraining import PRETRAINING
from workflow.lib.study.recipe import Image, Learnt, Recipe

Mistake = tuple[Sequence, str]
"""A key path, and what is wrong there."""

MISSING = "the key is missing"
ELSEWHERE = ("logits", "answers", "timm", "open_clip", "checkpoint")
"""Keys that say what kind of network trained elsewhere it is."""
NO_RECIPE = {"seed": 0, "options": {}}
"""What stands for `recipe` in a study that trains no network."""

TYPES = {
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
    "list_type": "a list",
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
}
BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("above", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("below", "lt"),
}
"""What Pydantic calls what it finds, in words."""


def parse(values: Mapping) -> tuple[StudyFile | PublishedFile, list[Mistake]]:
    """Build a study from its file.

    Parameters
    ----------
    values : mapping
        Of plain types.

    Returns
    -------
    study : PublishedFile or StudyFile
        Of what is right in the file.
    mistakes : list of Mistake
        What is wrong with single values.
    """
    mistakes = []
    if "published" in values:
        return _build(PublishedFile, values, (), mistakes), mistakes
    values, default = dict(values), NO_RECIPE
    if "recipe" in values:
        default = values["recipe"]
        values["recipe"] = _build(Recipe, default, ("recipe",), mistakes)
        wrong = {path[1] for path, _ in mistakes if path[1:]}
        default = default if isinstance(default, Mapping) else {}
        default = {key: value for key, value in default.items() if key not in wrong}
    for section in ("pretraining", "models"):
        if isinstance(values.get(section), Mapping):
            values[section] = {
                key: _network((section, key), own, default, mistakes)
                for key, own in values[section].items()
            }
    if isinstance(values.get("test_sets"), Mapping):
        values["test_sets"] = {
            key: _build(TestSet, own, ("test_sets", key), mistakes)
            for key, own in values["test_sets"].items()
        }
    study = _build(StudyFile, values, (), mistakes)
    study.models = study.models or {}
    return study, mistakes


def _build(cls: type[Section], values: object, path: tuple, mistakes: list[Mistake]) -> Section:
    """Build a section of what is right in it, and note what is wrong."""
    if not isinstance(values, Mapping):
        mistakes.append((path, f"must be a mapping, not {shown(values)}"))
        return optional(cls)()
    values = dict(values)
    for key, classes in _sections(cls).items():
        section = _section(classes, values[key]) if key in values else None
        if section:
            values[key] = _build(section, values[key], (*path, key), mistakes)
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False)
    told = []
    for each in found:
        if each["type"] == "extra_forbidden":
            place, text = (), _without_effect(cls, each["loc"][-1], values)
        else:
            place, text = _in_words(each)
        told.append(((*path, *each["loc"], *place), text))
    meant = "".join(text for _, text in told)  # a key that is misspelt is not missing, too
    mistakes += [
        (p, text) for p, text in told if text != MISSING or f'mean "{p[-1]}"?' not in meant
    ]
    wrong = {each["loc"][0] for each in found}
    right = {key: value for key, value in values.items() if key not in wrong}
    return optional(cls).model_validate(right)


@functools.cache
def _sections(cls: type[Strict]) -> dict[str, list[type[Strict]]]:
    """Find the keys of a class that hold sections, and what these may be."""
    found = {key: _classes(field.annotation) for key, field in keys(cls).items()}
    return {key: classes for key, classes in found.items() if classes}


def _section(classes: list[type[Strict]], value: object) -> type[Strict] | None:
    """Find the class of a nested section; None if it is built, or of no known kind."""
    if isinstance(value, Strict):
        return None
    if len(classes) > 1 and isinstance(value, Mapping):
        kinds = {cls: get_args(keys(cls)["kind"].annotation) for cls in classes}
        classes = [cls for cls in classes if value.get("kind") in kinds[cls]]
    return classes[0] if len(classes) == 1 else None


def _classes(kind: Any) -> list[type[Strict]]:
    """Find the classes of sections in a type: none, one, or some that `kind` tells apart."""
    if get_origin(kind) in (Annotated, Union, UnionType):
        return [cls for part in get_args(kind) for cls in _classes(part)]
    return [kind] if isinstance(kind, type) and issubclass(kind, Strict) else []


def _network(
    path: tuple[str, str], own: object, default: Mapping, mistakes: list[Mistake]
) -> networks.Network:
    """Build a network from its entry, on top of the values of `recipe`."""
    plain: type[networks.Network] = networks.Model if path[0] == "models" else networks.Network
    if not isinstance(own, Mapping):
        return _build(plain, own, path, mistakes)
    cls = _class_of(path[0], own, default)
    values, found = dict(own), []
    if cls is None:  # keep what holds for networks of any kind
        cls, values = plain, {key: value for key, value in own.items() if key in keys(plain)}
        mistakes += _unclear(path, own, default)
    elif cls.uses_recipe:
        values |= {k: v for k, v in default.items() if k in keys(cls) and k not in own}
        match default.get("input"), own.get("input"):
            case Mapping() as general, Mapping() as special if "input" in keys(cls):
                values["input"] = {**general, **special}
    network = _build(cls, values, path, found)
    network.place(path, own, whole=not found)
    mistakes += _of_entry(network, found, default is NO_RECIPE)
    return network


def _class_of(section: str, own: Mapping, default: Mapping) -> type[networks.Network] | None:
    """Find the class of a network; None if its head or its objective is of no known kind."""
    kinds: Mapping = networks.MODELS if section == "models" else PRETRAINING
    for kind in ELSEWHERE:
        if kind in own and kind in kinds:
            return kinds[kind]
    kind = own.get("objective", default.get("objective"))
    if section == "models":
        by_default = "fine-tuned" if "from" in own else "trained"
        kind = own.get("head", "distilled" if kind == "distillation" else by_default)
    return kinds.get(kind) if isinstance(kind, str) and kind not in ELSEWHERE else None


def _unclear(path: tuple[str, str], own: Mapping, default: Mapping) -> Iterator[Mistake]:
    """Say what is wrong with the objective of a network under pretraining, of no known kind."""
    objective = own.get("objective", default.get("objective"))
    if path[0] == "models":
        return
    if objective == "distillation":
        place = path if "objective" in own else ("recipe",)
        yield (*place, "objective"), "distillation is for models, not pretraining"
    elif "objective" in own:
        known = get_args(Recipe.model_fields["objective"].annotation)
        yield (*path, "objective"), one_of(known, objective)
    elif default is NO_RECIPE:
        text = f"{MISSING}; say it, or `timm` or `open_clip`: what network this is"
        yield (*path, "objective"), text


def _of_entry(
    network: networks.Network, found: Iterable[Mistake], no_recipe: bool
) -> Iterator[Mistake]:
    """Say what in an entry needs a missing key, unless `recipe` is to give that."""
    given = [key for key, field in keys(Recipe).items() if field.is_required()]
    parts = [key for key, field in keys(Image).items() if field.is_required()]
    alone = no_recipe and not isinstance(network, Learnt)
    lacking = []
    for place, text in found:
        key = place[2]
        if text != MISSING or key in keys(networks.Model):
            yield place, text
        elif alone and key == "input":
            lacking += place[3:] or parts
        elif alone or key not in given:
            yield place, f"{MISSING}; {network.title} needs it"
    if lacking:
        text = f"must say {', '.join(lacking)}, since there is no `recipe` to take them from"
        yield (*network.path, "input"), text


def _without_effect(cls: type[Strict], key: object, values: Mapping) -> str:
    """Say that a section has no such key, or that its kind has none."""
    if key == "checkpoint" and cls in PRETRAINING.values():
        return "needs `timm` or `open_clip` beside it, which says what network the file is of"
    families = DATASETS, TASKS, networks.MODELS.values(), PRETRAINING.values()
    relatives = next((family for family in families if cls in family), [cls])
    known = {key for relative in relatives for key in keys(relative)}
    if key not in known:
        return f"unknown key{nearest(key, known)}"
    title = cls.title if issubclass(cls, networks.Network) else f"the kind {values['kind']}"
    return f"has no effect with {title}"


def _in_words(error: Mapping) -> tuple[tuple, str]:
    """Put what Pydantic finds in plain English, and say where in the value it is."""
    value, context = error["input"], error.get("ctx", {})
    match error["type"]:
        case fields.OURS:
            return (), context["message"]
        case "missing":
            return (), MISSING
        case "union_tag_not_found":
            return ("kind",), MISSING
        case "union_tag_invalid":
            return ("kind",), one_of(_quoted(context["expected_tags"]), value["kind"])
        case "literal_error":
            return (), one_of(_quoted(context["expected"]), value)
        case "too_short":
            least, count = context["min_length"], context["actual_length"]
            return (), f"must have at least {least} item{'s' * (least != 1)}, not {count}"
        case "string_too_short":
            return (), "must not be empty"
        case bound if bound in BOUNDS:
            word, name = BOUNDS[bound]
            return (), f"must be {word} {context[name]:g}, not {shown(value)}"
        case kind if kind in TYPES:
            return (), f"must be {TYPES[kind]}, not {shown(value)}"
    return (), f"must not be {shown(value)}"


def _quoted(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text)


def one_of(known: Sequence[str], value: object) -> str:
    """Say that a value is none of those that are known."""
    return f"must be one of {', '.join(known)}, not {shown(value)}{nearest(value, known)}"


def nearest(word: object, known: Iterable[str]) -> str:
    """Suggest the nearest known word, if one is near."""
    near = difflib.get_close_matches(str(word), list(known), n=1)
    return f'; did you mean "{near[0]}"?' if near else ""


def dotted(path: Iterable[str | int]) -> str:
    """Write a key path, such as `pairs[0]` or `recipe.input.size`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")
