"""The schema of params/protocol."""

from typing import Literal

from pydantic import Field

from dgreid import params
from dgreid.schema import Strict, validate


class SourceConfig(Strict):
    """One training source of a protocol."""

    dataset: str
    split_set: str | None = Field(None, description="take `role` of split 0 of this set; null: every person")
    role: Literal["train"] = "train"
    domain_by: Literal["dataset", "camera"] = "dataset"


class TargetConfig(Strict):
    """One data set that is searched at test time."""

    name: str = Field(description="column title, such as VIPeR")
    dataset: str
    split_set: str
    splits: int | None = Field(None, description="use only the first n splits; null: all")
    expect: dict[str, int] = Field({}, description="query and gallery images per split; enforced")


class ProtocolConfig(Strict):
    """Who trains, who is searched, and the counts that must come out."""

    name: str
    title: str
    recipe: str = Field(description="the budget runs of this protocol take unless told otherwise")
    image: str = Field(description="their image size, likewise")
    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    targets: tuple[TargetConfig, ...]
    expect: dict[str, int] = Field({}, description="ids, images, domains of the training set; enforced")
    allow_partial: bool = Field(False, description="accept incomplete data; every result is labelled partial")
    choices: dict[str, str] = Field({}, description="choices papers leave open, stated")
    variants: dict[str, str] = Field({}, description="variants that data sets must have; enforced")


def load_protocol(name: str) -> ProtocolConfig:
    """Read params/protocol/NAME.yaml."""
    return validate(ProtocolConfig, params.read("protocol", name))
