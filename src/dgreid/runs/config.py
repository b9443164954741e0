"""Compose a run from its choices and validate it once.

`load_run(["method=erm", "backbone=resnet_tiny", ...])` gives a `RunConfig`; an unknown key or a value
of the wrong type is a `UserError` that names the key, its group and the nearest known key.
"""

import json
from collections.abc import Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from pydantic import Field
from yaml import YAMLError

from dgreid import methods, params
from dgreid.errors import UserError, unknown
from dgreid.images.config import ImageConfig
from dgreid.methods.base import MethodOptions
from dgreid.methods.recipe import RecipeConfig
from dgreid.names import is_title
from dgreid.networks import backbones
from dgreid.paths import PARAMS
from dgreid.protocols.config import ProtocolConfig, load_protocol
from dgreid.runs.names import name_of
from dgreid.schema import Seed, Strict, read_yaml, reason, validate

GROUPS = ("method", "backbone", "protocol", "recipe", "image")
LONGEST_WORD = 1000  # characters of an override
OWN = "own"  # recipe=own or image=own: the one that the method's file names


class RunConfig(Strict):
    """Everything that a run depends on, except the data."""

    method: Any  # the Options of the method's module, already validated
    backbone: Any  # the Options of the architecture's module, already validated
    protocol: ProtocolConfig
    recipe: RecipeConfig
    image: ImageConfig
    seed: Seed = Field(0, description="seed of all random numbers of the run")
    changes: tuple[str, ...] = Field((), exclude=True, description="overrides of values in params/")

    @property
    def run(self) -> str:
        """The run's name; see `dgreid.runs.names`."""
        return name_of(self.method.name, self.backbone.name, self.protocol.name, self.seed, self.changes)


def load_run(overrides: Sequence[str]) -> RunConfig:
    """Compose and validate a run from overrides `group=name` and `group.key=value`.

    The protocol gives the recipe and the image, unless an override names others; `own` takes the method's.

    Raises:
        UserError: an unknown group, name or key, a value of the wrong type, a missing choice.
    """
    words = dict(_pair(word) for word in overrides)
    for group in ("method", "backbone", "protocol"):
        if group not in words:
            raise UserError(f"which {group}? Add {group}=NAME, one of: {', '.join(params.names(group))}.")
    for group in ("recipe", "image"):
        if words.get(group) == OWN:
            words[group] = _own(group, words["method"])
    chosen = {key: value for key, value in words.items() if key in GROUPS}
    protocol = load_protocol(chosen["protocol"])
    chosen = {"recipe": protocol.recipe, "image": protocol.image, **chosen}
    for group, name in chosen.items():  # Hydra's own errors name neither a missing file nor a wrong entry
        node = params.read(group, name)
        for key in words:
            if key.startswith(f"{group}."):
                _check_entry(key, node)
    read_yaml(PARAMS / "run.yaml")  # refuses a bomb, as params.read does: Hydra reads the files by itself
    # `++` also adds an unknown dotted key, so that our own schema can name the nearest known key
    values = [f"++{key}={_as_written(key, value)}" for key, value in words.items() if key not in GROUPS]
    try:
        with initialize_config_dir(str(PARAMS.resolve()), version_base="1.3"):
            composed = compose("run", [f"{group}='{name}'" for group, name in chosen.items()] + values)
            node = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise UserError(f"{error.full_key} is ???, which stands for a value to come: write one.") from error
    except OverrideParseException as error:
        raise _without_value(str(error.override).removeprefix("++")) from error
    except (OmegaConfBaseException, HydraException, YAMLError, RecursionError) as error:
        raise UserError(f"params/ cannot be composed: {reason(error)}.") from error
    for group, name in chosen.items():
        node[group]["name"] = name
    files = {"recipe": protocol.recipe, "image": protocol.image}
    node["changes"] = [
        f"{key}={value}"
        for key, value in words.items()
        if "." in key or files.get(key, value) != value  # a dotted key, or another recipe or image
    ]
    node["method"] = methods.read(node["method"])
    refuse_unread("method", node["method"])
    node["backbone"] = backbones.read(node["backbone"], "backbone")
    run = validate(RunConfig, node, "run")
    refuse_unread("recipe", run.recipe)
    return run


