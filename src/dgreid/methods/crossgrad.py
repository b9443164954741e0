"""CrossGrad (Shankar et al., Generalizing Across Domains via Cross-Gradient Training, ICLR 2018).

A label network F names identities y, a domain network D names training domains d. Each also learns from
images moved along the other's gradient, so that F meets domains that do not exist, and D other identities:

    x_d = x + e_f clip(grad_x L_D(x)),    x_l = x + e_d clip(grad_x L_F(x))       (clip: to -0.1 .. 0.1)
    F:  one step down  (1 - a_f) CE(F(x), y) + a_f CE(F(x_d), y)
    D:  one step down  (1 - a_d) CE(D(x), d) + a_d CE(D(x_l), d)

This is the release in Dassl: F and D are separate networks with one backbone's weights at the start, both
gradients are those of the mean loss and come before any step, and all passes are in training mode, so that
each network's running statistics move three times an iteration. At test time F is used alone.

A domain is whatever the protocol makes one: a data set, or a camera (`domain_by: camera`).
"""

import copy
from collections.abc import Mapping, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dgreid.images.batch import Batch
from dgreid.methods import osnet
from dgreid.methods.base import Task, require_domains
from dgreid.methods.parts.network import Network
from dgreid.methods.parts.optimise import descend, optimiser, set_rate
from dgreid.methods.recipe import RecipeConfig

CLIP = 0.1  # bound of every value of an image's gradient


class Options(osnet.Options):
    """CrossGrad's options beside those of OSNet's recipe; defaults as released."""

    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="probability spread over all identities; domains have none"
    )
    fixed_base_epochs: int = Field(
        0, ge=0, le=100_000, description="so many first epochs train the two classifiers alone"
    )
    label_epsilon: float = Field(
        1.0, ge=0, le=1e6, description="e_f: how far F's images move along D's clipped gradient"
    )
    domain_epsilon: float = Field(
        1.0, ge=0, le=1e6, description="e_d: how far D's images move along F's clipped gradient"
    )
    label_alpha: float = Field(0.5, ge=0, le=1, description="a_f: weight of F's moved images in its loss")
    domain_alpha: float = Field(0.5, ge=0, le=1, description="a_d: weight of D's moved images in its loss")


class CrossGrad(osnet.Softmax):
    """Label network and domain network, one optimiser step of each per iteration.

    Raises:
        UserError: there is one training domain only.
    """

    def __init__(self, options: Options, backbone: nn.Module, recipe: RecipeConfig, task: Task):
        require_domains(task.domains, 2, "CrossGrad trains a network to tell domains apart")
        other = copy.deepcopy(backbone)
        super().__init__(options, backbone, recipe, task)  # F: self.network, optimisers["main"]
        self.domain_network = softmax = osnet.softmax_network(other, recipe, task.domains)  # D
        self.optimisers["domain"] = optimiser(softmax.named_parameters(), recipe, options.learning_rate)

    def step(self, batches: Mapping[str, Sequence[Batch]], iteration: int) -> dict[str, Tensor]:
        """Move the batch along both networks' gradients, then take a step of F and a step of D."""
        fixed = self.base_is_fixed(iteration)
        for network in (self.network, self.domain_network):
            network.backbone.train(not fixed)
        for each in self.optimisers.values():
            set_rate(each, self.recipe, self.task, iteration)
        images, identities, domains, *_ = batches["base"][0]
        options, smoothing = self.options, self.options.label_smoothing

        away_from_domain = options.label_epsilon * gradient(self.domain_network, images, domains)
        away_from_label = options.domain_epsilon * gradient(self.network, images, identities, smoothing)
        label = mixed_loss(
            self.network, images, away_from_domain, identities, options.label_alpha, fixed, smoothing
        )
        descend(label, self.optimisers["main"])
        domain = mixed_loss(
            self.domain_network, images, away_from_label, domains, options.domain_alpha, fixed
        )
        descend(domain, self.optimisers["domain"])
        return {"cross_entropy": label.detach(), "domain_cross_entropy": domain.detach()}


def gradient(network: Network, images: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Compute the clipped gradient of the mean cross-entropy by the images, (N, 3, H, W) -> (N, 3, H, W)."""
    images = images.detach().requires_grad_()
    loss = cross_entropy(network, network(images), labels, smoothing)
    return torch.autograd.grad(loss, images)[0].clamp(-CLIP, CLIP)


def mixed_loss(
    network: Network,
    images: Tensor,
    move: Tensor,
    labels: Tensor,
    alpha: float,
    fixed: bool,
    smoothing: float = 0.0,
) -> Tensor:
    """Compute (1 - alpha) x the cross-entropy of images + alpha x that of the moved ones; a scalar.

    Args:
        images: (N, 3, H, W).
        move: (N, 3, H, W), added to the images.
        fixed: the loss has no gradient by the backbone, which an optimiser then passes over.
    """
    with torch.set_grad_enabled(not fixed):
        features = network(images), network(images + move)  # (N, C) each
    plain, moved = (cross_entropy(network, part, labels, smoothing) for part in features)
    return (1 - alpha) * plain + alpha * moved


def cross_entropy(network: Network, features: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Compute the mean cross-entropy of features (N, C), a scalar."""
    return F.cross_entropy(network.logits(features), labels, label_smoothing=smoothing)


METHOD = CrossGrad
