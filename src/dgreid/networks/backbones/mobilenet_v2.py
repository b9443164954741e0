"""MobileNetV2 (Sandler et al., CVPR 2018) as person re-identification uses it.

It differs from torchvision's: channels are truncated, int(c * width), not rounded to eights; the first block
also has an expansion convolution, so that there are 53 norms (17 088 channels at width 1.0, 23 822 at 1.4);
the stage of 160 channels keeps its resolution by default (`last_stride` 1). With `first_expansion` false and
`last_stride` 2 a network of width 1.0 is torchvision's: 52 norms, 2 223 872 parameters. The paper's seven
stages form four layers, as in a ResNet: a layer ends before the next stride. `head` is the last convolution.
"""

import logging
from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from dgreid.networks.backbone import Backbone, initialise, rename
from dgreid.networks.config import BackboneOptions

log = logging.getLogger(__name__)

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
LAYERS = ((0, 1), (2,), (3, 4), (5, 6))  # stages by resolution; they end with 24, 32, 96, 320 channels


class Options(BackboneOptions):
    """MobileNetV2's options."""

    width: float = Field(1.0, gt=0, le=16, description="multiplier of the channels")
    last_stride: Literal[1, 2] = Field(
        1, description="stride of the stage with 160 channels; 1 keeps its resolution"
    )
    stem_activation: bool = Field(True, description="put an activation after the stem's norm")
    first_expansion: bool = Field(
        True, description="the first block has an expansion too, as torchreid's; torchvision's has none"
    )


