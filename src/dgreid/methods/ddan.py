"""DDAN (Chen et al., Dual Distribution Alignment Network for Generalizable Person Re-ID, AAAI 2021).

One source is the central domain, the others are peripheral. The encoder E, all but the backbone's last stage,
is followed by the mapping T, the last stage and pooling; only T learns to align the domains.

    x = E(image),  t = T(x held constant),  s = T(x)
    1.  CE(classifier(dropout(neck(s))), identity) + triplet(s / |s|)     -> E, T, neck, classifier
        + .18 L_adv(t) + .05 L_mem(t), the latter from epoch 3 on         -> T
    2.  CE(D(t held constant), whether the domain is central)             -> the discriminator D

    L_adv = -mean log softmax(D(t)): least if D cannot tell central from peripheral
    L_mem = KL(q_j || p_i) + KL(p_i || q_j): means over image i, its nearest identities j and features

with p_i = softmax(t_i / .002), q_j = softmax(M_j / .002), M_j the mean of t over identity j's images in this
epoch. Nearest are identities of other domains or, for an image of the central domain, those of its own.

This follows the release but for two faults. Its table of the identities' domains is in another order than its
identities; here membership comes from the data. It divides by zero for an identity that was never seen; here
such an identity is no neighbour.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dgreid.errors import unknown
from dgreid.images.batch import Batch, Sampler
from dgreid.losses import batch_hard_triplet
from dgreid.methods.base import Method, MethodOptions, Task, require_domains
from dgreid.methods.dualnorm import normalise_style
from dgreid.methods.parts.network import Network
from dgreid.methods.parts.optimise import descend, optimiser, set_rate
from dgreid.methods.parts.similarity_memory import SimilarityMemory
from dgreid.methods.recipe import RecipeConfig
from dgreid.networks.backbone import stages_of
from dgreid.schema import Weight

LARGEST = "largest"
HIDDEN = 128  # units of the discriminator
EPS = 1e-8  # added to probabilities before the logarithm


class Options(MethodOptions):
    """DDAN's options; defaults as released."""

    central: str = Field(
        LARGEST, description="name of the central domain; largest: the one with most identities"
    )
    style_norms: bool = Field(False, description="put DualNorm's instance norms into the encoder")
    head_rate: float = Field(
        10.0,
        gt=0,
        le=1000,
        description="rate of neck, classifier and discriminator relative to the backbone's",
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="share of the neck's outputs dropped in training")
    margin: float = Field(0.3, ge=0, le=100, description="of the triplet loss, whose features have length 1")
    triplet_weight: Weight = Field(1.0, description="of the triplet loss")
    adversarial_weight: Weight = Field(0.18, description="of L_adv")
    memory_weight: Weight = Field(0.05, description="of L_mem")
    memory_start: int = Field(3, ge=1, le=100_000, description="so many first epochs train without L_mem")
    memory_share: float = Field(
        0.05, ge=0, le=1, description="share of the last epoch's mean in an identity's memory"
    )
    neighbours: int = Field(
        8, ge=1, le=10_000, description="nearest identities that an image is aligned with"
    )
    temperature: float = Field(0.002, gt=0, le=1000, description="of the softmax over features in L_mem")

    def unread(self) -> Iterator[tuple[str, str]]:
        """Options without effect under the others, each with the reason."""
        if not self.triplet_weight:
            yield "margin", "without the triplet loss (method.triplet_weight=0)"
        if not self.memory_weight:
            for option in ("memory_start", "memory_share", "neighbours", "temperature"):
                yield option, "without L_mem (method.memory_weight=0)"


