"""Explain the settings of a file in params/, or of a whole run: values, where they come from, what they mean.

The meanings are the descriptions that the schemas give their fields, and the comments in the files.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import takewhile
from textwrap import wrap
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dgreid import methods, params
from dgreid.datasets.config import DatasetConfig
from dgreid.errors import UserError, unknown
from dgreid.images.config import ImageConfig
from dgreid.methods.base import MethodOptions
from dgreid.methods.recipe import RecipeConfig
from dgreid.networks import backbones
from dgreid.papers.tables import Description
from dgreid.paths import PARAMS
from dgreid.protocols.config import ProtocolConfig, TargetGroup
from dgreid.protocols.listing import table
from dgreid.runs.config import GROUPS, RunConfig, load_run, read_overridden, refuse_unread
from dgreid.schema import Strict, validate
from dgreid.selection.matrix import Selection
from dgreid.training.start import StartConfig

WIDTH = 100  # columns of the terminal
WIDEST = {"setting": 28, "value": 28}  # characters of these columns, at most
LEGEND = "from: the file, a base by its name, the schema's default, or a word of this command; # its comment."
COMMENT = re.compile(r"^(\w+):.*?[ \t]# (.*)$", re.M)  # the comment behind a key that is not indented


class Setting(NamedTuple):
    """One line of a description."""

    name: str  # as an override names it, without its group; `targets[].dataset` is of every target
    value: str
    origin: str  # file | name of a base | default | command
    meaning: str  # the schema's description, its default if the value is another, the file's comment


def describe(words: Sequence[str]) -> str:
    """Make tables of settings for a terminal of 100 columns.

    Args:
        words: one `group=name`, described as its file has it, which may be a base; the same and overrides
            `group.key=value` of this group alone; or a run as `load_run` takes it, which is described group
            by group.

    Raises:
        UserError: an unknown group, name or key, a value of the wrong type, a missing choice.
    """
    group, _, name = words[0].partition("=")
    overrides = words[1:]
    if name and all(word.startswith(f"{group}.") for word in overrides):
        if group not in SCHEMAS:
            raise unknown("group", group, SCHEMAS)
        is_base = name.startswith("_") and not overrides
        lines = _base(group, name) if is_base else _file(group, name, overrides)
        return "\n".join([*lines, "", LEGEND])
    run = load_run(words)
    lines = [f"run {run.run}, seed {run.seed}", ""]
    for group in GROUPS:
        model = getattr(run, group)
        origins = Origins.of(group, model.name, _given(group, words))
        heading = _heading(group, model.name, _proposed(run, group, words))
        lines += [heading, "", *_table(list(settings(model, origins))), ""]
    return "\n".join([*lines, LEGEND])


def _file(group: str, name: str, overrides: Sequence[str]) -> list[str]:
    """Describe a file of params/ with its comments, as the overrides change it."""
    known = params.names(group)
    if name not in known:
        raise unknown(WORDS.get(group, group), name, known)
    node = read_overridden(group, name, overrides)
    model = validate(SCHEMAS[group](node), node, f"{group} {name}")
    if overrides and isinstance(model, MethodOptions | RecipeConfig):
        refuse_unread(group, model)
    rows = list(settings(model, Origins.of(group, name, _given(group, overrides))))
    return [_heading(group, name), *_comments(group, name), "", *_table(rows)]


def _given(group: str, words: Sequence[str]) -> list[str]:
    """List the settings of a group that the words override, named as `Setting.name` is."""
    keys = (word.partition("=")[0] for word in words)
    return [key.removeprefix(f"{group}.") for key in keys if key.startswith(f"{group}.")]


def _base(group: str, name: str) -> list[str]:
    """Describe what a base states; the rest is stated by the files that name it."""
    known = sorted(path.stem for path in (PARAMS / group).glob("_*.yaml"))
    if name not in known:
        raise unknown(f"base in params/{group}:", name, known)
    origins = Origins.of(group, name)
    fields = SCHEMAS[group](origins.node).model_fields
    for key in origins.node:
        if key not in fields:
            raise unknown(f"key {name}.{key}:", key, fields)
    rows = [
        Setting(key, _text(value), origins.of_key(key), origins.comment(key, fields[key].description or ""))
        for key, value in origins.node.items()
    ]
    return [_heading(group, name, ", a base"), *_comments(group, name), "", *_table(rows)]


class Origins(NamedTuple):
    """Where the settings of a section come from."""

    node: Mapping[str, Any]  # what the file and its bases hold
    bases: Mapping[str, str] = {}  # key -> the base that states it, for keys that the file does not state
    given: Collection[str] = ()  # settings that the command gives, named as `Setting.name` is
    comments: Mapping[str, str] = {}  # key -> the comment behind it

    @classmethod
    def of(cls, group: str, name: str, given: Collection[str] = ()) -> "Origins":
        """Read the file params/GROUP/NAME.yaml and its bases."""
        node, bases, comments = {}, {}, {}
        for path, values in params.stated(group, name).items():
            node |= values
            bases |= {key: "file" if path.stem == name else path.stem for key in values}
            found = dict(COMMENT.findall(path.read_text(encoding="utf-8")))
            comments |= {key: found.get(key, "") for key in values}
        return cls(node, bases, given, comments)

    def inside(self, key: str) -> "Origins":
        """The origins of the settings of a section inside this one."""
        given = [name.removeprefix(f"{key}.") for name in self.given if name.startswith(f"{key}.")]
        return Origins(self.node.get(key) or {}, given=given)

    def of_key(self, key: str) -> str:
        """Return `command`, `file`, the name of a base, or `default`."""
        if any(name == key or name.startswith(f"{key}.") for name in self.given):
            return "command"
        return self.bases.get(key, "file") if key in self.node else "default"

    def comment(self, key: str, meaning: str) -> str:
        """Return the meaning, and behind it the file's comment; a value of the command has none."""
        found = "" if self.of_key(key) == "command" else self.comments.get(key, "")
        return f"{meaning} # {found}".strip() if found else meaning


