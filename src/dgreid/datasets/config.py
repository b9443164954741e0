"""The schema of params/dataset."""

from typing import Annotated, Any, Literal

from pydantic import Field

from dgreid import params
from dgreid.miniature.config import MiniatureConfig
from dgreid.schema import Module, Strict, validate


class DatasetConfig(Strict):
    """A data set: which parser reads it, what is expected of it, how one gets it."""

    name: str
    title: str
    parser: Annotated[str, Module("dgreid.datasets.parsers")] = Field(
        description="module in src/dgreid/datasets/parsers"
    )
    access: Literal["open", "request", "agreement", "withdrawn", "drawn"]
    home: str = Field("", description="page where the data and their terms are found")
    archive: str = Field("", description="published file name, which the md5 belongs to")
    md5: str | None = None
    options: dict[str, Any] = Field({}, description="parser options, such as the CUHK03 variant")
    expect: dict[str, int] = Field({}, description="counts that a full copy has; enforced")
    recalled: dict[str, int] = Field({}, description="counts nobody has verified; a difference is a warning")
    miniature: MiniatureConfig | None = None


def load_dataset(name: str) -> DatasetConfig:
    """Read params/dataset/NAME.yaml."""
    return validate(DatasetConfig, params.read("dataset", name))
