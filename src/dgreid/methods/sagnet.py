"""SagNet (Nam et al., Reducing Domain Gap by Reducing Style Bias, CVPR 2021).

The maps z of an early stage have a style, each channel's mean and variance, and a content, what is left when
they are normalised away. Two networks go on from z:

    style net:    later stages on CR(z), the own style on another image's content
    content net:  later stages on SR(z), the own content in a style between the own and another image's

    1. style        CE(style net)                                  -> the style net
    2. adversarial  0.1 mean(-log(softmax(style net) + 1e-5))      -> the batch norms before z; norm clipped
    3. content      CE + triplet loss (content net)                -> the content net, early stages included

All gradients are those of one forward pass and are computed before any of the three steps: the release, which
steps between backward passes, stops with an error since torch 1.5. At test time only the content net is used,
and nothing is random.

The paper has no re-identification. Heads are those of the strong baseline: BNNeck and classifier in both
networks in place of dropout and classifier, and the triplet loss on the content feature before the neck. The
release's third optimiser also holds the style net, which it decays without a gradient; ours does not.
"""

import copy
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dgreid.errors import UserError
from dgreid.images.batch import Batch, Sampler
from dgreid.losses import batch_hard_triplet, smoothed_cross_entropy
from dgreid.methods.base import Method, MethodOptions, Task
from dgreid.methods.parts.network import Network, pooled
from dgreid.methods.parts.optimise import optimiser, set_rate
from dgreid.methods.recipe import RecipeConfig
from dgreid.networks.backbone import Backbone, stages_of

EPS = 1e-5  # added to variances and, in the adversarial loss, to probabilities


class Options(MethodOptions):
    """SagNet's options; defaults as released, where the release has them."""

    base_sampler: Literal["pk", "pk_per_domain"] = Field(
        "pk_per_domain",
        description="pk: identities of all sources pooled; pk_per_domain: the same number from each",
    )
    style_stage: int = Field(
        3, ge=2, le=100, description="z is the input of this stage of the backbone, counted from 1"
    )
    adversarial_weight: float = Field(0.1, gt=0, le=1e6, description="of the adversarial loss")
    adversarial_clip: float = Field(
        0.1, gt=0, le=1e6, description="greatest norm of the adversarial loss's gradient"
    )
    label_smoothing: float = Field(
        0.1, ge=0, lt=1, description="probability of all wrong classes; the style net has none"
    )
    margin: float = Field(0.3, ge=0, le=100, description="of the triplet loss")


class SagNet(Method):
    """Content net and style net on common early stages, three optimiser steps per iteration.

    Raises:
        UserError: the backbone has too few stages, or no batch norms before the style stage.
    """

    def __init__(self, options: Options, backbone: nn.Module, recipe: RecipeConfig, task: Task):
        super().__init__(options, recipe, task)
        stages, early = stages_of(backbone, least=options.style_stage), options.style_stage - 1
        later = [name for name, _ in stages[early:]]
        self.style = Network(LaterStages(backbone, later), "batch", recipe, task.classes)
        backbone.split = Split()
        backbone.stages = (*stages[:early], ("split", stages[early - 1][1]), *stages[early:])
        self.network = Network(backbone, "batch", recipe, task.classes)
        parameters = {
            "style": self.style.named_parameters(),
            "adversarial": affine_maps(backbone, later),
            "main": self.network.named_parameters(),
        }
        self.optimisers = {
            name: optimiser(learned, recipe, options.learning_rate) for name, learned in parameters.items()
        }
        self.samplers = {"base": Sampler(options.base_sampler)}

    def step(self, batches: Mapping[str, Sequence[Batch]], iteration: int) -> dict[str, Tensor]:
        """Compute the gradients of the three losses, then take a step down each."""
        batch, options = batches["base"][0], self.options
        features = self.network(batch.images)  # (N, C), styles randomised
        styles = self.style.logits(self.style(self.network.backbone.split.take()))  # (N, classes)
        losses = {
            "cross_entropy": smoothed_cross_entropy(
                self.network.logits(features), batch.identities, options.label_smoothing
            ),
            "triplet": batch_hard_triplet(features, batch.identities, options.margin),
            "style": F.cross_entropy(styles, batch.identities),
            "adversarial": options.adversarial_weight * adversarial_loss(styles),
        }
        content = losses["cross_entropy"] + losses["triplet"]
        gradients = {
            "style": self.gradients("style", losses["style"]),
            "adversarial": self.gradients("adversarial", losses["adversarial"]),
            "main": self.gradients("main", content),
        }
        for name, values in gradients.items():
            self.descend(name, values, iteration)
        return {name: loss.detach() for name, loss in losses.items()}

    def gradients(self, name: str, loss: Tensor) -> Sequence[Tensor | None]:
        """Compute the gradient of `loss` by the parameters of the optimiser `name`, whose graph stays."""
        return torch.autograd.grad(loss, self.learned(name), retain_graph=True, allow_unused=True)

    def descend(self, name: str, gradients: Sequence[Tensor | None], iteration: int) -> None:
        """Take a step of the optimiser `name`; the adversarial gradient is clipped."""
        learned, chosen = self.learned(name), self.optimisers[name]
        for parameter, gradient in zip(learned, gradients, strict=True):
            parameter.grad = gradient
        if name == "adversarial":
            nn.utils.clip_grad_norm_(learned, self.options.adversarial_clip)
        set_rate(chosen, self.recipe, self.task, iteration)
        chosen.step()
        chosen.zero_grad(set_to_none=True)

    def learned(self, name: str) -> list[nn.Parameter]:
        """List the parameters of the optimiser `name`."""
        return [parameter for group in self.optimisers[name].param_groups for parameter in group["params"]]


