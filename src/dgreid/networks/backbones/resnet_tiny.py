"""A ResNet small enough for the miniature benchmark on a CPU: about 22 M multiply-adds at 64x32."""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from dgreid.networks.backbone import initialise
from dgreid.networks.blocks import BasicBlock, IbnBackbone, ibn_net
from dgreid.networks.config import BackboneOptions, IbnOptions


class Options(IbnOptions):
    """The small ResNet's options."""

    last_stride: Literal[1, 2] = Field(2, description="stride of the third block; 1 keeps its resolution")
    stem_activation: bool = Field(True, description="put an activation after the stem's norm")


class ResNetTiny(IbnBackbone):
    """(N, 3, H, W) -> (N, 128, H/8, W/8), or H/4, W/4 with `last_stride` 1.

    Every block is a stage. Blocks 0 and 1 stand for the shallow layers of IBN-Net.
    """

    shallow_stages = 2

    def __init__(
        self,
        last_stride: int = 2,
        stem_activation: bool = True,
        ibn: str = "none",
        ibn_weights: Literal["sliced", "fresh"] = "sliced",
    ):
        super().__init__()
        self.ibn, self.ibn_weights = ibn, ibn_weights
        norms = ibn_net() if ibn != "none" else None
        norm = norms.IBN if ibn == "a" else nn.BatchNorm2d
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = norms.InstanceNorm2d(16) if ibn == "b" else nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace=True) if stem_activation else nn.Identity()
        self.blocks = nn.Sequential(
            BasicBlock(16, 32, stride=2, norm=norm),
            BasicBlock(32, 64, stride=2, norm=norm),
            BasicBlock(64, 128, stride=last_stride),
        )
        if ibn == "b":
            self.blocks[0].output_norm = norms.InstanceNorm2d(32)
            self.blocks[1].output_norm = norms.InstanceNorm2d(64)
        self.channels = 128
        self.stages = (("blocks.0", 32), ("blocks.1", 64), ("blocks.2", 128))
        self.style_places = (("blocks.0.output_norm", 32), ("blocks.1.output_norm", 64))
        initialise(self)

    def enter(self, images: Tensor) -> Tensor:
        """Compute the stem, (N, 3, H, W) -> (N, 16, H, W)."""
        return self.relu(self.bn1(self.conv1(images)))


def build(options: Options, size: tuple[int, int] | None = None) -> ResNetTiny:
    """Build the network, for images of any size."""
    return ResNetTiny(**options.model_dump(exclude=set(BackboneOptions.model_fields)))
