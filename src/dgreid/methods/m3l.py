"""M3L (Zhao et al., Memory-based Multi-Source Meta-Learning for Generalizable Person Re-ID, CVPR 2021).

In every iteration one source domain acts as the unseen one. The others, meta-train, move a copy Theta' of the
network by one step. The loss of the left-out domain, meta-test, is computed with the copy, whose features are
mixed with samples from the others' statistics (MetaBN). The network learns from the sum L_mtr(Theta) +
L_mte(Theta') (algorithm 1). A memory of centroids replaces the classifier and distinguishes each domain's own
identities.

If paper and released code differ, there is an option; `m3l.yaml` follows the release, `m3l_paper.yaml` the
paper. Two differences belong to the backbone (`stem_activation`, `running_statistics`: backbone resnet50_m3l
or resnet50), two to the recipe (the first learning rate: recipe m3l or m3l_paper; IBN-Net's ImageNet
weights). The released code also evaluates on the target after every epoch and reports the best; here, as for
every method, only the last iterate counts.

Everything is computed in float32, also on CUDA (in float64 if `recipe.precision` says so), because gradients
of gradients are small differences.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from dgreid.errors import UserError
from dgreid.images.batch import Batch, Sampler
from dgreid.losses import batch_hard_triplet
from dgreid.methods.base import ADD_SOURCES, Method, MethodOptions, Task, require_domains
from dgreid.methods.parts.network import linear_classifier, pooled, with_norm
from dgreid.methods.parts.optimise import descend, optimiser, set_rate
from dgreid.methods.recipe import RecipeConfig
from dgreid.networks.config import Norm
from dgreid.networks.memory import IdentityMemory
from dgreid.networks.norms.meta_batch import MetaBatchNorm1d, draw, style_of
from dgreid.networks.norms.modes import attention_differentiable_twice, differentiate_twice


class Options(MethodOptions):
    """M3L's options; defaults as released."""

    norm: Norm = Field("batch", description="norm layer of the backbone, a name in networks/norms")
    meta: bool = Field(True, description="false: the baseline, without meta-learning and MetaBN")
    meta_grad: Literal["second_only", "maml", "first_order"] = Field(
        "second_only",
        description="how dL_mte reaches Theta: second_only: through the inner step's gradient (as released); "
        "first_order: directly; maml: both ways",
    )
    meta_bn: bool = Field(True, description="mix samples of meta-train's statistics into meta-test features")
    std: Literal["variance", "deviation"] = Field(
        "variance", description="of the samples: the variance itself (as released) or its square root"
    )
    lambda_on: Literal["draw", "feature"] = Field(
        "draw", description="what lambda weighs: the sample (as released) or the feature (eq. 6)"
    )
    lambda_concentration: float = Field(1.0, gt=0, le=1e6, description="a of lambda ~ Beta(a, a)")
    identification: Literal["memory", "global_fc", "parallel_fc", "none"] = Field(
        "memory", description="identification loss: L_M, L_FCG, L_FCP or none (section 3.3)"
    )
    triplet: bool = Field(True, description="add the triplet loss, L_Tri")
    margin: float = Field(0.3, ge=0, le=100, description="delta of the triplet loss")
    temperature: float = Field(0.05, gt=0, le=1000, description="tau of the memory loss")
    memory_momentum: float = Field(
        0.2, ge=0, le=1, description="m, the share that a centroid keeps in an update"
    )
    memory_update: Literal["sequential", "mean"] = Field(
        "sequential",
        description="sample by sample, normalised each time (as released), or once by the mean (eq. 2)",
    )

    def unread(self) -> Iterator[tuple[str, str]]:
        """Name each option that has no effect beside the others, and why."""
        mixing = ("std", "lambda_on", "lambda_concentration")
        if not self.meta:
            yield from ((option, "without meta-learning") for option in ("meta_grad", "meta_bn", *mixing))
        elif not self.meta_bn:
            yield from ((option, "without MetaBN (method.meta_bn=false)") for option in mixing)
        if self.identification != "memory":
            for option in ("temperature", "memory_momentum", "memory_update"):
                yield option, f"with method.identification={self.identification}"
        if not self.triplet:
            yield "margin", "without the triplet loss"


