"""The options that all backbones share; an architecture's module adds its own."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dgreid.schema import Module, Name, Strict

Norm = Annotated[str, Module("dgreid.networks.norms", {"batch": None})]  # the type of `method.norm`
Ibn = Annotated[
    Literal["none", "a", "b"], Module("dgreid.networks.norms", {"none": None, "a": "ibn", "b": "ibn"})
]


class BackboneOptions(Strict):
    """The options of params/backbone files; `dgreid.networks.backbones.ARCHITECTURE.Options` adds more."""

    name: Name = Field(description="name of the file in params/backbone, part of the run's name")
    architecture: Annotated[str, Module("dgreid.networks.backbones")] = Field(
        description="module in src/dgreid/networks/backbones"
    )
    running_statistics: Literal["loaded", "fresh"] = Field(
        "loaded",
        description="batch norms start with those of the weight file, or afresh at mean 0, variance 1",
    )


class IbnOptions(BackboneOptions):
    """What a backbone with IBN-Net's variants adds."""

    ibn: Ibn = Field("none", description="variant of IBN-Net")
    ibn_weights: Literal["sliced", "fresh"] = Field(
        "sliced",
        description="IBN norms from plain weights: their channels' affine maps, or weight 1, bias 0",
    )

    @model_validator(mode="after")
    def _every_option_is_read(self) -> Self:
        if self.ibn == "none" and self.ibn_weights != "sliced":
            raise ValueError("ibn_weights has no effect without ibn: set ibn to a or b, or leave it out")
        return self
