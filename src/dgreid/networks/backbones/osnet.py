"""OSNet (Zhou et al., ICCV 2019), OSNet-IBN and OSNet-AIN (Zhou et al., TPAMI 2021) in torchreid's names.

A block reduces the channels, looks at four neighbourhoods by streams of one to four light convolutions,
weighs the channels of every stream by one gate that all four share, and adds the sum to its input. The
feature is torchreid's: `pool` averages conv5's maps and runs `fc`, a linear layer with norm and ReLU, so that
it has 512 channels at every width and no negative values.

| parameters at width | 1.0 | 0.75 | 0.5 | 0.25 |
|---|---|---|---|---|
| with `fc`, without torchreid's classifier | 2,169,508 | 1,285,754 | 630,034 | 201,864 |

IBN has 1,024 more, AIN as many. (torchreid's own report of complexity counts a gate once for each of its
four streams: 2,193,616 at width 1.0.) Names, order and shapes are torchreid's: its weight files fit as they
are. A conversion of norms (`method.norm`) concerns the batch norms of maps: instance norms stay where IBN and
AIN put them, and so does the norm in `fc`, which sees no maps.
"""

from collections import OrderedDict
from typing import Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dgreid.networks.backbone import Backbone, average, initialise
from dgreid.networks.config import BackboneOptions
from dgreid.networks.norms.instance import InstanceNorm2d

Place = Literal["none", "sum", "branch"]

CHANNELS = (64, 256, 384, 512)  # of the stem and of conv2 to conv4, at width 1
FEATURES = 512  # of fc, at every width
STREAMS = 4
# where each block of conv2, conv3 and conv4 has an instance norm: nowhere, on the sum, or on the branch
PLACES: dict[str, tuple[tuple[Place, Place], ...]] = {
    "plain": (("none", "none"), ("none", "none"), ("none", "none")),
    "ibn": (("sum", "sum"), ("none", "none"), ("none", "none")),
    "ain": (("branch", "branch"), ("none", "branch"), ("branch", "none")),  # found by the paper's search
}


class Options(BackboneOptions):
    """OSNet's options."""

    width: float = Field(
        1.0, ge=0.25, le=16, description="multiplier of the maps' channels; features have 512"
    )
    variant: Literal["plain", "ibn", "ain"] = Field(
        "plain",
        description="ibn: instance norms in the stem and on the sums of conv2; ain: in the stem and on the "
        "branches that the paper's search found",
    )


class OSNet(Backbone):
    """(N, 3, H, W) -> (N, 512 width, H/16, W/16), pooled to (N, 512)."""

    channels = FEATURES
    pool_layers = ("fc",)
    classifiers = ("classifier.",)  # fc is no classifier here

    def __init__(self, width: float = 1.0, variant: Literal["plain", "ibn", "ain"] = "plain"):
        super().__init__()
        stem, *widths = (int(channels * width) for channels in CHANNELS)
        self.conv1 = ConvLayer(3, stem, 7, 2, norm=nn.BatchNorm2d if variant == "plain" else InstanceNorm2d)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        stages, inputs = [], stem
        for number, (outputs, places) in enumerate(zip(widths, PLACES[variant], strict=True), 2):
            blocks = [OSBlock(inputs, outputs, places[0], listed=variant == "ain")]
            blocks += [OSBlock(outputs, outputs, places[1], listed=variant == "ain")]
            halving = [nn.Sequential(ConvLayer(outputs, outputs), nn.AvgPool2d(2))] if number < 4 else []
            if variant == "ain":  # names the halving of the resolution; the others count it among the blocks
                parts = {f"conv{number}": blocks, **({f"pool{number}": halving[0]} if halving else {})}
            else:
                parts = {f"conv{number}": blocks + halving}
            for name, modules in parts.items():
                self.add_module(name, nn.Sequential(*modules))
            stages += [(name, outputs) for name in parts]
            inputs = outputs
        self.conv5 = ConvLayer(inputs, inputs)
        self.fc = nn.Sequential(nn.Linear(inputs, FEATURES), nn.BatchNorm1d(FEATURES), nn.ReLU())
        self.stages = (*stages, ("conv5", inputs))
        self.shallow_stages = len(stages) - 1  # all blocks but those of conv4, as in ResNets
        self.weight_name = weight_name(width, variant)
        self.weight_hint = f"for OSNet take torchreid's {self.weight_name}_imagenet.pth, whose names are ours"
        self.initialise()

    def initialise(self) -> None:
        """Draw weights as torchreid does: He et al.'s for convolutions, N(0, .01) for fc; biases are 0."""
        initialise(self)
        nn.init.normal_(self.fc[0].weight, std=0.01)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def enter(self, images: Tensor) -> Tensor:
        """Compute the stem, (N, 3, H, W) -> (N, 64 width, H/4, W/4)."""
        return self.maxpool(self.conv1(images))

    def pool(self, maps: Tensor) -> Tensor:
        """Average maps and run `fc`, (N, 512 width, h, w) -> (N, 512), values of at least 0."""
        return self.fc(average(maps))


