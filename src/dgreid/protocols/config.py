"""The schemas of the files in params/protocol and params/targets."""

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from dgreid import params
from dgreid.protocols import notation
from dgreid.schema import Counts, Name, Strict, Title, validate


class SourceConfig(Strict):
    """One training source of a protocol."""

    dataset: Name = Field(description="name in params/dataset")
    split_set: Title | None = Field(
        None, description="train on `role` of split 0 of this set; null: on every identity"
    )
    role: Literal["train"] = Field("train", description="part of the split to train on")
    domain_by: Literal["dataset", "camera"] = Field(
        "dataset", description="camera: each camera is a domain of its own"
    )


class TargetConfig(Strict):
    """One data set that is evaluated at test time."""

    name: Name = Field(description="column title, such as VIPeR")
    dataset: Name = Field(description="name in params/dataset")
    split_set: Title = Field(description="set of splits of the data set")
    splits: int | None = Field(None, gt=0, le=1000, description="evaluate only the first n splits; null: all")
    expect: Counts = Field({}, description="query and gallery images per split; enforced")


class TargetGroup(Strict):
    """A file of params/targets: targets that protocols name together."""

    name: Name = Field(description="name of the file in params/targets")
    targets: tuple[TargetConfig, ...] = Field(min_length=1, description="data sets to evaluate")

    @field_validator("targets", mode="before")
    @classmethod
    def _in_full(cls, node: Any, info: ValidationInfo) -> Any:
        return [_target(entry, f"targets {info.data.get('name')}") for entry in _list(node)]


class ProtocolConfig(Strict):
    """A protocol: data sets to train on, data sets to evaluate, and the counts that they must give."""

    name: Name = Field(description="name of the file in params/protocol, part of the run's name")
    title: Title = Field(description="name of the protocol in tables")
    recipe: Name = Field(description="recipe of this protocol's runs, unless a run names another")
    image: Name = Field(description="image configuration of this protocol's runs, unless a run names another")
    sources: tuple[SourceConfig, ...] = Field(
        min_length=1, description="in full, or such as market1501:official by camera (protocols/notation.py)"
    )
    targets: tuple[TargetConfig, ...] = Field(
        description="names of groups in params/targets, or targets in full"
    )
    expect: Counts = Field({}, description="ids, images, domains of the training set; enforced")
    allow_partial: bool = Field(False, description="accept incomplete data; every result is labelled partial")
    choices: dict[str, str] = Field({}, description="choices that papers leave open, in words")
    variants: dict[str, str] = Field({}, description="variants that data sets must have; enforced")

    @field_validator("sources", mode="before")
    @classmethod
    def _sources_in_full(cls, node: Any, info: ValidationInfo) -> Any:
        where = f"protocol {info.data.get('name')}"
        return [notation.source(entry, where) if isinstance(entry, str) else entry for entry in _list(node)]

    @field_validator("targets", mode="before")
    @classmethod
    def _targets_in_full(cls, node: Any, info: ValidationInfo) -> Any:
        where, targets = f"protocol {info.data.get('name')}", []
        for entry in _list(node):
            targets += _group(entry) if isinstance(entry, str) else [_target(entry, where)]
        return targets


def load_protocol(name: str) -> ProtocolConfig:
    """Read params/protocol/NAME.yaml.

    Raises:
        UserError: there is no such file, or something in it is wrong.
    """
    return validate(ProtocolConfig, params.read("protocol", name))


def _list(node: Any) -> Any:
    """Wrap a single entry in a list; the schema checks the rest."""
    return node if isinstance(node, list | tuple) else [node]


def _target(node: Any, where: str) -> Any:
    """Write out a target that names its data set and split set as `set: viper:rand10_a2b`."""
    if not isinstance(node, dict) or "set" not in node:
        return node
    rest = {key: value for key, value in node.items() if key != "set"}
    return rest | notation.target(str(node["set"]), where)


def _group(name: str) -> tuple[TargetConfig, ...]:
    return validate(TargetGroup, params.read("targets", name), f"targets/{name}").targets
