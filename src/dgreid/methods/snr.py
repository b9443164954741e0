"""SNR (Jin et al., Style Normalization and Restitution for Generalizable Person Re-ID, CVPR 2020).

After every stage of the backbone an instance norm removes the style of the map, F~ = IN(F), and a channel
gate a restores the part of the residual R = F - F~ that distinguishes identities:

    F+ = F~ + a R  (goes to the next stage),    F- = F~ + (1 - a) R  (only for the loss).

A dual causality loss requires that restoring a R brings images of an identity closer together and other
identities further apart, and that restoring (1 - a) R does the opposite. The rest is the strong
re-identification baseline.

The authors' release contains no re-identification code. This follows the paper from memory and the
re-implementation in Instruct-ReID; if the two differ, there is an option.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dgreid.errors import UserError
from dgreid.images.batch import Batch, Sampler
from dgreid.methods.base import Method, MethodOptions, Task
from dgreid.methods.parts.network import Network, base_losses
from dgreid.methods.parts.optimise import descend, optimiser, set_rate
from dgreid.methods.recipe import RecipeConfig
from dgreid.networks.backbone import stages_of
from dgreid.networks.norms.instance import InstanceNorm2d
from dgreid.schema import Weight

Distance = Literal["half_cosine", "cosine"]


class Options(MethodOptions):
    """SNR's options."""

    base_sampler: Literal["pk", "pk_per_domain"] = Field(
        "pk", description="pk: identities of all sources pooled; pk_per_domain: the same number from each"
    )
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="probability of all wrong classes")
    margin: float = Field(0.3, ge=0, le=100, description="of the triplet loss")
    reduction: int = Field(
        16, gt=0, le=4096, description="the gate's hidden layer has channels / reduction units"
    )
    gate_bias: bool = Field(True, description="the gate's linear layers have biases")
    stage_weights: tuple[Weight, ...] = Field(
        (0.1, 0.1, 0.5, 0.5),
        min_length=1,
        description="lambda of each stage's causality loss, aligned at the last stage; the first value also "
        "holds for further, earlier stages",
    )
    distance: Distance = Field("half_cosine", description="half_cosine: .5 - cos / 2; cosine: .5 - cos")


class SNR(Method):
    """The strong baseline on a backbone with an SNR module after each stage."""

    def __init__(self, options: Options, backbone: nn.Module, recipe: RecipeConfig, task: Task):
        super().__init__(options, recipe, task)
        for name, channels in stages_of(backbone):
            module = Restitution(channels, options.reduction, options.gate_bias)
            backbone.set_submodule(name, nn.Sequential(backbone.get_submodule(name), module))
        self.network = Network(backbone, "batch", recipe, task.classes)
        self.optimisers = {"main": optimiser(self.network.named_parameters(), recipe, options.learning_rate)}
        self.samplers = {"base": Sampler(options.base_sampler)}

    def step(self, batches: Mapping[str, Sequence[Batch]], iteration: int) -> dict[str, Tensor]:
        """Take one step down L_ReID + sum of lambda_b (L+_b + L-_b)."""
        set_rate(self.optimisers["main"], self.recipe, self.task, iteration)
        batch, options = batches["base"][0], self.options
        losses = base_losses(self.network, batch, options.label_smoothing, options.margin)
        losses["causality"] = self.causality(batch.identities)
        descend(sum(losses.values()), *self.optimisers.values())
        return {name: loss.detach() for name, loss in losses.items()}

    def causality(self, identities: Tensor) -> Tensor:
        """Compute the weighted causality losses of the maps of the last forward pass; a scalar."""
        modules = [module for module in self.network.modules() if isinstance(module, Restitution)]
        weights = stage_weights(self.options.stage_weights, len(modules))
        losses = []
        for module in modules:
            pooled, module.pooled = module.pooled, None  # frees the graph
            losses.append(dual_causality(pooled, *draw_triplets(identities), self.options.distance))
        return sum(weight * loss for weight, loss in zip(weights, losses, strict=True))


