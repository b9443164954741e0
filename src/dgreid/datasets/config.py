"""The schema of params/dataset."""

from typing import Annotated, Any, Literal

from pydantic import Field

from dgreid import params
from dgreid.miniature.config import MiniatureConfig
from dgreid.schema import Module, Strict, validate


class DatasetConfig(Strict):
    """A data set: which parser reads it, which counts it must have, how to get it."""

    name: str
    title: str
    parser: Annotated[str, Module("dgreid.datasets.parsers")] = Field(
        description="module in src/dgreid/datasets/parsers"
    )
    access: Literal["open", "request", "agreement", "withdrawn", "drawn"]
    home: str = Field("", description="page with the data and their terms")
    archive: str = Field("", description="file name of the published archive, to which the md5 belongs")
    md5: str | None = None
    options: dict[str, Any] = Field({}, description="parser options, such as the CUHK03 variant")
    expect: dict[str, int] = Field({}, description="counts of a full copy; enforced")
    recalled: dict[str, int] = Field({}, description="unverified counts; a difference is a warning")
    miniature: MiniatureConfig | None = None


def load_dataset(name: str) -> DatasetConfig:
    """Read params/dataset/NAME.yaml."""
    return validate(DatasetConfig, params.read("dataset", name))
