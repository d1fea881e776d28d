"""What a value in a study's file may be: types that refuse anything else, and say so.

Where a type here refuses a value, the message is written in full; what Pydantic itself finds is put
into words by `workflow.lib.study.parse`.
"""

import functools
import json
import re
from collections.abc import Callable, Mapping
from copy import copy
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
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
LONGEST = 100  # letters of a slug: files are called by two of them
A_SLUG = f'a slug (up to {LONGEST} small letters, digits and single hyphens, such as "resnet-50")'
KEYS_ARE_SLUGS = {"propertyNames": {"pattern": SLUG}}
"""Of a mapping, in the JSON schema; `workflow.lib.study.checks` checks it."""

NUMBER = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+\Z")
"""Numbers such as `1e-3`, which are text in YAML 1.1."""


class Strict(BaseModel):
    """A mapping of known keys, whose values are taken as they are written."""

    model_config = ConfigDict(
        extra="forbid", strict=True, defer_build=True, use_attribute_docstrings=True
    )


Section = TypeVar("Section", bound=Strict)


@functools.cache
def optional(cls: type[Section]) -> type[Section]:
    """Make a class of which nothing is required: what is left out is None."""
    fields: dict[str, Any] = {}
    for name, field in cls.model_fields.items():
        field = copy(field)
        if field.is_required():
            field.default = None
        fields[name] = (field.annotation, field)
    return create_model(f"{cls.__name__}Parts", __base__=cls, __doc__=cls.__doc__, **fields)


@functools.cache
def keys(cls: type[Strict]) -> Mapping[str, FieldInfo]:
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


class _NotNull:
    """Refuse None as a value, where the default is None."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        value, _ = get_args(source)
        return handler.generate_schema(value)


def _as_number(value: object) -> object:
    return float(value) if isinstance(value, str) and NUMBER.match(value) else value


def _number(value: object, inner: Callable) -> object:
    value = _as_number(value)
    inner(value)
    return value  # not what pydantic makes of it: 1 stays 1


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


Maybe = Annotated[Item | None, _NotNull()]
"""May be left out, and is None then; cannot be written as None."""
Excluded = Annotated[Item, Field(exclude=True)]
"""Of a network: what its weights do not depend on, and its recipe leaves out."""

Pair = Annotated[list[Item], Field(min_length=2, max_length=2), BeforeValidator(_two)]
Distinct = Annotated[
    list[Item], AfterValidator(_different), Field(json_schema_extra={"uniqueItems": True})
]
"""No item is there twice."""
Several = Annotated[Distinct[Item], Field(min_length=1)]
"""At least one item, and none twice."""


def slug(text: str) -> str:
    """Make a slug of a name; an empty one of a name without a Latin letter or a digit."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def is_slug(text: str) -> bool:
    """Say whether a key may name files."""
    return len(text) <= LONGEST and re.fullmatch(SLUG, text) is not None


Slug = Annotated[str, Field(pattern=SLUG, max_length=LONGEST), named(A_SLUG)]
Keys = Several[str]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
AS_WRITTEN = WrapValidator(_number)
Number = Annotated[Finite, AS_WRITTEN]
"""A finite number; text such as "1e-3" is one."""
Positive = Annotated[Finite, Field(gt=0), AS_WRITTEN]
NotNegative = Annotated[Finite, Field(ge=0), AS_WRITTEN]
Share = Annotated[Finite, Field(ge=0, le=1), AS_WRITTEN]
PositiveShare = Annotated[Finite, Field(gt=0, le=1), AS_WRITTEN]
ShareBelowOne = Annotated[Finite, Field(ge=0, lt=1), AS_WRITTEN]
PerCent = Annotated[Finite, Field(ge=0, le=100), AS_WRITTEN]
NumberOrText = Annotated[Number | str, named("a number or text")]
Penalties = Several[Positive]
Options = Annotated[dict[str, Any], BeforeValidator(_with_numbers)]
Size = Annotated[
    Count | Pair[Count],
    named("a positive whole number of pixels, or two of them, height and width"),
]
Images = Annotated[Count | Literal["rest"], named('a positive whole number or "rest"')]
ClassGroup = Annotated[
    Several[str] | Pair[Seed],
    named("a list of different class names, or the first and the last index of a range of classes"),
]
Template = Annotated[
    str, Field(pattern=r"^[^{}]*\{\}[^{}]*$"), named("a template with exactly one {}")
]
Templates = Annotated[list[Template], Field(min_length=1)]
Weights = Annotated[
    str,
    Field(pattern=r"\.(safetensors|pth|pt|bin)$"),
    named("a file of weights (.safetensors, .pth, .pt or .bin)"),
]
Text = Annotated[str, Field(min_length=1)]
LabelNames = Annotated[list[Text] | str, AfterValidator(_label_names)]
Logits = Annotated[
    str,
    Field(pattern=r"\.(npy|npz|h5|hdf5|csv)$"),
    named("a file of logits (.npy, .npz, .h5, .hdf5 or .csv)"),
]
Answers = Annotated[
    str,
    Field(pattern=r"\.(npz|csv|tsv|csv\.gz|tsv\.gz)$"),
    named("a file of answers (.csv, .tsv or .npz; .csv and .tsv perhaps with .gz)"),
]
Attributes = Annotated[
    str,
    Field(pattern=r"^pixels$|\.(csv|tsv|csv\.gz|tsv\.gz)$"),
    named('"pixels" or a table (.csv or .tsv, perhaps with .gz)'),
]
Digest = Annotated[
    str, Field(pattern="^[0-9a-f]{64}$"), named("a SHA-256 (64 digits of 0 to 9 and a to f)")
]
