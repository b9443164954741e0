"""ResNet (He et al., CVPR 2016) in torchvision's layout and names, without pooling and classifier.

The stride of a bottleneck sits in its 3x3 convolution; `last_stride` 1 keeps the resolution in layer4.

IBN-Net (Pan et al., ECCV 2018): variant a normalises half of the channels of every `bn1` in layers 1 to 3 by
instance; variant b has an instance norm in the stem and one after the last addition of layers 1 and 2.
"""

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from dgreid.networks.backbone import initialise
from dgreid.networks.blocks import BasicBlock, Bottleneck, IbnBackbone, ibn_net
from dgreid.networks.config import BackboneOptions, IbnOptions


class Options(IbnOptions):
    """ResNet's options."""

    depth: Literal[18, 34, 50, 101, 152] = Field(description="number of layers")
    last_stride: Literal[1, 2] = Field(1, description="stride of layer4; 1 keeps its resolution")
    stem_activation: bool = Field(True, description="put an activation after the stem's norm")
    stem_pool: Literal["padded", "ceil"] = Field(
        "padded",
        description="padded: by 1 (torchvision); ceil: no padding, sizes rounded up (META, ACL)",
    )


DEPTHS = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


class ResNet(IbnBackbone):
    """(N, 3, H, W) -> (N, C, H/16, W/16), or H/32, W/32 with `last_stride` 2; C = 512 or 2048."""

    shallow_stages = 3  # where DualNorm removes style

    def __init__(
        self,
        depth: int = 50,
        last_stride: int = 1,
        stem_activation: bool = True,
        stem_pool: Literal["padded", "ceil"] = "padded",
        ibn: str = "none",
        ibn_weights: Literal["sliced", "fresh"] = "sliced",
    ):
        super().__init__()
        self.weight_name = self.torchvision_name = f"resnet{depth}"
        self.ibn, self.ibn_weights = ibn, ibn_weights
        norms = ibn_net() if ibn != "none" else None
        block, repeats = DEPTHS[depth]
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = norms.InstanceNorm2d(64) if ibn == "b" else nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True) if stem_activation else nn.Identity()
        self.maxpool = nn.MaxPool2d(3, 2, 1) if stem_pool == "padded" else nn.MaxPool2d(3, 2, ceil_mode=True)
        inputs = 64
        strides = (1, 2, 2, last_stride)
        for stage, (count, stride) in enumerate(zip(repeats, strides, strict=True)):
            width = 64 * 2**stage
            norm = norms.IBN if ibn == "a" and stage < 3 else nn.BatchNorm2d
            blocks = []
            for index in range(count):
                blocks.append(block(inputs, width, stride if index == 0 else 1, norm))
                inputs = width * block.expansion
            if ibn == "b" and stage < 2:
                blocks[-1].output_norm = norms.InstanceNorm2d(inputs)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.channels = inputs
        self.stages = tuple((f"layer{i + 1}", 64 * 2**i * block.expansion) for i in range(len(repeats)))
        self.style_places = tuple(  # between the addition and the last activation of a stage's last block
            (f"{name}.{count - 1}.output_norm", channels)
            for (name, channels), count in zip(self.stages[: self.shallow_stages], repeats, strict=False)
        )
        initialise(self)

    def enter(self, images: Tensor) -> Tensor:
        """Compute the stem, (N, 3, H, W) -> (N, 64, H/4, W/4)."""
        return self.maxpool(self.relu(self.bn1(self.conv1(images))))


def build(options: Options, size: tuple[int, int] | None = None) -> ResNet:
    """Build a ResNet of the configured depth, for images of any size."""
    return ResNet(**options.model_dump(exclude=set(BackboneOptions.model_fields)))
