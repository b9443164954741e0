"""Residual blocks (He et al., CVPR 2016)."""

from importlib import import_module
from types import ModuleType

from torch import Tensor, nn

from dgreid.networks.backbone import Backbone


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a skip; a method may set `output_norm` to a norm of the sum."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, norm: type[nn.Module] = nn.BatchNorm2d):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, width, stride)
        self.output_norm = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block, (N, C, H, W) -> (N, C', H/stride, W/stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(self.output_norm(y + self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions and a skip; the output is four times as wide.

    `norm` makes the first norm; a method may set `output_norm` to a norm of the sum.
    """

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, norm: type[nn.Module] = nn.BatchNorm2d):
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, outputs, stride)
        self.output_norm = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block, (N, C, H, W) -> (N, C', H/stride, W/stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(self.output_norm(y + self.downsample(x)))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Make the skip: the identity if the shape stays, else a 1x1 convolution and a norm."""
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


def ibn_net() -> ModuleType:
    """Import IBN-Net's norms by name, so that only networks with an IBN variant depend on their file."""
    return import_module("dgreid.networks.norms.ibn")


class IbnBackbone(Backbone):
    """A backbone with an IBN-Net variant: `ibn` (none, a or b), and `ibn_weights` as in its options."""

    ibn: str
    ibn_weights: str

    def translate(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Adapt plain ResNet or IBN-Net tensors to the configured variant."""
        if self.ibn == "none":
            return state
        return ibn_net().adapt_weights(self, state, self.ibn_weights)
