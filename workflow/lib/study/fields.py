"""What a value in a study's file may be: types that refuse anything else, and say so.

Where a type here refuses a value, the message is written in full; what Pydantic itself finds is put
into words by `workflow.lib.study.parse`.
"""

import functools
import json
import re
from collections.abc import Callable, Mapping
from copy import copy
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WrapValidator,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from workflow.lib.models.labels import read_label_names
from workflow.lib.run.errors import InputError

Item = TypeVar("Item")

OURS = "ours"
"""Type of the errors whose message is ours."""

SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"
A_SLUG = 'a slug (small letters, digits and single hyphens, such as "resnet-50")'
KEYS_ARE_SLUGS = {"propertyNames": {"pattern": SLUG}}
"""Of a mapping, in the JSON schema; `workflow.lib.study.checks` checks it."""

NUMBER = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+\Z")
"""Numbers such as `1e-3`, which are text in YAML 1.1."""


class Strict(BaseModel):
    """A mapping of known keys, whose values are taken as they are written.

    A key that may be left out and has no value by default is None then, and cannot be written as
    None: `schedule: Schedule = None` is meant.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, defer_build=True, use_attribute_docstrings=True
    )


@functools.cache
def optional(cls: type[Strict]) -> type[Strict]:
    """Make a class of which nothing is required: what is left out is None."""
    fields = {}
    for name, field in cls.model_fields.items():
        field = copy(field)
        if field.is_required():
            field.default = None
        fields[name] = (field.annotation, field)
    return create_model(f"{cls.__name__}Parts", __base__=cls, __doc__=cls.__doc__, **fields)


def keys(cls: type[Strict]) -> dict[str, FieldInfo]:
    """Fields of a class by the key that is written."""
    return {field.alias or name: field for name, field in cls.model_fields.items()}


def shown(value: object) -> str:
    """Write a value for a message."""
    text = json.dumps(value, ensure_ascii=False) if value is not None else "nothing"
    return text if len(text) <= 60 else f"{text[:57]}..."


def refuse(message: str) -> PydanticCustomError:
    """Make an error of a message."""
    return PydanticCustomError(OURS, "{message}", {"message": message})


def named(what: str) -> WrapValidator:
    """Say of any other value that it is not what it should be."""

    def validate(value: object, inner: Callable) -> object:
        try:
            return inner(value)
        except ValidationError:
            raise refuse(f"{shown(value)} is not {what}") from None

    return WrapValidator(validate)


def text(pattern: str, what: str) -> Any:
    """Make the type of text of a pattern, which is called so."""
    return Annotated[str, Field(pattern=pattern), named(what)]


def number(**bounds: float) -> Any:
    """Make the type of a finite number within bounds (`gt`, `ge`, `lt`, `le`).

    Text such as "1e-3" is a number here; 1 stays 1, so that a value is kept as it is written.
    """

    def validate(value: object, inner: Callable) -> object:
        value = _as_number(value)
        inner(value)
        return value

    return Annotated[float, Field(allow_inf_nan=False, **bounds), WrapValidator(validate)]


def _as_number(value: object) -> object:
    return float(value) if isinstance(value, str) and NUMBER.match(value) else value


def _with_numbers(value: object) -> object:
    """Copy a value of any kind, text such as "1e-3" in it being numbers."""
    if isinstance(value, Mapping):
        return {key: _with_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_numbers(item) for item in value]
    return _as_number(value)


def _two(value: object) -> object:
    if isinstance(value, list) and len(value) != 2:
        raise refuse(f"must have exactly 2 items, not {len(value)}")
    return value


def _different(value: list) -> list:
    if any(item in value[:place] for place, item in enumerate(value)):
        raise refuse(f"gives an item twice: {shown(value)}")
    return value


def _label_names(value: list[str] | str) -> list[str]:
    try:
        return read_label_names(value)
    except InputError as error:
        raise refuse(str(error)) from None


Pair = Annotated[list[Item], Field(min_length=2, max_length=2), BeforeValidator(_two)]
Distinct = Annotated[
    list[Item], AfterValidator(_different), Field(json_schema_extra={"uniqueItems": True})
]
"""No item is there twice."""
Several = Annotated[Distinct[Item], Field(min_length=1)]
"""At least one item, and none twice."""

Excluded = Annotated[Item, Field(exclude=True)]
"""Of a network: what its weights do not depend on, and its recipe leaves out."""

Slug = text(SLUG, A_SLUG)
Keys = Several[str]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
Share = number(ge=0, le=1)
Positive = number(gt=0)
NumberOrText = Annotated[number() | str, named("a number or text")]
Penalties = Several[Positive]
Options = Annotated[dict[str, Any], BeforeValidator(_with_numbers)]
Size = Annotated[
    Count | Pair[Count],
    named("a positive whole number of pixels, or two of them, height and width"),
]
Images = Annotated[Count | text("^rest$", "rest"), named('a positive whole number or "rest"')]
ClassGroup = Annotated[
    Several[str] | Pair[Seed],
    named("a list of different class names, or the first and the last index of a range of classes"),
]
Template = text(r"^[^{}]*\{\}[^{}]*$", "a template with exactly one {}")
Templates = Annotated[list[Template], Field(min_length=1)]
Weights = text(
    r"\.(safetensors|pth|pt|bin)$", "a file of weights (.safetensors, .pth, .pt or .bin)"
)
LabelNames = Annotated[
    list[Annotated[str, Field(min_length=1)]] | str, AfterValidator(_label_names)
]
Logits = text(r"\.(npy|npz|h5|hdf5|csv)$", "a file of logits (.npy, .npz, .h5, .hdf5 or .csv)")
Digest = text("^[0-9a-f]{64}$", "a SHA-256 (64 digits of 0 to 9 and a to f)")