class Pooled(NamedTuple):
    """Spatial means of a stage's maps, (N, C) each."""

    plain: Tensor  # of F~, style removed
    plus: Tensor  # of F+, the useful part of the residual restored
    minus: Tensor  # of F-, the other part restored instead


class Restitution(nn.Module):
    """The SNR module, (N, C, h, w) -> (N, C, h, w); in training it keeps pooled maps for the loss."""

    def __init__(self, channels: int, reduction: int = 16, bias: bool = True):
        super().__init__()
        self.norm = InstanceNorm2d(channels)
        hidden = max(1, channels // reduction)
        self.squeeze = nn.Linear(channels, hidden, bias=bias)
        self.excite = nn.Linear(hidden, channels, bias=bias)
        self.pooled: Pooled | None = None

    def forward(self, maps: Tensor) -> Tensor:
        """Compute F+ from F.

        Means are linear, so those of F+ and F- are computed without their maps. The mean of F~ is the norm's
        bias, the same for every image, so the loss compares with a constant; its gradient would be rounding.
        """
        plain = self.norm(maps)  # (N, C, h, w)
        residual = maps - plain
        style = residual.mean((2, 3), dtype=torch.promote_types(maps.dtype, torch.float32))  # (N, C)
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(style))))  # (N, C)
        if self.training:
            mean = self.norm.bias.expand_as(style)
            self.pooled = Pooled(mean.detach(), mean + gate * style, mean + (1 - gate) * style)
        return plain + gate[..., None, None] * residual


def dual_causality(pooled: Pooled, positive: Tensor, negative: Tensor, distance: Distance) -> Tensor:
    """Compute L+ + L-, with d(a, p) and d(a, n) the distances of an anchor to its positive and negative.

    L+ = softplus(d+(a, p) - d(a, p)) + softplus(d(a, n) - d+(a, n)), d of F~, d+ of F+;
    L- = softplus(d(a, p) - d-(a, p)) + softplus(d-(a, n) - d(a, n)), d- of F-; means over the anchors.

    Args:
        pooled: (N, C) each; every sample is an anchor.
        positive: (N,) index of another sample of the anchor's identity.
        negative: (N,) index of a sample of another identity.
        distance: half_cosine or cosine.
    """
    scale = 0.5 if distance == "half_cosine" else 1.0
    unit = Pooled(*(F.normalize(features) for features in pooled))
    (near, near_plus, near_minus), (far, far_plus, far_minus) = (
        [0.5 - scale * (features * features[other]).sum(1) for features in unit]
        for other in (positive, negative)
    )  # (N,) each
    enhanced = F.softplus(near_plus - near) + F.softplus(far - far_plus)
    contaminated = F.softplus(near - near_minus) + F.softplus(far_minus - far)
    return (enhanced + contaminated).mean()


def draw_triplets(identities: Tensor) -> tuple[Tensor, Tensor]:
    """Choose a random positive (never itself) and a random negative for every sample, (N,) -> (N,) each.

    Raises:
        UserError: a sample has no positive or no negative in the batch.
    """
    same = identities[:, None] == identities  # (N, N)
    others = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    if not bool((others.any(1) & ~same.all(1)).all()):
        raise UserError(
            "SNR's causality loss needs two images each of two identities in every batch: raise "
            "recipe.images_per_identity or recipe.identities_per_domain."
        )
    lots = torch.rand(2, *same.shape, device=same.device)
    return tuple(
        lot.masked_fill(~mask, -1).argmax(1) for lot, mask in zip(lots, (others, ~same), strict=True)
    )


def stage_weights(weights: Sequence[float], stages: int) -> tuple[float, ...]:
    """Return a weight for each stage: aligned at the last, the first weight repeated for missing ones."""
    return ((weights[0],) * (stages - len(weights)) + tuple(weights))[-stages:]


METHOD = SNR
