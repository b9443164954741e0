"""Explain the settings of a file in params/, or of a whole run: values, where they come from, what they mean.

The meanings are the descriptions that the schemas give their fields.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dgreid import params
from dgreid.datasets.config import load_dataset
from dgreid.errors import unknown
from dgreid.images.config import ImageConfig
from dgreid.methods import load_method
from dgreid.methods.recipe import RecipeConfig
from dgreid.networks.backbones import load_backbone
from dgreid.paths import PARAMS
from dgreid.protocols.config import load_protocol
from dgreid.protocols.listing import table
from dgreid.runs.config import GROUPS, RunConfig, load_run
from dgreid.schema import validate

WIDTH = 100  # columns of the terminal
MOST = {"setting": 28, "value": 28}  # their columns are at most this wide
LEGEND = "from: the file or its base, the schema's default, or a word of this command."


class Setting(NamedTuple):
    """One line of a description."""

    name: str  # as an override names it, without its group; `targets[].dataset` is of every target
    value: str
    origin: str  # file | default | command
    meaning: str  # the schema's description, with its default if the value is another


def describe(words: Sequence[str]) -> str:
    """Tables of settings for a terminal of 100 columns.

    Args:
        words: one `group=name`, described as its file has it; or a run as `load_run` takes it, which is
            described group by group.

    Raises:
        UserError: an unknown group, name or key, a value of the wrong type, a missing choice.
    """
    first, _, name = words[0].partition("=")
    if len(words) == 1 and name:
        if first not in LOADERS:
            raise unknown("group", first, LOADERS)
        return "\n".join([*_section(first, LOADERS[first](name)), "", LEGEND])
    run = load_run(words)
    lines = [f"run {run.run}, seed {run.seed}", ""]
    for group in GROUPS:
        lines += [*_section(group, getattr(run, group), _proposed(run, group, words), words), ""]
    return "\n".join([*lines, LEGEND])


def settings(model: BaseModel, node: Mapping, given: Collection[str] = ()) -> Iterator[Setting]:
    """The settings of a validated section and of the sections inside it, in the order of the schema.

    Args:
        model: the section.
        node: the mapping that its file holds.
        given: settings that the command gives, named as `Setting.name` is.
    """
    for key, field in type(model).model_fields.items():
        value = getattr(model, key)
        if isinstance(value, BaseModel):
            below = [name.removeprefix(f"{key}.") for name in given if name.startswith(f"{key}.")]
            for each in settings(value, node.get(key) or {}, below):
                yield each._replace(name=f"{key}.{each.name}")
        elif isinstance(value, tuple) and value and all(isinstance(item, BaseModel) for item in value):
            yield from _of_items(key, value, node.get(key) or ())
        elif key != "name":
            chosen = any(name == key or name.startswith(f"{key}.") for name in given)
            origin = "command" if chosen else "file" if key in node else "default"
            yield Setting(key, _shown([model], key), origin, _meaning([model], key, field))


def _of_items(key: str, items: Sequence[BaseModel], nodes: Sequence[Any]) -> Iterator[Setting]:
    """The settings of several sections of one kind, such as a protocol's targets, with all their values."""
    fields = {key: field for item in items for key, field in type(item).model_fields.items()}
    for inner, field in fields.items():  # operations, say, have settings of their own beside the shared
        some = [item for item in items if inner in type(item).model_fields]
        # a section that the file writes as one word, not as a mapping, sets everything
        is_set = any(not isinstance(node, Mapping) or inner in node for node in nodes)
        origin = "file" if is_set else "default"
        yield Setting(f"{key}[].{inner}", _shown(some, inner), origin, _meaning(some, inner, field))


def _shown(models: Sequence[BaseModel], key: str) -> str:
    """The values of a field; one if all are alike."""
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


def _section(group: str, model: Any, note: str = "", words: Sequence[str] = ()) -> list[str]:
    """The heading and table of one group."""
    given = [
        word.partition("=")[0].removeprefix(f"{group}.") for word in words if word.startswith(f"{group}.")
    ]
    rows = list(settings(model, params.read(group, model.name), given))
    widths = {
        title: min(most, max(len(title), *(len(row[place]) for row in rows)))
        for place, (title, most) in enumerate(MOST.items())
    }
    widths["from"] = len("command")
    widths["meaning"] = WIDTH - sum(widths.values()) - 2 * len(widths)
    heading = f"{group} {model.name} ({PARAMS / group / model.name}.yaml{note})"
    return [heading, "", *table(widths, rows, right=())]


def _proposed(run: RunConfig, group: str, words: Sequence[str]) -> str:
    """How a group that the words do not name was chosen."""
    named = any(word.startswith(f"{group}=") for word in words)
    return "" if named else f", proposed by protocol {run.protocol.name}"


LOADERS = {
    "method": load_method,
    "backbone": load_backbone,
    "protocol": load_protocol,
    "recipe": lambda name: validate(RecipeConfig, params.read("recipe", name)),
    "image": lambda name: validate(ImageConfig, params.read("image", name)),
    "dataset": load_dataset,
}