def settings(model: BaseModel, origins: Origins) -> Iterator[Setting]:
    """Yield the settings of a validated section and of the sections inside it, in the order of the schema."""
    for key, field in type(model).model_fields.items():
        value = getattr(model, key)
        if isinstance(value, BaseModel):
            for each in settings(value, origins.inside(key)):
                yield each._replace(name=f"{key}.{each.name}")
        elif _are_sections(value):
            yield from _of_items(key, value, origins.node.get(key) or ())
        elif key != "name":
            meaning = origins.comment(key, _meaning([model], key, field))
            yield Setting(key, _shown([model], key), origins.of_key(key), meaning)


def _are_sections(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(isinstance(item, BaseModel) for item in value)


def _of_items(key: str, items: Sequence[BaseModel], nodes: Sequence[Any]) -> Iterator[Setting]:
    """Yield the settings of several sections of one kind, such as targets, each with all its values."""
    nodes = nodes if isinstance(nodes, list | tuple) else [nodes]
    fields = {name: field for item in items for name, field in type(item).model_fields.items()}
    for inner, field in fields.items():  # operations, say, have settings of their own beside the shared
        some = [item for item in items if inner in type(item).model_fields]
        values = [getattr(item, inner) for item in some]
        below = [node[inner] for node in nodes if isinstance(node, Mapping) and inner in node]
        if any(map(_are_sections, values)):
            parts = [part for value in values for part in value]
            for each in _of_items(inner, parts, [part for found in below for part in found]):
                yield each._replace(name=f"{key}[].{each.name}")
            continue
        # a section that the file writes in short, such as a word or `set: viper:rand10_a2b`, sets more than
        # its keys say
        is_set = bool(below) or field.is_required() or any(not isinstance(node, Mapping) for node in nodes)
        origin = "file" if is_set else "default"
        yield Setting(f"{key}[].{inner}", _shown(some, inner), origin, _meaning(some, inner, field))


def _shown(models: Sequence[BaseModel], key: str) -> str:
    """Write the values of a field in several sections; one value if all are equal."""
    # a dump leaves out what does not change a run, such as the recipe that a method names as its own
    dumps = [{key: getattr(model, key)} | model.model_dump(mode="json", include={key}) for model in models]
    values = [_text(dump[key]) for dump in dumps]
    return ", ".join(values[:1] if len(set(values)) == 1 else values)


def _meaning(models: Sequence[BaseModel], key: str, field: FieldInfo) -> str:
    """A field's description, with its default if a value is another and the default is not empty."""
    meaning = field.description or ""
    fields = [type(model).model_fields[key] for model in models]  # operations differ in their defaults
    if any(each.is_required() for each in fields):
        return meaning
    defaults = [each.get_default(call_default_factory=True) for each in fields]
    pairs = zip(models, defaults, strict=True)
    if all(default in ({}, (), "", getattr(model, key)) for model, default in pairs):
        return meaning
    return f"{meaning} (default: {', '.join(dict.fromkeys(map(_text, defaults)))})".strip()


def _text(value: Any) -> str:
    """A value as a params file has it, in one line."""
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, tuple):
        value = list(value)
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")