def read_overridden(group: str, name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Read the values of params/GROUP/NAME.yaml with overrides `group.key=value`, as a run would have them.

    Raises:
        UserError: there is no such file, an override is of another group, or it cannot be read.
    """
    node = OmegaConf.create(params.read(group, name))
    for key, value in map(_pair, overrides):
        own, _, inside = key.partition(".")
        if own != group:
            raise UserError(f"{key} is no override of {group} {name}: write {group}.KEY=VALUE.")
        _check_entry(key, OmegaConf.to_container(node))
        try:
            override = OverridesParser.create().parse_override(f"{key}={_as_written(key, value)}")
            OmegaConf.update(node, inside, override.value(), force_add=True)
        except (OmegaConfBaseException, HydraException, RecursionError) as error:
            raise _without_value(f"{key}={value}") from error
    return OmegaConf.to_container(node)


def _without_value(word: str) -> UserError:
    return UserError(
        f"{word} has no value that can be read: write a plain number or word, a whole list in [ ], or "
        "put the value in quotes."
    )


def _own(group: str, method: str) -> str:
    """Return the recipe or image that a method's file names as its own."""
    name = params.read("method", method).get(group)
    if not name:
        raise UserError(
            f"{group}=own: params/method/{method}.yaml names no {group} of its own; "
            f"choose {group}=NAME, one of: {', '.join(params.names(group))}."
        )
    return name


def _as_written(key: str, value: str) -> str:
    """The value for Hydra; a path of weights is quoted, as `=` and spaces mean something there."""
    if key.split(".")[-1] != "weights" or value[:1] in ("'", '"'):
        return value
    return "'" + value.replace("'", "\\'") + "'"


def _pair(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals:
        raise UserError(f"'{word}' is not of the form key=value, such as method=metabin or seed=0.")
    if key.split(".")[0] not in (*GROUPS, "seed"):
        raise unknown("key", key, (*GROUPS, "seed"))
    if "[" in key:
        raise UserError(f"{key}: an entry of a list stands behind a dot, as in image.train.0.probability.")
    if len(word) > LONGEST_WORD or not is_title(word) or set("$\\") & set(word):
        raise UserError(
            f"{key} has a value that is too long, or with $, \\ or control characters, which the shell, DVC "
            "and Hydra each read in their own way: write a plain value."
        )
    if key in ("method.recipe", "method.image"):
        group = key.removeprefix("method.")
        raise UserError(f"'{word}' would not change the run: say {group}={value}.")
    if value.lstrip().startswith("{"):  # Hydra would merge it with the file's, not replace that
        raise UserError(f"{key} is a mapping: override its entries one by one, such as {key}.NAME=VALUE.")
    return key, value


def _check_entry(key: str, node: Any) -> None:
    """Refuse an override of a list's entry that is not there, such as image.train.7.probability of two.

    Args:
        key: the override's.
        node: the values of its group, as the files have them.
    """
    where, *parts = key.split(".")
    for part in parts:
        if isinstance(node, list):
            if not (part.isdecimal() and int(part) < len(node)):
                entries = f"entries 0 to {len(node) - 1}" if node else "no entries"
                raise UserError(
                    f"{key}: {where} has {entries}: override one of these, or all as {where}=[...]."
                )
            node = node[int(part)]
        else:
            node = node.get(part) if isinstance(node, dict) else None
        where = f"{where}.{part}"


def refuse_unread(group: str, section: MethodOptions | RecipeConfig) -> None:
    """Refuse values that would stand in a run's name and change nothing in it."""
    for name, why in section.unread():
        default = type(section).model_fields[name].get_default(call_default_factory=True)
        if getattr(section, name) != default:
            raise UserError(
                f"{group}.{name} means nothing {why}: leave it at its default, {json.dumps(default)}."
            )