class Output(NamedTuple):
    """The inputs of the losses."""

    pooled: Tensor  # (N, C), before the neck and never mixed, for the triplet loss
    logits: list[Tensor]  # (N, classes) each: a single one, or one for each style


class Network(nn.Module):
    """Backbone, global average pooling, MetaBN with a trained bias, a memory or a linear classifier.

    A linear classifier takes the neck's output as is; the memory normalises it to unit length.
    """

    def __init__(self, backbone: nn.Module, options: Options, classes: int):
        super().__init__()
        channels = backbone.channels
        self.backbone = with_norm(backbone, options.norm)
        differentiate_twice(self.backbone, options.meta)
        # without an identification loss nothing would train the neck's affine map
        self.neck = MetaBatchNorm1d(channels, affine=options.identification != "none")
        self.classifier: nn.Module | None = None
        if options.identification == "memory":
            self.classifier = IdentityMemory(
                classes, channels, options.temperature, options.memory_momentum, options.memory_update
            )
        elif options.identification != "none":
            self.classifier = linear_classifier(channels, classes)

    def forward(self, images: Tensor, draws: Sequence[Tensor] | None = None, share: float = 0.0) -> Output:
        """Compute the losses' inputs from (N, 3, H, W); `draws`, (N, C) each, are mixed in by `share`."""
        pooled = self.pool(images)
        necks = [self.neck(pooled)] if draws is None else self.neck.mixed(pooled, draws, share)
        return Output(pooled, [self.classifier(neck) for neck in necks] if self.classifier else [])

    def pool(self, images: Tensor) -> Tensor:
        """Compute the pooled features, (N, 3, H, W) -> (N, C)."""
        return pooled(self.backbone, self.backbone(images))

    def embed(self, images: Tensor) -> Tensor:
        """Compute the neck's output, of unit length: (N, 3, H, W) -> (N, C)."""
        return F.normalize(self.neck(self.pool(images)))


