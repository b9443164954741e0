"""A ResNet small enough for the miniature benchmark on a CPU: about 22 M multiply-adds at 64x32."""

from torch import Tensor, nn

from dgreid.networks.backbones.resnet import BasicBlock, initialise
from dgreid.networks.config import BackboneConfig
from dgreid.networks.norms import IBN, InstanceNorm2d


class ResNetTiny(nn.Module):
    """(N, 3, H, W) -> (N, 128, H/8, W/8), or H/4, W/4 with `last_stride` 1.

    Every block is a stage. What IBN-Net does in its shallow layers happens in blocks 0 and 1.
    """

    shallow_stages = 2

    def __init__(self, last_stride: int = 2, stem_activation: bool = True, ibn: str = "none"):
        super().__init__()
        norm = IBN if ibn == "a" else nn.BatchNorm2d
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = InstanceNorm2d(16) if ibn == "b" else nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace=True) if stem_activation else nn.Identity()
        self.blocks = nn.Sequential(
            BasicBlock(16, 32, stride=2, norm=norm),
            BasicBlock(32, 64, stride=2, norm=norm),
            BasicBlock(64, 128, stride=last_stride),
        )
        if ibn == "b":
            self.blocks[0].output_norm, self.blocks[1].output_norm = InstanceNorm2d(32), InstanceNorm2d(64)
        self.channels = 128
        self.stages = (("blocks.0", 32), ("blocks.1", 64), ("blocks.2", 128))
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 128, h, w)."""
        return self.blocks(self.relu(self.bn1(self.conv1(x))))


def build(config: BackboneConfig) -> ResNetTiny:
    """The one size there is; `last_stride` is that of the third block."""
    return ResNetTiny(config.last_stride, config.stem_activation, config.ibn)