def _heading(group: str, name: str, note: str = "") -> str:
    """Name a file, its bases, and what `note` says of it."""
    *bases, _ = params.files(group, name)
    based = f", based on {', '.join(path.stem for path in bases)}" if bases else ""
    return f"{group} {name} ({PARAMS / group / name}.yaml{based}{note})"


def _comments(group: str, name: str) -> list[str]:
    """Return the comments at the top of a file, which say what it is and where its numbers are from."""
    lines = params.files(group, name)[-1].read_text(encoding="utf-8").splitlines()
    top = takewhile(lambda line: line.startswith("#"), lines)
    return [part for line in top for part in wrap(line, WIDTH, subsequent_indent="# ")]


def _table(rows: Sequence[Setting]) -> list[str]:
    """Lay settings out as lines of WIDTH characters at most."""
    widths = {
        title: min(most, max(len(title), *(len(row[place]) for row in rows)))
        for place, (title, most) in enumerate(WIDEST.items())
    }
    widths["from"] = max(len("command"), *(len(row.origin) for row in rows))
    widths["meaning"] = WIDTH - sum(widths.values()) - 2 * len(widths)
    return table(widths, rows, right=())


def _proposed(run: RunConfig, group: str, words: Sequence[str]) -> str:
    """Say who chose a group that the words do not name."""
    named = any(word.startswith(f"{group}=") for word in words)
    return "" if named else f", proposed by protocol {run.protocol.name}"


def _method(node: dict) -> type[MethodOptions]:
    code = node.setdefault("code", node.get("name"))
    return methods.module(code).Options if code else MethodOptions


def _backbone(node: dict) -> type[Strict]:
    if "architecture" not in node:
        raise UserError(f"backbone {node.get('name')}: architecture is missing: write it down.")
    return backbones.module(node["architecture"]).Options


# group -> the schema of a file that holds a node; a node may lack what other files state
SCHEMAS: dict[str, Callable[[dict], type[Strict]]] = {
    "method": _method,
    "backbone": _backbone,
    "protocol": lambda node: ProtocolConfig,
    "targets": lambda node: TargetGroup,
    "recipe": lambda node: RecipeConfig,
    "image": lambda node: ImageConfig,
    "start": lambda node: StartConfig,
    "dataset": lambda node: DatasetConfig,
    "tables": lambda node: Description,
    "matrices": lambda node: Selection,
}
WORDS = {"targets": "target group", "tables": "table", "matrices": "matrix"}  # what a group holds
