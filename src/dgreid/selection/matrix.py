"""Expand a selection of runs, params/matrices/NAME.yaml, into params/matrix.yaml.

A selection is written out in full so that DVC knows every item: run, protocol, data set.
"""

import itertools
import json
import shlex
from collections.abc import Iterable, Mapping
from math import prod
from typing import Any

import yaml
from pydantic import Field, ValidationError, field_validator

from dgreid import params, schema
from dgreid.datasets.adopt.record import RECORD
from dgreid.datasets.config import load_dataset
from dgreid.errors import UserError, unknown
from dgreid.files import whole
from dgreid.networks.weights import DRAWN, start_of
from dgreid.paths import ARCHIVES, MATRIX, NO_START, RAW
from dgreid.protocols.config import ProtocolConfig
from dgreid.runs.config import GROUPS, RunConfig, load_run
from dgreid.schema import Name, RunName, Seed, Title

AXES = ("methods", "backbones", "protocols", "seeds")
MOST_RUNS = 2000  # of a selection: DVC reads every one of them at every command


class Block(schema.Strict):
    """A block of a selection: every combination of these names is one run."""

    methods: tuple[Name, ...] = Field(description="names in params/method")
    backbones: tuple[Name, ...] = Field(description="names in params/backbone")
    protocols: tuple[Name, ...] = Field(description="names in params/protocol")
    seeds: tuple[Seed, ...] = Field(description="one training for each")
    recipe: Name | None = Field(
        None, description="recipe of all runs; null: the protocol's; own: the method's"
    )
    image: Name | None = Field(
        None, description="images of all runs; null: the protocol's; own: the method's"
    )
    baseline: Name = Field("erm", description="method that the others are compared with, if it is selected")
    changes: tuple[tuple[str, ...], ...] = Field(
        ((),), description="sets of overrides, such as method.margin=0.5; each set gives a run of its own"
    )

    @field_validator("changes")
    @classmethod
    def _dotted(cls, changes: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        """Accept overrides of single values only; another file is an axis of the block."""
        for word in itertools.chain(*changes):
            key, equals, _ = word.partition("=")
            if "." not in key or not equals:
                raise ValueError(f"'{word}' is not a change such as method.gate_learning_rate=0.2")
        return changes


class Selection(schema.Strict):
    """The schema of the files in params/matrices."""

    name: Name = Field(description="name of the file in params/matrices")
    title: Title = Field(description="heading of tables, figures and the page")
    blocks: tuple[Block, ...] = Field(description="parts of the selection")

    @field_validator("blocks")
    @classmethod
    def _not_too_many(cls, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
        runs = sum(prod(len(getattr(block, axis)) for axis in (*AXES, "changes")) for block in blocks)
        if runs > MOST_RUNS:
            raise ValueError(f"these are {runs:,} runs, and {MOST_RUNS:,} are the most: make several of it")
        return blocks


class Choice(schema.Strict):
    """A run of a written selection."""

    method: Name
    backbone: Name
    protocol: Name
    recipe: Name
    image: Name
    seed: Seed
    baseline: Name = "erm"
    start: Title = str(NO_START)  # what it begins with, if a stage makes that
    changes: Title = ""  # overrides, each quoted for the shell


class Source(schema.Strict):
    """A data set of a written selection."""

    source: Title


class Member(schema.Strict):
    """A data set of a protocol."""

    protocol: Name
    dataset: Name


class Written(schema.Strict):
    """The schema of params/matrix.yaml."""

    name: Name
    title: Title = ""
    drawn: tuple[Name, ...] = ()
    starts: tuple[Name, ...] = ()  # backbones that are trained on drawn things
    datasets: dict[Name, Source]
    members: dict[Title, Member] = Field({})
    protocols: tuple[Name, ...] = Field(min_length=1)
    runs: dict[RunName, Choice] = Field(min_length=1, max_length=MOST_RUNS)


def select(name: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """Expand a selection, with axes replaced by `overrides`, and write it to params/matrix.yaml."""
    matrix = compose(name, overrides)
    axes = [
        f"{key}={value if '.' in key else json.dumps(value, separators=(',', ':'))}"
        for key, value in overrides.items()
    ]
    words = shlex.join(["dgreid", "select", name, *axes])
    with whole(MATRIX) as part:
        part.write_text(
            f"# Written by `{words}`.\n" + yaml.safe_dump(matrix, sort_keys=False, width=200),
            encoding="utf-8",
        )
    return matrix


def compose(name: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """Expand a selection without writing it.

    Args:
        name: of a file in params/matrices.
        overrides: an axis and its values, or a dotted key such as `method.margin` and its value as a word.

    Raises:
        UserError: there is no such selection, or it names something that does not exist.
    """
    if name not in params.names("matrices"):
        raise unknown("matrix", name, params.names("matrices"))
    (path,) = params.files("matrices", name)
    own = schema.read_yaml(path)
    if own.setdefault("name", name) != name:
        raise UserError(f"{path}: its name is its file's, {name}: leave `name` out, or rename the file.")
    selection = schema.validate(Selection, own, str(path))
    node = selection.model_dump(mode="json")
    for key, value in overrides.items():
        if key not in (*AXES, "recipe", "image") and "." not in key:
            raise unknown("axis", key, (*AXES, "recipe", "image"))
        for block in node["blocks"]:
            if "." in key:
                block["changes"] = [_changed(changes, key, value) for changes in block["changes"]]
            else:
                block[key] = value if isinstance(value, list) or key not in AXES else [value]
    return expand(schema.validate(Selection, node, str(path)))


def _changed(changes: Iterable[str], key: str, value: str) -> list[str]:
    """Replace the change of a key, or add it: `key=value` comes last."""
    return [*(change for change in changes if not change.startswith(f"{key}=")), f"{key}={value}"]


def expand(selection: Selection) -> dict[str, Any]:
    """Make the full matrix: data sets with their sources, protocols, and each run with its choices."""
    runs: dict[str, dict[str, Any]] = {}
    protocols: dict[str, ProtocolConfig] = {}
    starts: set[str] = set()
    for block in selection.blocks:
        axes = (getattr(block, axis) for axis in (*AXES, "changes"))
        composed: dict[tuple, RunConfig] = {}  # once for all seeds
        for method, backbone, protocol, seed, changes in itertools.product(*axes):
            words = [f"method={method}", f"backbone={backbone}", f"protocol={protocol}", *changes]
            words += [f"{key}={value}" for key in ("recipe", "image") if (value := getattr(block, key))]
            key = method, backbone, protocol, changes
            composed[key] = composed.get(key) or load_run(words)
            run = composed[key].model_copy(update={"seed": seed})
            protocols[protocol] = run.protocol
            starts |= {backbone} if run.recipe.weights == DRAWN else set()
            runs[run.run] = {
                "method": method,
                "backbone": backbone,
                "protocol": protocol,
                "recipe": run.recipe.name,
                "image": run.image.name,
                "seed": seed,
                "baseline": block.baseline,
                "start": str(start_of(backbone, run.recipe.weights)),
                "changes": "".join(f" {shlex.quote(word)}" for word in changes),  # as dvc.yaml appends them
            }
    if not runs:
        raise UserError(f"matrix '{selection.name}' has no runs: each of {', '.join(AXES)} needs a value.")
    members = members_of(protocols.values())
    names = sorted({member["dataset"] for member in members.values()})
    drawn = [name for name in names if load_dataset(name).miniature]
    return {
        "name": selection.name,
        "title": selection.title,
        "drawn": drawn,
        "starts": sorted(starts),
        "datasets": {name: {"source": source(name, name in drawn)} for name in names},
        "members": members,
        "protocols": sorted(protocols),
        "runs": runs,
    }


def source(dataset: str, drawn: bool) -> str:
    """Name the file that a manifest is made from: a generated archive, or the record of `dgreid adopt`."""
    return str(ARCHIVES / f"{dataset}.zip" if drawn else RAW / dataset / RECORD)


def members_of(protocols: Iterable[ProtocolConfig]) -> dict[str, dict[str, str]]:
    """List every data set of every protocol, as PROTOCOL/DATASET."""
    pairs = {
        (protocol.name, part.dataset)
        for protocol in protocols
        for part in (*protocol.sources, *protocol.targets)
    }
    return {f"{protocol}/{name}": {"protocol": protocol, "dataset": name} for protocol, name in sorted(pairs)}


def config_of(choice: Mapping[str, Any]) -> RunConfig:
    """Compose a run's configuration from its entry in a selection; its overrides are one text or a list."""
    words = [f"{group}={choice[group]}" for group in (*GROUPS, "seed")]
    changes = choice.get("changes", "")
    return load_run([*words, *(shlex.split(changes) if isinstance(changes, str) else changes)])


def read() -> dict[str, Any]:
    """Read the current matrix.

    Raises:
        UserError: the matrix is missing, or is not one that `dgreid select` wrote.
    """
    if not MATRIX.exists():
        raise UserError(f"{MATRIX} is missing: write it with `dgreid select NAME`.")
    node = schema.read_yaml(MATRIX)
    try:
        Written.model_validate(node)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise UserError(
            f"{MATRIX} was not written by `dgreid select NAME` (see {place}): write it again with that "
            "command."
        ) from error
    return node