class ConvLayer(nn.Module):
    """Convolution without bias, then its norm and a ReLU, if it has them."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        norm: type[nn.Module] = nn.BatchNorm2d,
        active: bool = True,
    ):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.Identity() if norm is nn.Identity else norm(outputs)
        self.relu = nn.ReLU(inplace=True) if active else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layer, (N, C, H, W) -> (N, C', H/stride, W/stride)."""
        return self.relu(self.bn(self.conv(x)))


class LightConv3x3(nn.Module):
    """A linear 1x1 convolution, then a depthwise 3x3 one with norm and ReLU."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layer, (N, C, H, W) -> (N, C, H, W)."""
        return self.relu(self.bn(self.conv2(self.conv1(x))))


class ChannelGate(nn.Module):
    """Weighs each channel of an image by a number in (0, 1) computed from the channels' means."""

    def __init__(self, channels: int):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // 16, 1)
        self.fc2 = nn.Conv2d(channels // 16, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Weigh, (N, C, H, W) -> (N, C, H, W)."""
        return x * self.fc2(F.relu(self.fc1(F.adaptive_avg_pool2d(x, 1)))).sigmoid()


class OSBlock(nn.Module):
    """The omni-scale residual block.

    Args:
        inputs: channels before.
        outputs: channels after; the streams have a quarter of them.
        norm: place of an instance norm: nowhere; on the `sum`, after the addition and before the ReLU; on the
            `branch`, before the addition, in place of the batch norm of conv3.
        listed: the streams are named as in torchreid's OSNet-AIN, conv2.0 to conv2.3, not conv2a to conv2d.
    """

    def __init__(self, inputs: int, outputs: int, norm: Place = "none", listed: bool = False):
        super().__init__()
        width = outputs // 4
        self.norm, self.listed = norm, listed
        self.conv1 = ConvLayer(inputs, width)
        chains = [
            nn.Sequential(*(LightConv3x3(width) for _ in range(length))) for length in range(1, STREAMS + 1)
        ]
        if listed:
            self.conv2 = nn.ModuleList(nn.Sequential(OrderedDict(layers=chain)) for chain in chains)
        else:
            self.conv2a = chains[0][0]
            self.conv2b, self.conv2c, self.conv2d = chains[1:]
        self.gate = ChannelGate(width)
        last = nn.Identity if norm == "branch" else nn.BatchNorm2d
        self.conv3 = ConvLayer(width, outputs, norm=last, active=False)
        self.downsample = nn.Identity() if inputs == outputs else ConvLayer(inputs, outputs, active=False)
        self.IN = nn.Identity() if norm == "none" else InstanceNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block, (N, C, H, W) -> (N, C', H, W)."""
        reduced = self.conv1(x)
        streams = self.conv2 if self.listed else (self.conv2a, self.conv2b, self.conv2c, self.conv2d)
        branch = self.conv3(sum(self.gate(stream(reduced)) for stream in streams))
        if self.norm == "branch":
            return F.relu(self.IN(branch) + self.downsample(x))
        return F.relu(self.IN(branch + self.downsample(x)))


def weight_name(width: float, variant: str) -> str:
    """Return torchreid's name of the network, such as osnet_x0_25 or osnet_ain_x1_0."""
    middle = "" if variant == "plain" else f"_{variant}"
    size = f"{width:.2f}".removesuffix("0").replace(".", "_")
    return f"osnet{middle}_x{size}"


def build(options: Options, size: tuple[int, int] | None = None) -> OSNet:
    """Build an OSNet of the configured width and variant, for images of any size."""
    return OSNet(options.width, options.variant)
