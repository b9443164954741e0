"""LDA (Nie et al., Latent Distribution Alignment for Domain Generalizable Person Re-ID), after its poster.

Only the poster is public. This module implements its equations; params/method/lda.yaml and the code below
decide what it leaves open. It is a reconstruction, whose numbers are not the authors'.

    for each domain k:   E, the expert, normalises k's batch by k's batch norms; the bank keeps the statistics
    L_E = ID losses + L_consis      pulls the experts' output statistics towards their latent distribution
    for each domain k:   A gets k's batch in the style of another domain j of the bank (Anti-Normalisation)
    L_A = ID losses + L_align       pulls every image's output statistics towards the latent distribution

E and A are one backbone with two sets of statistics: neither the bank nor Anti-Normalisation adds a parameter
(`share_weights: false`: they are two copies, trained together, which share only the bank).
The latent distribution is a Wasserstein barycentre of the domains' diagonal Gaussians. At test time only A is
used, with the bank's statistics averaged over the domains.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from dgreid.errors import UserError
from dgreid.images.batch import Batch, Sampler
from dgreid.losses import batch_hard_triplet, smoothed_cross_entropy
from dgreid.methods.base import Method, MethodOptions, Task, require_domains
from dgreid.methods.parts.bank import bank_table
from dgreid.methods.parts.gaussians import barycentre, statistics, wasserstein
from dgreid.methods.parts.network import Network, linear_classifier
from dgreid.methods.parts.optimise import optimiser, set_rate
from dgreid.methods.recipe import RecipeConfig
from dgreid.networks.backbone import map_channels
from dgreid.networks.neck import BNNeck
from dgreid.networks.norms.anti import AntiNorm2d, towards
from dgreid.networks.norms.buffer_bank import BufferBankNorm2d, as_expert, share_banks
from dgreid.networks.norms.convert import convert_norms, plain_norms


class Options(MethodOptions):
    """Options for what the poster leaves open; defaults as in params/method/lda.yaml."""

    base_sampler: Literal["pk_per_domain", "across_cameras"] = Field(
        "across_cameras", description="across_cameras: M3L's; pk_per_domain: MetaBIN's; both balance domains"
    )
    bank_momentum: float = Field(0.1, gt=0, le=1, description="of the running statistics of bank and outputs")
    share_weights: bool = Field(True, description="E and A are one network; false: two trained copies")
    an_mode: Literal["replace", "pre_bn", "pre_mixture", "none"] = Field(
        "replace",
        description="AN replaces a norm, precedes it (which then has the statistics of j or their average), "
        "or is left out (A has batch norms)",
    )
    an_stages: int | None = Field(
        2, ge=0, le=100, description="AN in the stem and this many stages of the backbone; null: in all"
    )
    an_partner: Literal["domain", "sample"] = Field(
        "domain", description="choose j for a domain's batch or for each image; all layers use the same j"
    )
    an_variance: Literal["biased", "unbiased"] = Field(
        "biased", description="how AN estimates the variance of an image's channel"
    )
    latent_weights: Literal["dirichlet", "uniform"] = Field(
        "dirichlet", description="of the barycentre: random from Dirichlet(1) in every iteration, or 1 / K"
    )
    latent_leaves_own_out: bool = Field(
        False, description="a domain does not contribute to its own latent distribution"
    )
    consistency_weight: float = Field(1.0, ge=0, le=1e6, description="of L_consis")
    alignment_weight: float = Field(1.0, ge=0, le=1e6, description="of L_align")
    distribution_warmup_epochs: float = Field(
        1.0, ge=0, le=100_000, description="both weights rise linearly from 0 for so many epochs"
    )
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="probability of all wrong classes")
    margin: float = Field(0.3, ge=0, le=100, description="of the triplet loss")

    def unread(self) -> Iterator[tuple[str, str]]:
        """Name each option that has no effect beside the others, and why."""
        if self.an_mode == "none":
            for option in ("an_stages", "an_partner", "an_variance"):
                yield option, "without Anti-Normalisation (method.an_mode=none)"
        if self.an_mode == "pre_bn":
            yield "an_partner", "with method.an_mode=pre_bn, under which the partner cancels"
        if self.consistency_weight == self.alignment_weight == 0:
            for option in ("latent_weights", "latent_leaves_own_out", "distribution_warmup_epochs"):
                yield option, "without L_consis and L_align (their weights are 0)"


class LDA(Method):
    """Network-E and Network-A on one backbone, with one optimiser step per iteration.

    Raises:
        UserError: there is one training domain only, or `an_stages` exceeds the backbone's stages.
    """

    def __init__(self, options: Options, backbone: nn.Module, recipe: RecipeConfig, task: Task):
        super().__init__(options, recipe, task)
        require_domains(task.domains, 2, "LDA moves every training domain to another")
        backbone = with_banks(backbone, task.domains, options)
        self.network = Network(backbone, "batch", recipe, task.classes)  # A
        self.other_expert = None if options.share_weights else without_head(self.network)
        self.expert_neck = BNNeck(backbone.channels)
        self.expert_classifier = linear_classifier(backbone.channels, task.classes)
        # not saved, because only training needs it
        self.register_buffer("membership", task.given("membership"), persistent=False)  # (K, classes)
        # running statistics of the experts' outputs, initialised by the first iteration
        channels = map_channels(backbone)
        self.register_buffer("output_mean", torch.zeros(task.domains, channels))
        self.register_buffer("output_std", torch.zeros(task.domains, channels))
        self.optimisers = {"main": optimiser(self.named_parameters(), recipe, options.learning_rate)}
        self.samplers = {"base": Sampler(options.base_sampler)}

    @property
    def expert(self) -> Network:
        """Network-E, whose heads for all domains are `expert_neck` and rows of `expert_classifier`."""
        return self.other_expert or self.network

    def step(self, batches: Mapping[str, Sequence[Batch]], iteration: int) -> dict[str, Tensor]:
        """Take one step down L_E + L_A; return the unweighted losses."""
        set_rate(self.optimisers["main"], self.recipe, self.task, iteration)
        batch = batches["base"][0]
        parts = [batch.of_domain(k) for k in range(self.task.domains)]
        weights = self.draw_weights().to(batch.images.device)
        share = self.warmup(iteration)
        self.optimisers["main"].zero_grad(set_to_none=True)
        losses = self.learn_expert(parts, weights, share, iteration)
        losses |= self.learn_aligned(parts, weights, share)
        self.optimisers["main"].step()
        return losses

    def learn_expert(
        self, parts: Sequence[Batch], weights: Tensor, share: float, iteration: int
    ) -> dict[str, Tensor]:
        """Train Network-E: add the gradients of L_E, update the bank and the output statistics.

        Args:
            parts: one batch for each domain.
            weights: (K, K); row k holds the barycentre's weights for domain k.
            share: share of L_consis's full weight during the warm-up.
            iteration: iteration 0 initialises the output statistics.
        """
        passes = [self.expert_pass(part, k) for k, part in enumerate(parts)]
        entropy, triplet, mean, std = (
            torch.stack(values) for values in zip(*passes, strict=True)
        )  # (K, ...)
        latent = barycentre(mean.detach(), std.detach(), weights)  # two of (K, C)
        consistency = wasserstein(mean, std, *latent).mean()  # L_consis
        losses = {"expert_cross_entropy": entropy.mean(), "expert_triplet": triplet.mean()}
        (sum(losses.values()) + share * self.options.consistency_weight * consistency).backward()
        with torch.no_grad():
            momentum = 1 if iteration == 0 else self.options.bank_momentum
            self.output_mean.lerp_(mean.to(self.output_mean.dtype), momentum)
            self.output_std.lerp_(std.to(self.output_std.dtype), momentum)
        share_banks(self.expert, self.network)
        return {name: loss.detach() for name, loss in {**losses, "consistency": consistency}.items()}

    def expert_pass(self, part: Batch, domain: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Compute one expert's cross-entropy, triplet loss, and output mean and deviation, (C,) each.

        A domain's classifier consists of the rows of its identities, in ascending order.
        """
        with as_expert(self.expert, domain):
            maps = self.expert.maps(part.images)  # (N, C, h, w)
        features = self.expert.pool(maps)  # (N, C)
        own = self.membership[domain].nonzero()[:, 0]  # (identities of the domain,)
        logits = F.linear(self.expert_neck(features), self.expert_classifier.weight[own])
        labels = torch.searchsorted(own, part.identities)
        return (
            smoothed_cross_entropy(logits, labels, self.options.label_smoothing),
            batch_hard_triplet(features, part.identities, self.options.margin),
            *statistics(maps, (0, 2, 3)),
        )

    def learn_aligned(self, parts: Sequence[Batch], weights: Tensor, share: float) -> dict[str, Tensor]:
        """Train Network-A: add the gradients of L_A one domain at a time, which saves memory.

        The arguments are those of `learn_expert`.
        """
        latent = barycentre(self.output_mean, self.output_std, weights)  # two of (K, C)
        passes = []
        for k, part in enumerate(parts):
            entropy, triplet, alignment = self.aligned_pass(part, k, *(value[k] for value in latent))
            loss = entropy + triplet + share * self.options.alignment_weight * alignment
            (loss / len(parts)).backward()  # domains count equally
            passes.append(torch.stack([entropy, triplet, alignment]).detach())
        means = torch.stack(passes).mean(0)
        return dict(zip(("cross_entropy", "triplet", "alignment"), means, strict=True))

    def aligned_pass(
        self, part: Batch, domain: int, latent_mean: Tensor, latent_std: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute cross-entropy (all identities), triplet loss and L_align of a domain in another's style."""
        partners = self.draw_partners(domain, len(part.images)).to(part.images.device)  # (N,)
        with towards(self.network, partners):
            maps = self.network.maps(part.images)  # (N, C, h, w)
        features = self.network.pool(maps)  # (N, C)
        logits = self.network.logits(features)
        distances = wasserstein(*statistics(maps, (2, 3)), latent_mean, latent_std)  # (N,)
        return (
            smoothed_cross_entropy(logits, part.identities, self.options.label_smoothing),
            batch_hard_triplet(features, part.identities, self.options.margin),
            distances.mean(),
        )

    def draw_weights(self) -> Tensor:
        """Generate the barycentre's weights (K, K): row k for domain k, equal unless own parts are left out.

        Dirichlet(1) is sampled as K exponential variables divided by their sum.
        """
        domains = self.task.domains
        drawn = torch.ones(domains)
        if self.options.latent_weights == "dirichlet":
            drawn.exponential_()
        weights = drawn.repeat(domains, 1)
        if self.options.latent_leaves_own_out:
            weights.fill_diagonal_(0)
        return weights / weights.sum(1, keepdim=True)

    def draw_partners(self, domain: int, images: int) -> Tensor:
        """Choose the domain j whose style each image of `domain` gets, (images,): uniform over the others."""
        count = images if self.options.an_partner == "sample" else 1
        drawn = torch.randint(self.task.domains - 1, (count,))
        return (drawn + (drawn >= domain)).expand(images)

    def portrait(self) -> dict[str, list]:
        """Return the statistics of each domain in Network-A's bank, and what every method records."""
        names = self.task.domain_names or [f"domain {k}" for k in range(self.task.domains)]
        return {**super().portrait(), "bank": bank_table(self.network, names)}

    def warmup(self, iteration: int) -> float:
        """Return the share of their full weights that L_consis and L_align have at `iteration`."""
        length = self.options.distribution_warmup_epochs * self.task.iterations_per_epoch
        return min(1.0, iteration / length) if length else 1.0


def without_head(network: Network) -> Network:
    """Copy a network, weights included, without neck and classifier."""
    twin = copy.deepcopy(network)
    twin.neck = twin.classifier = nn.Identity()
    return twin


def with_banks(backbone: nn.Module, domains: int, options: Options) -> nn.Module:
    """Give every norm of a backbone a bank, and the stem and the first stages Anti-Normalisation."""
    if options.an_stages is not None and options.an_stages > len(backbone.stages):
        raise UserError(
            f"method.an_stages={options.an_stages}, but the backbone has {len(backbone.stages)} stages: "
            "lower it, or set it to null for every norm."
        )
    deep = [] if options.an_stages is None else backbone.stages[options.an_stages :]
    without_an = tuple(f"{name}." for name, _ in deep)
    if options.an_mode != "none":
        unbiased = options.an_variance == "unbiased"
        make = partial(
            AntiNorm2d,
            domains=domains,
            mode=options.an_mode,
            unbiased=unbiased,
            momentum=options.bank_momentum,
        )
        convert_norms(backbone, make, only=lambda name: not name.startswith(without_an))
        if not any(plain_norms(backbone)):  # all of them have AN now
            return backbone
    return convert_norms(backbone, partial(BufferBankNorm2d, domains=domains, momentum=options.bank_momentum))


METHOD = LDA
