"""DualNorm (Jia et al., Frustratingly Easy Person Re-Identification, BMVC 2019).

Instance norms, added to the existing batch norms, remove style in shallow layers; the batch norm before the
classifier (the neck) normalises content. The network trains by cross-entropy alone; at test time the features
of an image and of its mirror image are added.

MetaBIN compares itself with another network that it also calls DualNorm, whose shallow norms are replaced by
instance norms: that is `dualnorm_metabin.yaml`, a configuration of `erm`.
"""

from collections.abc import Mapping, Sequence

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
    """Put DualNorm's instance norms into a backbone, in place, where it declares `style_places`.

    MobileNetV2 gets one on the output of every block of 16 to 96 channels, after the addition, and one in
    place of the stem's batch norm, after a convolution that now has a bias (`style_stem`). ResNet gets one in
    the last block of layers 1 to 3, between the addition and the last ReLU. The small ResNet, which the paper
    does not use, is treated likewise: blocks 0 and 1 of three. All have affine maps and start at weight 1,
    bias 0.

    Raises:
        UserError: the backbone declares no places, or has a norm at one of them.
    """
    places = getattr(backbone, "style_places", ())
    if not places:
        raise UserError(
            "DualNorm is defined for backbones that declare `style_places`, such as MobileNetV2 and ResNets, "
            f"not for {type(backbone).__name__}: choose one."
        )
    if backbone.style_stem:
        normalise_stem(backbone, *backbone.style_stem)
    for name, channels in places:
        if not isinstance(backbone.get_submodule(name), nn.Identity):
            raise UserError(
                f"DualNorm puts a norm at {name}, where this {type(backbone).__name__} already has one: "
                "choose a backbone without it."
            )
        backbone.set_submodule(name, InstanceNorm2d(channels))


def normalise_stem(backbone: nn.Module, convolution: str, norm: str) -> None:
    """Give the stem's convolution a bias and put an instance norm after it."""
    conv = backbone.get_submodule(convolution)
    biased = nn.Conv2d(
        conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, bias=True
    )
    with torch.no_grad():
        biased.weight.copy_(conv.weight)
        biased.bias.zero_()
    backbone.set_submodule(convolution, biased)
    backbone.set_submodule(norm, InstanceNorm2d(conv.out_channels))


METHOD = DualNorm
