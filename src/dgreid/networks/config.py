"""The options that all backbones share; an architecture's module adds its own."""

from typing import Annotated, Literal

from pydantic import Field

from dgreid.schema import Module, Strict

Norm = Annotated[str, Module("dgreid.networks.norms", {"batch": None})]  # the type of `method.norm`
Ibn = Annotated[
    Literal["none", "a", "b"], Module("dgreid.networks.norms", {"none": None, "a": "ibn", "b": "ibn"})
]


class BackboneOptions(Strict):
    """The options of params/backbone files; `dgreid.networks.backbones.ARCHITECTURE.Options` adds more."""

    name: str = Field(description="name of the file in params/backbone, part of the run's name")
    architecture: Annotated[str, Module("dgreid.networks.backbones")] = Field(
        description="module in src/dgreid/networks/backbones"
    )
    running_statistics: Literal["loaded", "fresh"] = Field(
        "loaded",
        description="batch norms start with those of the weight file, or afresh at mean 0, variance 1",
    )
