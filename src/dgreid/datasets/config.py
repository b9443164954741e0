"""The schema of the files in params/dataset."""

from typing import Annotated, Any, Literal

from pydantic import Field

from dgreid import params
from dgreid.miniature.config import MiniatureConfig
from dgreid.schema import Counts, Module, Name, NoEffect, Strict, Title, validate


class DatasetConfig(Strict):
    """A data set: the parser that reads it, the counts that it must have, and how to get it."""

    name: Name = Field(description="name of the file in params/dataset")
    title: Annotated[Title, NoEffect] = Field(description="name of the data set in tables")
    parser: Annotated[str, Module("dgreid.datasets.parsers")] = Field(
        description="module in src/dgreid/datasets/parsers"
    )
    access: Literal["open", "request", "agreement", "withdrawn", "drawn"] = Field(
        description="how to get the images; drawn: dgreid generates them"
    )
    home: Annotated[str, NoEffect] = Field("", description="web page with the data and their terms")
    archive: str = Field("", description="file name of the published archive, which has this md5")
    md5: str | None = Field(None, description="published MD5 of the archive; null: none is known")
    options: dict[str, Any] = Field({}, description="parser options, such as the CUHK03 variant")
    expect: Counts = Field({}, description="published counts, enforced; none: never `full`")
    recalled: Counts = Field({}, description="unverified counts; a difference is a warning")
    miniature: MiniatureConfig | None = Field(
        None, description="how a miniature of the data set is generated; null: the data are real"
    )


def load_dataset(name: str) -> DatasetConfig:
    """Read params/dataset/NAME.yaml."""
    return validate(DatasetConfig, params.read("dataset", name))
