"""MobileNetV2 (Sandler et al., CVPR 2018) as person re-identification uses it.

Differs from torchvision's: channels are truncated, int(c * width), not rounded to eights; the first block
too has an expansion convolution, so that there are 53 norms (17 088 channels at width 1.0, 23 822 at 1.4);
the stage of 160 channels keeps its resolution by default (`last_stride` 1). The seven stages of the paper
stand in four layers, as in a ResNet: a layer ends before the next stride. `head` is the last convolution.
"""

from torch import Tensor, nn

from dgreid.errors import UserError
from dgreid.networks.config import BackboneConfig

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
LAYERS = ((0, 1), (2,), (3, 4), (5, 6))  # stages by resolution: 24, 32, 96 and 320 channels at their ends


class MobileNetV2(nn.Module):
    """(N, 3, H, W) -> (N, C, H/16, W/16), or H/32, W/32 with `last_stride` 2; C = int(1280 * width)."""

    shallow_stages = 3  # up to 96 channels: where DualNorm removes style

    def __init__(self, width: float = 1.0, last_stride: int = 1, stem_activation: bool = True):
        super().__init__()
        inputs = int(32 * width)
        self.stem = ConvNorm(3, inputs, kernel=3, stride=2, active=stem_activation)
        stages = []
        for layer, members in enumerate(LAYERS):
            blocks = []
            for stage in members:
                expansion, channels, repeats, stride = STAGES[stage]
                stride = last_stride if stage == LAST_STRIDE_STAGE else stride
                outputs = int(channels * width)
                for repeat in range(repeats):
                    blocks.append(InvertedResidual(inputs, outputs, expansion, stride if repeat == 0 else 1))
                    inputs = outputs
            setattr(self, f"layer{layer + 1}", nn.Sequential(*blocks))
            stages.append((f"layer{layer + 1}", inputs))
        self.channels = int(1280 * width)
        self.head = ConvNorm(inputs, self.channels)
        self.stages = (*stages, ("head", self.channels))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, C, h, w)."""
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        return self.head(x)


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise, 1x1 linear projection; skip if shape is kept.

    `output_norm` is free for a norm of the output, after the addition.
    """

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int):
        super().__init__()
        hidden = inputs * expansion
        self.skip = stride == 1 and inputs == outputs
        self.expand = ConvNorm(inputs, hidden)
        self.depthwise = ConvNorm(hidden, hidden, kernel=3, stride=stride, groups=hidden)
        self.project = ConvNorm(hidden, outputs, active=False)
        self.output_norm = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H/stride, W/stride)."""
        y = self.project(self.depthwise(self.expand(x)))
        return self.output_norm(x + y if self.skip else y)


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
    """MobileNetV2 of the configured width.

    Raises:
        UserError: an IBN variant, which is a ResNet's.
    """
    if config.ibn != "none":
        raise UserError(f"backbone {config.name}: ibn {config.ibn} is a ResNet's; set it to none.")
    return MobileNetV2(config.width, config.last_stride, config.stem_activation)
