"""The schema of params/backbone."""

from typing import Annotated, Literal

from pydantic import Field

from dgreid import params
from dgreid.schema import Module, Strict, validate


class BackboneConfig(Strict):
    """A feature extractor; see `dgreid.networks.backbones`."""

    name: str
    architecture: Annotated[str, Module("dgreid.networks.backbones")] = Field(
        description="module in src/dgreid/networks/backbones"
    )
    width: float = Field(1.0, gt=0, description="channel multiplier (MobileNetV2)")
    depth: int | None = Field(None, description="number of layers (ResNet)")
    last_stride: Literal[1, 2] = 1
    stem_activation: bool = Field(True, description="an activation after the stem's norm")
    running_statistics: Literal["loaded", "fresh"] = Field(
        "loaded", description="of batch norms: the weight file's, or 0 and 1 whatever the file says"
    )
    ibn: Literal["none", "a", "b"] = Field("none", description="IBN-Net variant (ResNet)")
    ibn_weights: Literal["sliced", "fresh"] = Field(
        "sliced",
        description="norms of IBN blocks from plain weights: their channels' affine map, or weight 1, bias 0",
    )


def load_backbone(name: str) -> BackboneConfig:
    """Read params/backbone/NAME.yaml."""
    return validate(BackboneConfig, params.read("backbone", name))