class DDAN(Method):
    """Encoder, mapping and discriminator: two optimiser steps per iteration.

    Raises:
        UserError: there is one training domain only, the central one is none of them, or the backbone has a
            single stage.
    """

    def __init__(self, options: Options, backbone: nn.Module, recipe: RecipeConfig, task: Task):
        super().__init__(options, recipe, task)
        require_domains(task.domains, 2, "DDAN aligns domains with a central one")
        membership = task.given("membership")  # (domains, classes)
        self.central = central_domain(options.central, membership, task.domain_names)
        comparable = ~membership  # identities of other domains
        comparable[self.central] = membership[self.central]
        self.register_buffer("comparable", comparable, persistent=False)  # (domains, classes)
        if options.style_norms:
            normalise_style(backbone)
        self.network = SplitNetwork(backbone, recipe, task.classes, options.dropout)
        self.discriminator = nn.Sequential(  # no activation, as released
            nn.Linear(backbone.channels, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.Linear(HIDDEN, 2)
        )
        self.memory = SimilarityMemory(task.classes, backbone.channels)
        trained, fresh = options.learning_rate, options.learning_rate * options.head_rate
        head = [item for item in self.network.named_parameters() if not item[0].startswith("backbone.")]
        self.optimisers = {
            "main": optimiser(backbone.named_parameters(), recipe, trained),
            "head": optimiser(head, recipe, fresh),
            "discriminator": optimiser(self.discriminator.named_parameters(), recipe, fresh),
        }
        self.samplers = {"base": Sampler("pk")}

    def step(self, batches: Mapping[str, Sequence[Batch]], iteration: int) -> dict[str, Tensor]:
        """Take a step of encoder, mapping and head, then one of the discriminator."""
        for each in self.optimisers.values():
            set_rate(each, self.recipe, self.task, iteration)
        batch, options, network = batches["base"][0], self.options, self.network
        epoch, place = divmod(iteration, self.task.iterations_per_epoch)
        if place == 0:
            self.memory.begin_epoch()

        x = network.encode(batch.images)  # (N, C', h', w')
        t = network.transfer(x.detach())  # (N, C)
        network.bottleneck(t)  # its statistics move on both paths, as released
        s = network.transfer(x)  # (N, C)
        central = (batch.domains == self.central).long()  # (N,)
        losses = {
            "cross_entropy": F.cross_entropy(network.logits(s), batch.identities),
            "triplet": batch_hard_triplet(F.normalize(s), batch.identities, options.margin),
            "discriminator": F.cross_entropy(self.discriminator(t.detach()), central),
            "adversarial": -self.discriminator(t).log_softmax(1).mean(),
        }
        loss = losses["cross_entropy"] + options.triplet_weight * losses["triplet"]
        loss = loss + options.adversarial_weight * losses["adversarial"]
        if epoch >= options.memory_start and options.memory_weight:
            losses["memory"] = self.memory_loss(t, batch.domains)
            loss = loss + options.memory_weight * losses["memory"]
        self.memory.update(t.detach(), batch.identities, options.memory_share if epoch else 0.0)
        descend(loss, self.optimisers["main"], self.optimisers["head"])
        descend(losses["discriminator"], self.optimisers["discriminator"])
        return {name: loss.detach() for name, loss in losses.items()}

    def memory_loss(self, features: Tensor, domains: Tensor) -> Tensor:
        """Compute L_mem of t (N, C) in domains (N,); a scalar, 0 if there are no neighbours yet."""
        nearest, there = self.memory.nearest(features, self.comparable[domains], self.options.neighbours)
        other = self.memory.means[nearest[there]]  # (pairs, C)
        own = features[:, None].expand(-1, nearest.shape[1], -1)[there]  # (pairs, C)
        return symmetric_divergence(own / self.options.temperature, other / self.options.temperature)


class SplitNetwork(Network):
    """Encoder and mapping, made of a backbone; neck and classifier with learned biases, dropout between.

    The encoder trains in mixed precision, if the recipe does; the mapping is float32 or better.
    """

    def __init__(self, backbone: nn.Module, recipe: RecipeConfig, classes: int, dropout: float):
        super().__init__(backbone, "batch", recipe, classes)
        *encoder, last = stages_of(backbone, least=2)
        backbone.stages, self.mapping = tuple(encoder), (last,)  # so that `maps` ends before the mapping
        self.neck = nn.BatchNorm1d(backbone.channels)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(backbone.channels, classes)

    def encode(self, images: Tensor) -> Tensor:
        """Compute the encoder, (N, 3, H, W) -> (N, C', h', w')."""
        maps = self.maps(images)
        return maps.to(torch.promote_types(maps.dtype, torch.float32))

    def transfer(self, maps: Tensor) -> Tensor:
        """Compute the mapping, (N, C', h', w') -> (N, C)."""
        return self.pool(self.backbone.through(maps, self.mapping))

    def forward(self, images: Tensor) -> Tensor:
        """Compute the features before the neck, (N, 3, H, W) -> (N, C)."""
        return self.transfer(self.encode(images))

    def bottleneck(self, features: Tensor) -> Tensor:
        """Compute the classifier's input, (N, C) -> (N, C)."""
        return self.dropout(self.neck(features))

    def logits(self, features: Tensor) -> Tensor:
        """Classify pooled features, (N, C) -> (N, classes)."""
        return self.classifier(self.bottleneck(features))


def central_domain(central: str, membership: Tensor, names: Sequence[str]) -> int:
    """Return the number of the central domain: the one of that name, or the first with most identities.

    Args:
        membership: (domains, classes) bool.

    Raises:
        UserError: no training domain has that name.
    """
    if central == LARGEST:
        return int(membership.sum(1).argmax())
    if central not in names:
        raise unknown("method.central", central, (LARGEST, *names))
    return list(names).index(central)


def symmetric_divergence(own: Tensor, other: Tensor) -> Tensor:
    """Compute KL(q || p) + KL(p || q), p = softmax(own), q = softmax(other); a scalar, 0 without pairs.

    As released these are means over pairs and features, not sums over features, and 1e-8 is added to the
    second argument of each.

    Args:
        own: (pairs, C).
        other: (pairs, C).
    """
    p, q = own.softmax(1), other.softmax(1)
    forth = p_log_p(q) - q * (p + EPS).log()  # (pairs, C)
    back = p_log_p(p) - p * (q + EPS).log()  # (pairs, C)
    return (forth + back).sum() / max(1, own.numel())


def p_log_p(p: Tensor) -> Tensor:
    """Compute p log p; where p is 0 it is 0, with a finite gradient (torch's kl_div has NaN there)."""
    return p * p.where(p > 0, 1).log()


METHOD = DDAN
