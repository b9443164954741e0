"""What every backbone's options have; an architecture's own stand in its module."""

from typing import Annotated, Literal

from pydantic import Field

from dgreid.schema import Module, Strict

Norm = Annotated[str, Module("dgreid.networks.norms", {"batch": None})]  # the type of `method.norm`
Ibn = Annotated[
    Literal["none", "a", "b"], Module("dgreid.networks.norms", {"none": None, "a": "ibn", "b": "ibn"})
]


class BackboneOptions(Strict):
    """A file of params/backbone; `dgreid.networks.backbones.ARCHITECTURE.Options` adds to it."""

    name: str
    architecture: Annotated[str, Module("dgreid.networks.backbones")] = Field(
        description="module in src/dgreid/networks/backbones"
    )
    running_statistics: Literal["loaded", "fresh"] = Field(
        "loaded", description="of batch norms: the weight file's, or 0 and 1 whatever the file says"
    )
