"""MobileNetV2 (Sandler et al., CVPR 2018) as person re-identification uses it.

Differs from torchvision's: channels are truncated, int(c * width), not rounded to eights; the first block
too has an expansion convolution, so that there are 53 norms (17 088 channels at width 1.0, 23 822 at 1.4);
the stage of 160 channels keeps its resolution by default (`last_stride` 1).
"""

from torch import Tensor, nn

from dgreid.config import BackboneConfig

# expansion, channels, blocks, stride of the first block (Table 2 of the paper)
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
LAST_STRIDE_STAGE = 5


class MobileNetV2(nn.Module):
    """(N, 3, H, W) -> (N, C, H/16, W/16), or H/32, W/32 with `last_stride` 2; C = int(1280 * width)."""

    def __init__(self, width: float = 1.0, last_stride: int = 1):
        super().__init__()
        inputs = int(32 * width)
        self.stem = ConvNorm(3, inputs, kernel=3, stride=2)
        blocks = []
        for stage, (expansion, channels, repeats, stride) in enumerate(STAGES):
            stride = last_stride if stage == LAST_STRIDE_STAGE else stride
            outputs = int(channels * width)
            for repeat in range(repeats):
                blocks.append(InvertedResidual(inputs, outputs, expansion, stride if repeat == 0 else 1))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.channels = int(1280 * width)
        self.head = ConvNorm(inputs, self.channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, C, h, w)."""
        return self.head(self.blocks(self.stem(x)))


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, 1x1 linear projection; skip if shape is kept."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int):
        super().__init__()
        hidden = inputs * expansion
        self.skip = stride == 1 and inputs == outputs
        self.expand = ConvNorm(inputs, hidden)
        self.depthwise = ConvNorm(hidden, hidden, kernel=3, stride=stride, groups=hidden)
        self.project = ConvNorm(hidden, outputs, active=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H/stride, W/stride)."""
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.skip else y


class ConvNorm(nn.Module):
    """Convolution without bias, norm, ReLU6 if `active`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        active: bool = True,
    ):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.activation = nn.ReLU6(inplace=True) if active else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', h, w)."""
        return self.activation(self.bn(self.conv(x)))


def build(config: BackboneConfig) -> MobileNetV2:
    """MobileNetV2 of the configured width."""
    return MobileNetV2(config.width, config.last_stride)