class Split(nn.Module):
    """The place of z: in training it passes on SR(z), and keeps CR(z) for the style net; else it is z."""

    content_randomised: Tensor | None = None

    def forward(self, maps: Tensor) -> Tensor:
        """Randomise, content first (as released), (N, C, h, w) -> (N, C, h, w)."""
        if not self.training:
            return maps
        self.content_randomised = randomise_content(maps)
        return randomise_style(maps)

    def take(self) -> Tensor:
        """Return CR(z) of the last pass, (N, C, h, w), and keep it no longer."""
        maps, self.content_randomised = self.content_randomised, None
        return maps


class LaterStages(Backbone):
    """A copy of a backbone's later stages and pooling: z (N, C, h, w) -> (N, C', h', w')."""

    def __init__(self, backbone: nn.Module, later: Collection[str]):
        super().__init__()
        self.copy = copy.deepcopy(backbone)
        empty(self.copy, {*later, *getattr(backbone, "pool_layers", ())})
        self.channels = backbone.channels
        self.stages = tuple((f"copy.{name}", width) for name, width in backbone.stages if name in later)

    def enter(self, maps: Tensor) -> Tensor:
        """Return z."""
        return maps

    def pool(self, maps: Tensor) -> Tensor:
        """Pool maps as the backbone does, (N, C, h, w) -> (N, C)."""
        return pooled(self.copy, maps)


def empty(network: nn.Module, kept: Collection[str]) -> None:
    """Replace all submodules but those named in `kept` by identities, in place."""
    for name, part in network.named_children():
        inside = {other.removeprefix(f"{name}.") for other in kept if other.startswith(f"{name}.")}
        if inside:
            empty(part, inside)
        elif name not in kept:
            setattr(network, name, nn.Identity())


def affine_maps(backbone: nn.Module, later: Collection[str]) -> list[tuple[str, nn.Parameter]]:
    """List weights and biases, with their names, of the batch norms before the stages named in `later`.

    Raises:
        UserError: there are none, so that no adversarial step can be taken.
    """
    behind = tuple(f"{name}." for name in (*later, *getattr(backbone, "pool_layers", ())))
    maps = [
        (f"{name}.{kind}", parameter)
        for name, module in backbone.named_modules()
        if isinstance(module, nn.BatchNorm2d) and not name.startswith(behind)
        for kind, parameter in module.named_parameters(recurse=False)
    ]
    if not maps:
        raise UserError(
            "SagNet's adversarial step trains the batch norms before method.style_stage, and this "
            f"{type(backbone).__name__} has none there: choose another backbone or a later stage."
        )
    return maps


def randomise_style(maps: Tensor) -> Tensor:
    """Compute SR(z), (N, C, h, w) -> (N, C, h, w), with random partners and shares, in this order."""
    partners = torch.randperm(len(maps))  # (N,)
    return mix_styles(maps, partners, torch.rand(len(maps), 1, 1))


def randomise_content(maps: Tensor) -> Tensor:
    """Compute CR(z), (N, C, h, w) -> (N, C, h, w), with random partners."""
    return swap_contents(maps, torch.randperm(len(maps)))


def mix_styles(maps: Tensor, partners: Tensor, shares: Tensor) -> Tensor:
    """Give each image's content the mean a mu + (1 - a) mu' and the variance a var + (1 - a) var'.

    Args:
        maps: (N, C, h, w).
        partners: (N,) index of the image with the style mu', var'.
        shares: (N, 1, 1), a.
    """
    content, mean, variance = separate(maps)
    a, partners = shares[..., None].to(mean), partners.to(maps.device)  # a: (N, 1, 1, 1)
    mean, variance = (a * style + (1 - a) * style[partners] for style in (mean, variance))
    return content * (variance + EPS).sqrt() + mean


def swap_contents(maps: Tensor, partners: Tensor) -> Tensor:
    """Give each image's style to its partner's content, which is held constant; see `mix_styles`."""
    content, mean, variance = separate(maps)
    return content[partners.to(maps.device)].detach() * (variance + EPS).sqrt() + mean


def separate(maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Separate maps into content (N, C, h, w) and style, mean and unbiased variance (N, C, 1, 1) each.

    Raises:
        UserError: a map has a single position, and so no variance.
    """
    if maps.shape[-2:].numel() < 2:
        raise UserError(
            "SagNet mixes variances of maps, and here a map is 1x1: choose larger images or a lower "
            "method.style_stage."
        )
    maps = maps.to(torch.promote_types(maps.dtype, torch.float32))
    variance, mean = torch.var_mean(maps, (2, 3), keepdim=True)  # (N, C, 1, 1) each
    return (maps - mean) / (variance + EPS).sqrt(), mean, variance


def adversarial_loss(logits: Tensor) -> Tensor:
    """Compute mean(-log(softmax + 1e-5)) over images and classes, (N, classes) -> scalar.

    It is least if all classes are equally probable.
    """
    return -(logits.softmax(1) + EPS).log().mean()


METHOD = SagNet