class MobileNetV2(Backbone):
    """(N, 3, H, W) -> (N, C, H/16, W/16), or H/32, W/32 with `last_stride` 2; C = int(1280 * width)."""

    shallow_stages = 3  # up to 96 channels; where DualNorm removes style
    style_stem = ("stem.conv", "stem.bn")
    weight_hint = "for MobileNetV2 x1.4 take torchreid's mobilenetv2_1.4.pth, whose layout is supported"

    def __init__(
        self,
        width: float = 1.0,
        last_stride: int = 1,
        stem_activation: bool = True,
        first_expansion: bool = True,
    ):
        super().__init__()
        inputs = int(32 * width)
        self.stem = ConvNorm(3, inputs, kernel=3, stride=2, active=stem_activation)
        stages, places = [], []
        for layer, members in enumerate(LAYERS):
            blocks = []
            for stage in members:
                expansion, channels, repeats, stride = STAGES[stage]
                stride = last_stride if stage == LAST_STRIDE_STAGE else stride
                outputs = int(channels * width)
                for repeat in range(repeats):
                    if layer < self.shallow_stages:  # on the output of every block, after the addition
                        places.append((f"layer{layer + 1}.{len(blocks)}.output_norm", outputs))
                    expand = expansion > 1 or first_expansion
                    step = stride if repeat == 0 else 1
                    blocks.append(InvertedResidual(inputs, outputs, expansion, step, expand))
                    inputs = outputs
            setattr(self, f"layer{layer + 1}", nn.Sequential(*blocks))
            stages.append((f"layer{layer + 1}", inputs))
        self.weight_name = f"mobilenet_v2_x{f'{width:.2f}'.removesuffix('0').replace('.', '_')}"
        self.torchvision_name = "mobilenet_v2" if width == 1 else None
        self.channels = int(1280 * width)
        self.head = ConvNorm(inputs, self.channels)
        self.stages = (*stages, ("head", self.channels))
        self.style_places = tuple(places)
        initialise(self)

    def enter(self, images: Tensor) -> Tensor:
        """Compute the stem, (N, 3, H, W) -> (N, 32 * width, H/2, W/2)."""
        return self.stem(images)

    def translate(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Rename the tensors of a torchvision or torchreid MobileNetV2; leave others unchanged."""
        if "features.0.0.weight" in state:
            table, layout = _torchvision_table(), "torchvision"
        elif "conv1.conv.weight" in state:
            table, layout = torchreid_table(), "torchreid"
        else:
            return state
        renamed = rename(state, table)
        log.info("%d tensors renamed from the %s layout", len(renamed), layout)
        stem = {"stem.bn.weight", "stem.bn.bias"}  # without these the file does not fit anyway
        expands = isinstance(self.layer1[0].expand, ConvNorm)
        if layout == "torchvision" and expands and stem <= renamed.keys():
            renamed |= _identity_expansion(self, renamed)
            log.info("first block: the expansion, which torchvision does not have, starts as an identity")
        return renamed


class InvertedResidual(nn.Module):
    """1x1 expansion if `expand`, 3x3 depthwise, 1x1 linear projection; a skip if the shape stays.

    A method may set `output_norm` to a norm of the output, after the addition.
    """

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int, expand: bool = True):
        super().__init__()
        hidden = inputs * expansion
        self.skip = stride == 1 and inputs == outputs
        self.expand = ConvNorm(inputs, hidden) if expand else nn.Identity()
        self.depthwise = ConvNorm(hidden, hidden, kernel=3, stride=stride, groups=hidden)
        self.project = ConvNorm(hidden, outputs, active=False)
        self.output_norm = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block, (N, C, H, W) -> (N, C', H/stride, W/stride)."""
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
        """Compute the layer, (N, C, H, W) -> (N, C', h, w)."""
        return self.activation(self.bn(self.conv(x)))


def _identity_expansion(network: MobileNetV2, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Make a 1x1 convolution and a norm that change nothing; the ReLU6 after them follows another ReLU6.

    At test time any norm whose affine map undoes its running statistics is the identity. In training a norm
    uses the batch's statistics instead, so the running ones must be close to those: the stem's norm outputs
    approximately Gaussians of mean `bias` and deviation `weight`, which ReLU6 clips. If mean 0 and deviation
    1 were used instead, the first step would cut off all values below the mean.
    """
    channels = network.layer1[0].expand.conv.out_channels
    mean, variance = clipped_gaussian(state["stem.bn.bias"], state["stem.bn.weight"].abs())
    scale = (variance + network.layer1[0].expand.bn.eps).sqrt()
    return {
        "layer1.0.expand.conv.weight": torch.eye(channels)[:, :, None, None],
        "layer1.0.expand.bn.weight": scale,
        "layer1.0.expand.bn.bias": mean,
        "layer1.0.expand.bn.running_mean": mean,
        "layer1.0.expand.bn.running_var": variance,
    }


def clipped_gaussian(mean: Tensor, deviation: Tensor, top: float = 6.0) -> tuple[Tensor, Tensor]:
    """Compute mean and variance, (C,) each, of a Gaussian clipped to [0, top], as ReLU6 clips it."""
    dtype = mean.dtype
    mean, deviation = mean.double(), deviation.double().clamp_min(1e-12)
    low, high = -mean / deviation, (top - mean) / deviation
    above = torch.special.ndtr(-high)
    inside = 1 - torch.special.ndtr(low) - above
    at_low, at_high = (torch.exp(-(x**2) / 2) / (2 * torch.pi) ** 0.5 for x in (low, high))
    first = mean * inside + deviation * (at_low - at_high) + top * above
    second = (mean**2 + deviation**2) * inside + top**2 * above
    second += deviation * (mean * (at_low - at_high) - top * at_high)
    return first.to(dtype), (second - first**2).clamp_min(0).to(dtype)


def _torchvision_table() -> dict[str, str]:
    """Map torchvision's module names to ours; its first block lacks the expansion."""
    table = {"features.0.0": "stem.conv", "features.0.1": "stem.bn"}
    blocks = [name for stage in _block_names() for name in stage]
    for index, ours in enumerate(blocks):
        theirs = f"features.{index + 1}.conv"
        parts = ("depthwise",) if index == 0 else ("expand", "depthwise")
        for place, part in enumerate(parts):
            table[f"{theirs}.{place}.0"] = f"{ours}.{part}.conv"
            table[f"{theirs}.{place}.1"] = f"{ours}.{part}.bn"
        table[f"{theirs}.{len(parts)}"] = f"{ours}.project.conv"
        table[f"{theirs}.{len(parts) + 1}"] = f"{ours}.project.bn"
    head = f"features.{len(blocks) + 1}"
    return table | {f"{head}.0": "head.conv", f"{head}.1": "head.bn"}


def torchreid_table() -> dict[str, str]:
    """Map torchreid's module names to ours: conv1, then one module per stage, then the head."""
    table = {"conv1.conv": "stem.conv", "conv1.bn": "stem.bn"}
    for stage, blocks in enumerate(_block_names()):
        for repeat, ours in enumerate(blocks):
            theirs = f"conv{stage + 2}.{repeat}"
            for their, our in (("conv1", "expand"), ("dwconv2", "depthwise")):
                table[f"{theirs}.{their}.conv"] = f"{ours}.{our}.conv"
                table[f"{theirs}.{their}.bn"] = f"{ours}.{our}.bn"
            table[f"{theirs}.conv3.0"] = f"{ours}.project.conv"
            table[f"{theirs}.conv3.1"] = f"{ours}.project.bn"
    head = f"conv{len(STAGES) + 2}"
    return table | {f"{head}.conv": "head.conv", f"{head}.bn": "head.bn"}


def _block_names() -> list[list[str]]:
    """List our names of the blocks, one list for each of the paper's seven stages."""
    names = []
    for layer, stages in enumerate(LAYERS):
        first = 0
        for stage in stages:
            repeats = STAGES[stage][2]
            names.append([f"layer{layer + 1}.{first + repeat}" for repeat in range(repeats)])
            first += repeats
    return names


def build(options: Options, size: tuple[int, int] | None = None) -> MobileNetV2:
    """Build a MobileNetV2 of the configured width, for images of any size."""
    return MobileNetV2(options.width, options.last_stride, options.stem_activation, options.first_expansion)
