"""Typed settings: validate a plain mapping into a model, or say in one sentence what is wrong with it."""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_args

from omegaconf.errors import OmegaConfBaseException
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from yaml import YAMLError

from dgreid.documents import MOST_CHARACTERS, parse_yaml
from dgreid.errors import UserError, first_line, unknown
from dgreid.files import check_plain
from dgreid.names import NAME_RULE, is_name, is_run, is_title

MOST_SHOWN = 200  # characters of a wrong value in a message
HIGHEST_SEED = 2**32 - 1  # the largest that every generator of random numbers takes


def _accepted(is_right: Callable[[str], bool], else_said: str) -> AfterValidator:
    def check(value: str) -> str:
        if not is_right(value):
            raise ValueError(else_said)
        return value

    return AfterValidator(check)


# of a file in params/, and all that is made of such names
Name = Annotated[str, _accepted(is_name, f"this is no name: {NAME_RULE}")]
RunName = Annotated[str, _accepted(is_run, "this is no name of a run")]
# shown in tables
Title = Annotated[str, _accepted(is_title, "a title is one line without control characters")]
Seed = Annotated[int, Field(ge=0, le=HIGHEST_SEED)]
Weight = Annotated[float, Field(ge=0, le=1e6)]  # of a loss
Counts = dict[str, Annotated[int, Field(ge=0, le=10**9)]]


class Strict(BaseModel):
    """Base of every section of params/: unknown keys are errors, values cannot change after loading.

    Numbers are finite, and are written as numbers: `yes` is not 1, and "5" is not 5. Every number has bounds;
    a test walks all sections and holds it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields[info.field_name]
        if any(isinstance(mark, BeforeValidator) for mark in field.metadata):  # it says more itself
            return value
        kinds = set(_kinds(field.annotation))
        for kind in {int, float} & kinds and {bool, str} - kinds:
            if any(isinstance(leaf, kind) for leaf in leaves(value)):
                raise ValueError("a finite number is needed")
        return value


def _kinds(annotation: Any) -> Iterator[type]:
    """The types that an annotation is made of: `tuple[float, ...] | None` has tuple, float, None."""
    if inner := get_args(annotation):
        for each in inner:
            yield from _kinds(each)
    elif isinstance(annotation, type):
        yield annotation


def leaves(value: Any) -> Iterator[Any]:
    """Yield what a value holds beside lists and mappings."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from leaves(each)
    else:
        yield value


@dataclass(frozen=True)
class Module:
    """Mark a field of params/ that names a module, as `Annotated[str, Module("dgreid.methods")]`.

    These marks tell which modules a run executes; see `modules`. `names` maps a value to its module if their
    names differ, and to None if the value needs no module.
    """

    package: str
    names: Mapping[Any, str | None] | None = None


class NoEffect:
    """Mark a field of params/ that decides no result, as `Annotated[str, NoEffect]`.

    Whatever compares settings to tell whether a result is up to date leaves them out; see `deciding`.
    """


def deciding(model: BaseModel, node: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the settings of a section that decide results, those of the sections inside it included.

    Args:
        model: a validated section.
        node: plain settings of the same shape, such as those that an older run recorded; None: the model's.
    """
    node = model.model_dump(mode="json") if node is None else node
    fields, kept = type(model).model_fields, {}
    for key, value in node.items():
        if key not in fields or NoEffect not in fields[key].metadata:
            inner = getattr(model, key, None)
            nested = isinstance(inner, BaseModel) and isinstance(value, Mapping)
            kept[key] = deciding(inner, value) if nested else value
    return kept


def modules(node: Any) -> Iterator[str]:
    """Yield the full names of all modules that a validated section and the sections inside it name."""
    if isinstance(node, BaseModel):
        for key, field in type(node).model_fields.items():
            value = getattr(node, key)
            for mark in field.metadata:
                if isinstance(mark, Module) and (name := (mark.names or {}).get(value, value)):
                    yield f"{mark.package}.{name}"
            yield from modules(value)
    elif isinstance(node, dict):
        yield from modules(tuple(node.values()))
    elif isinstance(node, list | tuple):
        for value in node:
            yield from modules(value)


def validate(model: type[Strict], node: dict, where: str = "") -> Any:
    """Build `model` from a plain mapping, or say in one sentence what is wrong with it."""
    try:
        return model.model_validate(node)
    except ValidationError as error:
        raise _sentence(model, error.errors()[0], where or node.get("name", "params")) from error


def _sentence(model: type[BaseModel], problem: dict, where: str) -> UserError:
    *parents, key = problem["loc"] or ("",)
    path = ".".join(map(str, (where, *problem["loc"]))).removeprefix("run.")
    if problem["type"] != "extra_forbidden":
        message, given = problem["msg"].removeprefix("Value error, "), problem.get("input")
        if problem["type"] == "missing":
            near = get_close_matches(str(key), [str(name) for name in given], n=1) if given else []
            return UserError(f"{path} is missing{f', is {near[0]!r} meant?' if near else ''}: write it down.")
        shown = "" if isinstance(given, dict) else f" (got {_short(given)})"  # a whole section says too much
        return UserError(f"{path}: {message}{shown}.")
    for parent in parents:
        field = model.model_fields.get(parent) if isinstance(parent, str) else None
        inner = getattr(field, "annotation", None)
        for candidate in (inner, *getattr(inner, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                model = candidate
    return unknown("key", path, model.model_fields)


def _short(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def read_yaml(path: Path) -> dict:
    """Read a YAML file into a mapping, numbers as Hydra reads them; an empty file gives an empty mapping.

    Raises:
        UserError: the file cannot be read, is not YAML, or holds no mapping.
    """
    try:
        check_plain(path)
        if path.stat().st_size > 4 * MOST_CHARACTERS:
            raise ValueError("it is too large")
        node = deepcopy(_parsed(path.read_text(encoding="utf-8")))
    except (OmegaConfBaseException, YAMLError, OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {reason(error)}; fix the file.") from error
    if not isinstance(node, dict):
        raise UserError(f"{path} holds a list where `key: value` lines are needed; fix the file.")
    return node


@cache
def _parsed(text: str) -> Any:
    """Parse a YAML text; cached, because a project reads the same few files many times."""
    return parse_yaml(text)


def reason(error: Exception) -> str:
    """Say in one line what an exception means; a YAML error gives its problem and line number."""
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    if problem and mark:
        return f"{problem} in line {mark.line + 1}"
    return first_line(error)