class M3L(Method):
    """Takes one optimiser step per iteration, down the sum of meta-train's and meta-test's losses."""

    def __init__(self, options: Options, backbone: nn.Module, recipe: RecipeConfig, task: Task):
        super().__init__(options, recipe, task)
        if options.meta:
            needs = "M3L trains on all domains but one and tests on that one"
            require_domains(task.domains, 2, needs, f"{ADD_SOURCES} or set method.meta=false")
        if options.identification == "none" and not options.triplet:
            raise UserError("M3L without any loss cannot learn: set method.identification or method.triplet.")
        self.network = Network(backbone, options, task.classes)
        self.register_buffer("membership", task.given("membership"), persistent=False)  # (K, classes)
        self.optimisers = {"main": optimiser(self.network.named_parameters(), recipe, options.learning_rate)}
        self.samplers = {"base": Sampler("across_cameras")}

    def start(self, survey: Callable[[], Iterator[Batch]]) -> None:
        """Fill the memory with the features of all training images, in eval mode (section 3.3)."""
        if self.options.identification != "memory":
            return
        training = self.training
        self.eval()
        with torch.no_grad():
            self.network.classifier.fill(
                (self.network.neck(self.network.pool(batch.images)), batch.identities) for batch in survey()
            )
        self.train(training)

    def step(self, batches: Mapping[str, Sequence[Batch]], iteration: int) -> dict[str, Tensor]:
        """Run one iteration of algorithm 1; each domain is forwarded alone, by its own batch statistics."""
        set_rate(self.optimisers["main"], self.recipe, self.task, iteration)
        (batch,) = batches["base"]
        domains = [batch.of_domain(domain) for domain in range(self.task.domains)]
        if self.options.meta:
            with attention_differentiable_twice(self.options.meta_grad != "first_order"):
                losses = self.meta_losses(domains, left_out=int(np.random.choice(len(domains))))
        else:
            losses = {"loss": mean([self.loss(self.network(each.images), each) for each in domains])}
        descend(sum(losses.values()), self.optimisers["main"])
        self.remember(domains)
        return {name: loss.detach() for name, loss in losses.items()}

    def meta_losses(self, domains: Sequence[Batch], left_out: int) -> dict[str, Tensor]:
        """Compute L_mtr (eq. 9) and L_mte (eq. 10), whose sum the network learns from (eq. 1)."""
        meta_test = domains[left_out]
        meta_train = [each for number, each in enumerate(domains) if number != left_out]
        outputs = [self.network(each.images) for each in meta_train]
        train_loss = mean([self.loss(output, each) for output, each in zip(outputs, meta_train, strict=True)])
        adapted = self.inner_update(train_loss)
        mixture = self.mixture([output.pooled for output in outputs], len(meta_test.images))
        output = functional_call(self.network, adapted, (meta_test.images, *mixture))
        return {"meta_train": train_loss, "meta_test": self.loss(output, meta_test)}

    def loss(self, output: Output, batch: Batch) -> Tensor:
        """Compute one domain's loss: identification, averaged over the styles, plus triplet (eq. 8)."""
        losses = []
        if output.logits:
            losses.append(mean([self.identification(logits, batch) for logits in output.logits]))
        if self.options.triplet:
            losses.append(batch_hard_triplet(output.pooled, batch.identities, self.options.margin))
        return sum(losses)

    def identification(self, logits: Tensor, batch: Batch) -> Tensor:
        """Compute the cross-entropy of (N, classes), among the sample's domain's identities if not global.

        The softmax over a domain's logits equals that of a classifier of this domain alone: N_S parallel
        classifiers, or memories, are the rows of one, because domains share no identity (section 3.3).
        """
        if self.options.identification != "global_fc":
            logits = logits.masked_fill(~self.membership[batch.domains], -torch.inf)
        return F.cross_entropy(logits, batch.identities)

    def inner_update(self, loss: Tensor) -> dict[str, Tensor]:
        """Compute Theta', the network's parameters after one step down `loss` at the current rate, by name.

        As released, Theta' depends on Theta only through the step's gradient, so that its gradient is purely
        second order; `maml` also keeps the direct dependence on Theta, `first_order` only that.
        """
        weights = dict(self.network.named_parameters())
        second_order = self.options.meta_grad != "first_order"
        gradients = torch.autograd.grad(
            loss, weights.values(), retain_graph=True, create_graph=second_order, allow_unused=True
        )
        rate = self.optimisers["main"].param_groups[0]["lr"]  # inner = outer (section 4.2)
        adapted = {}
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
            origin = weight.detach() if self.options.meta_grad == "second_only" else weight
            if gradient is None:  # it does not influence the loss, such as a norm of 1x1 maps
                adapted[name] = origin
            else:
                adapted[name] = origin - inner_step(gradient, weight.detach(), rate, self.recipe.weight_decay)
        return adapted

    def mixture(self, pooled: Sequence[Tensor], count: int) -> tuple[list[Tensor], float] | tuple[()]:
        """Generate MetaBN's samples for `count` images and their share; nothing if MetaBN is off.

        Random numbers follow the order of the released code: z_1, z_2, ... from torch, then lambda from
        NumPy.
        """
        if not self.options.meta_bn:
            return ()
        draws = [draw(style_of(features), count, self.options.std) for features in pooled]
        share = np.random.beta(self.options.lambda_concentration, self.options.lambda_concentration)
        return draws, share if self.options.lambda_on == "draw" else 1 - share

    @torch.no_grad()
    def remember(self, domains: Sequence[Batch]) -> None:
        """Update the memory with the updated network's features of the same images, in training mode."""
        if self.options.identification == "memory":
            features = [self.network.neck(self.network.pool(each.images)) for each in domains]
            identities = torch.cat([each.identities for each in domains])
            self.network.classifier.update(torch.cat(features), identities)


def inner_step(gradient: Tensor, weight: Tensor, rate: float, decay: float) -> Tensor:
    """Compute what the first step of the released code's inner Adam subtracts, in closed form.

    g = gradient + decay * weight;  rate * g / (sqrt(g^2 + 1e-5) + 1e-8). If |g| is below 3e-3, this is a
    gradient step at 316 times the rate; far above, a step of the size of the rate. Textbook Adam, without the
    1e-5, would take the sign of g and pass no second-order gradient.
    """
    gradient = gradient + decay * weight
    return rate * gradient / ((gradient.square() + 1e-5).sqrt() + 1e-8)


def mean(losses: Sequence[Tensor]) -> Tensor:
    """Average scalars."""
    return torch.stack(list(losses)).mean()


METHOD = M3L
