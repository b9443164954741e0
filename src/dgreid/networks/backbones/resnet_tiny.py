"""A ResNet small enough for the miniature benchmark on a CPU: about 22 M multiply-adds at 64x32."""

from torch import Tensor, nn

from dgreid.config import BackboneConfig
from dgreid.networks.backbones.resnet import BasicBlock, initialise


class ResNetTiny(nn.Module):
    """(N, 3, H, W) -> (N, 128, H/8, W/8), or H/4, W/4 with `last_stride` 1."""

    def __init__(self, last_stride: int = 2):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace=True)
        self.blocks = nn.Sequential(
            BasicBlock(16, 32, stride=2),
            BasicBlock(32, 64, stride=2),
            BasicBlock(64, 128, stride=last_stride),
        )
        self.channels = 128
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 128, h, w)."""
        return self.blocks(self.relu(self.bn1(self.conv1(x))))


def build(config: BackboneConfig) -> ResNetTiny:
    """The one size there is; `last_stride` is that of the third block."""
    return ResNetTiny(config.last_stride)
