"""ResNet (He et al., CVPR 2016) in torchvision's layout and names, without pooling and classifier.

The stride of a bottleneck sits in its 3x3 convolution; `last_stride` 1 keeps the resolution in layer4.

IBN-Net (Pan et al., ECCV 2018): variant a has half of the channels of every `bn1` in layers 1 to 3 normalised
by instance, variant b an instance norm in the stem and one after the last addition of layers 1 and 2.
"""

from torch import Tensor, nn

from dgreid.errors import unknown
from dgreid.networks.config import BackboneConfig
from dgreid.networks.norms import IBN, InstanceNorm2d


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a skip; `output_norm` is free for a norm of the sum."""

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
        """(N, C, H, W) -> (N, C', H/stride, W/stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(self.output_norm(y + self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions and a skip; the output is four times as wide.

    `norm` makes the first norm; `output_norm` is free for a norm of the sum.
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
        """(N, C, H, W) -> (N, C', H/stride, W/stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(self.output_norm(y + self.downsample(x)))


DEPTHS = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


class ResNet(nn.Module):
    """(N, 3, H, W) -> (N, C, H/16, W/16), or H/32, W/32 with `last_stride` 2; C = 512 or 2048."""

    shallow_stages = 3  # where DualNorm removes style

    def __init__(
        self, depth: int = 50, last_stride: int = 1, stem_activation: bool = True, ibn: str = "none"
    ):
        super().__init__()
        block, repeats = DEPTHS[depth]
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = InstanceNorm2d(64) if ibn == "b" else nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True) if stem_activation else nn.Identity()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = 64
        strides = (1, 2, 2, last_stride)
        for stage, (count, stride) in enumerate(zip(repeats, strides, strict=True)):
            width = 64 * 2**stage
            norm = IBN if ibn == "a" and stage < 3 else nn.BatchNorm2d
            blocks = []
            for index in range(count):
                blocks.append(block(inputs, width, stride if index == 0 else 1, norm))
                inputs = width * block.expansion
            if ibn == "b" and stage < 2:
                blocks[-1].output_norm = InstanceNorm2d(inputs)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.channels = inputs
        self.stages = tuple((f"layer{i + 1}", 64 * 2**i * block.expansion) for i in range(len(repeats)))
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, C, h, w)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


def initialise(network: nn.Module) -> None:
    """Convolutions by He et al. 2015 over their outputs, from torch's global generator."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Identity where the shape is kept, else a 1x1 convolution and a norm."""
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


def build(config: BackboneConfig) -> ResNet:
    """ResNet of the configured depth.

    Raises:
        UserError: a depth there is no ResNet of.
    """
    if config.depth not in DEPTHS:
        raise unknown("ResNet depth", str(config.depth), map(str, DEPTHS))
    return ResNet(config.depth, config.last_stride, config.stem_activation, config.ibn)
