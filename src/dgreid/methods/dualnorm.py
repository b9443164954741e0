"""DualNorm (Jia et al., Frustratingly Easy Person Re-Identification, BMVC 2019).

Instance norms, added to the existing batch norms, remove style in shallow layers; the batch norm before the
classifier (the neck) normalises content. The network trains by cross-entropy alone; at test time the features
of an image and of its mirror image are added.

MetaBIN compares itself with another network that it also calls DualNorm, whose shallow norms are replaced by
instance norms: that is `dualnorm_metabin.yaml`, a configuration of `erm`.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dgreid.errors import UserError
from dgreid.images.batch import Batch, Sampler
from dgreid.methods.base import Method, MethodOptions, Task
from dgreid.methods.parts.network import Network
from dgreid.methods.parts.optimise import descend, optimiser, set_rate
from dgreid.methods.recipe import RecipeConfig
from dgreid.networks.backbones.mobilenet_v2 import ConvNorm, MobileNetV2
from dgreid.networks.backbones.resnet import ResNet
from dgreid.networks.backbones.resnet_tiny import ResNetTiny
from dgreid.networks.norms.instance import InstanceNorm2d


class Options(MethodOptions):
    """DualNorm's options; defaults as released for MobileNetV2."""

    label_smoothing: float = Field(0.1, ge=0, lt=1, description="probability spread over all classes")
    head_rate: float = Field(
        1.0, gt=0, le=1000, description="rate of neck and classifier relative to the backbone's"
    )
    nesterov: bool = Field(True, description="use Nesterov momentum in SGD")


class DualNorm(Method):
    """Backbone with additional instance norms, BNNeck and classifier, one step per iteration."""

    def __init__(self, options: Options, backbone: nn.Module, recipe: RecipeConfig, task: Task):
        super().__init__(options, recipe, task)
        normalise_style(backbone)
        self.network = Network(backbone, "batch", recipe, task.classes)
        parts: dict[str, list] = {"backbone": [], "head": []}
        for name, parameter in self.network.named_parameters():
            parts["backbone" if name.startswith("backbone.") else "head"].append((name, parameter))
        rates = {"backbone": options.learning_rate, "head": options.learning_rate * options.head_rate}
        self.optimisers = {
            part: optimiser(parameters, recipe, rates[part], options.nesterov)
            for part, parameters in parts.items()
        }
        self.samplers = {"base": Sampler("random")}

    def step(self, batches: Mapping[str, Sequence[Batch]], iteration: int) -> dict[str, Tensor]:
        """Take one step down the cross-entropy."""
        for each in self.optimisers.values():
            set_rate(each, self.recipe, self.task, iteration)
        batch = batches["base"][0]
        logits = self.network.logits(self.network(batch.images))  # (N, classes)
        loss = F.cross_entropy(logits, batch.identities, label_smoothing=self.options.label_smoothing)
        descend(loss, *self.optimisers.values())
        return {"cross_entropy": loss.detach()}

    def embed(self, images: Tensor) -> Tensor:
        """Add the neck's outputs for the images and their mirror images, (N, 3, H, W) -> (N, C)."""
        return self.network.embed(images) + self.network.embed(images.flip(-1))


def normalise_style(backbone: nn.Module) -> None:
    """Put DualNorm's instance norms into a backbone, in place.

    MobileNetV2 gets one in place of the stem's batch norm, after a convolution that now has a bias, and one
    on the output of every block of 16 to 96 channels, after the addition. ResNet gets one in the last block
    of layers 1 to 3, between the addition and the last ReLU. The small ResNet, which the paper does not use,
    is treated likewise: blocks 0 and 1 of three. All have affine maps and start at weight 1, bias 0.

    Raises:
        UserError: the backbone is of another kind.
    """
    if isinstance(backbone, MobileNetV2):
        backbone.stem = _instance_stem(backbone.stem)
    elif not isinstance(backbone, (ResNet, ResNetTiny)):
        raise UserError(
            f"DualNorm is defined for MobileNetV2 and ResNets, not for {type(backbone).__name__}: choose one."
        )
    for block, channels in _blocks(backbone):
        block.output_norm = InstanceNorm2d(channels)


def _instance_stem(stem: ConvNorm) -> ConvNorm:
    """Give the stem's convolution a bias and put an instance norm after it."""
    conv = stem.conv
    biased = nn.Conv2d(
        conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, bias=True
    )
    with torch.no_grad():
        biased.weight.copy_(conv.weight)
        biased.bias.zero_()
    stem.conv, stem.bn = biased, InstanceNorm2d(conv.out_channels)
    return stem


def _blocks(backbone: nn.Module) -> Iterator[tuple[nn.Module, int]]:
    """Yield the blocks whose output is normalised, each with its output channels."""
    for name, channels in backbone.stages[: backbone.shallow_stages]:
        stage = backbone.get_submodule(name)
        if isinstance(backbone, MobileNetV2):
            yield from ((block, block.project.conv.out_channels) for block in stage)
        else:
            yield (stage[-1] if isinstance(stage, nn.Sequential) else stage), channels


METHOD = DualNorm
