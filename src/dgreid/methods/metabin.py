"""MetaBIN (Choi et al., Meta Batch-Instance Normalization for Generalizable Person Re-ID, CVPR 2021).

Every norm of the backbone mixes a batch and an instance norm by a gate per channel (eq. 1),

    y = rho * BN(x) + (1 - rho) * IN(x).

The base model learns without the gates. The gates learn from simulated failures: they take an inner step that
scatters and shuffles the styles of some domains, and their loss is then computed on the others (algorithm 1).
If paper and released code differ, there is an option; `metabin.yaml` follows the release,
`metabin_paper.yaml` the paper.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from dgreid.errors import UserError
from dgreid.images.batch import Batch, Sampler
from dgreid.methods.base import Method, MethodOptions, Task
from dgreid.methods.parts.episodes import (
    Loss,
    cyclic,
    meta_train_share,
    named_losses,
    split_domains,
    unread_of_cycle,
    weighted_sum,
)
from dgreid.methods.parts.network import Network, base_losses
from dgreid.methods.parts.optimise import descend, gate_optimiser, optimiser, set_rate
from dgreid.methods.recipe import RecipeConfig
from dgreid.networks.config import Norm
from dgreid.networks.norms.gates import clamp_gates, gates_of
from dgreid.networks.norms.modes import hold
from dgreid.schema import Weight

ITERATIONS_BETWEEN_GRADIENTS = 50  # at least; measuring each loss's gradient then costs about 1 %


class Options(MethodOptions):
    """MetaBIN's options; defaults as released."""

    norm: Norm = Field("bin", description="a norm with gates: bin or bin_shared")
    base_sampler: Literal["pk", "pk_per_domain"] = Field(
        "pk", description="pk: identities of all sources pooled; pk_per_domain: the same number from each"
    )
    first_iteration_base_steps: int = Field(
        10, gt=0, le=1000, description="base updates in iteration 0; later iterations have one"
    )
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="probability of all wrong classes")
    margin: float = Field(0.3, ge=0, le=100, description="of the triplet loss")
    meta_train_domains: int | None = Field(
        None, gt=0, le=10_000, description="domains in meta-train; null: half of them, rounded up"
    )
    meta_identities_per_domain: int | None = Field(
        None, gt=1, le=1024, description="identities per domain in a meta batch; null: the recipe's"
    )
    meta_train_losses: dict[Loss, Weight] = Field(
        {"scatter": 1.0, "shuffle": 1.0, "triplet": 1.0}, description="weight of each loss", min_length=1
    )
    meta_test_losses: dict[Loss, Weight] = Field(
        {"triplet": 1.0}, description="weight of each loss", min_length=1
    )
    gate_learning_rate: float = Field(
        0.1, gt=0, le=1000, description="gamma, the step of the meta-test update"
    )
    inner_step: Literal["relative", "absolute"] = Field(
        "relative", description="beta = gamma * c (as released) or beta = c (as written), c the cyclic value"
    )
    cycle_low: float = Field(0.001, ge=0, le=1000, description="smallest c")
    cycle_high: float = Field(
        0.1, ge=0, le=1000, description="largest c; equal to cycle_low for a fixed step"
    )
    cycle_epochs: float = Field(5, gt=0, le=100_000, description="period of c, in epochs")

    def unread(self) -> Iterator[tuple[str, str]]:
        """Name each option that has no effect beside the others, and why."""
        yield from unread_of_cycle(self.cycle_low, self.cycle_high)


class MetaBIN(Method):
    """Makes two updates per iteration: the base model without its gates, then the gates alone."""

    def __init__(self, options: Options, backbone: nn.Module, recipe: RecipeConfig, task: Task):
        super().__init__(options, recipe, task)
        self.meta_train_domains = meta_train_share(options.meta_train_domains, task.domains)
        self.network = Network(backbone, options.norm, recipe, task.classes)
        self.gates = gates_of(self.network)  # theta_rho, by name
        if not self.gates:
            raise UserError(
                f"MetaBIN needs a norm with gates, but method.norm={options.norm} has none: choose bin."
            )
        # theta_f and phi: all trained parameters except the gates
        self.weights = {
            name: parameter
            for name, parameter in self.network.named_parameters()
            if parameter.requires_grad and name not in self.gates
        }
        self.optimisers = {
            "main": optimiser(self.weights.items(), recipe, options.learning_rate),
            "gates": gate_optimiser(self.gates, options.gate_learning_rate),
        }
        self.samplers = {
            "base": Sampler(options.base_sampler),
            "meta": Sampler("pk_per_domain", options.meta_identities_per_domain),
        }

    def draws(self, iteration: int) -> dict[str, int]:
        """Take one batch for each update; iteration 0 warms up the base model with several."""
        return {"base": self.options.first_iteration_base_steps if iteration == 0 else 1, "meta": 1}

    def step(self, batches: Mapping[str, Sequence[Batch]], iteration: int) -> dict[str, Tensor]:
        """Run one iteration of algorithm 1."""
        set_rate(self.optimisers["main"], self.recipe, self.task, iteration)
        for batch in batches["base"]:
            losses = self.update_base(batch)
        meta_train, meta_test = self.split(batches["meta"][0])
        if iteration % max(ITERATIONS_BETWEEN_GRADIENTS, self.task.iterations // 100) == 0:
            losses |= self.gradients(meta_train)
        losses |= self.update_gates(meta_train, meta_test, self.inner_step(iteration))
        for parameter in (*self.weights.values(), *self.gates.values()):
            parameter.requires_grad_()  # as before the step
        return {name: loss.detach() for name, loss in losses.items()} | self.balance()

    def update_base(self, batch: Batch) -> dict[str, Tensor]:
        """Update the base model (eq. 2-5): all parameters except the gates, and running statistics."""
        self._learn(self.weights)
        losses = base_losses(self.network, batch, self.options.label_smoothing, self.options.margin)
        descend(sum(losses.values()), self.optimisers["main"])
        return losses

    def split(self, batch: Batch) -> tuple[Batch, Batch]:
        """Split a batch into those of meta-train and meta-test."""
        return split_domains(batch, self.meta_train_domains, self.task.domains)

    def update_gates(self, meta_train: Batch, meta_test: Batch, inner_step: float) -> dict[str, Tensor]:
        """Update the gates by meta-train and meta-test (eq. 6-10), to first order.

        Norms use batch statistics and do not update running ones. Clamping the gates to [0, 1] changes only
        their values, not their gradients (straight through): otherwise the gates, which start at 1, could
        not leave that bound.
        """
        self._learn(self.gates)
        with hold(self.network):
            features = self.network(meta_train.images)
            parts = self.meta_losses(features, meta_train, self.options.meta_train_losses)
            train_loss = weighted_sum(parts, self.options.meta_train_losses)  # eq. 8
            inner = torch.autograd.grad(train_loss, self.gates.values())
            adapted = {  # rho'
                name: (gate.detach() - inner_step * gradient).clamp_(0, 1).requires_grad_()
                for (name, gate), gradient in zip(self.gates.items(), inner, strict=True)
            }
            features = functional_call(self.network, adapted, (meta_test.images,))
            test_loss = self.meta_loss(features, meta_test, self.options.meta_test_losses)  # eq. 10
            outer = torch.autograd.grad(test_loss, adapted.values())
        for gate, gradient in zip(self.gates.values(), outer, strict=True):
            gate.grad = gradient
        self.optimisers["gates"].step()
        clamp_gates(self.gates)
        losses = {f"meta_{name}": loss for name, loss in parts.items()}  # as in figure S2, unweighted
        losses |= {"meta_train": train_loss, "meta_test": test_loss}
        return losses | {"inner_gradient": torch.cat(inner).norm()}

    def gradients(self, meta_train: Batch) -> dict[str, Tensor]:
        """Measure what each meta-train loss alone would do to the gates in the inner step (figure 5).

        Returns the mean of d loss / d rho over all gates, which is positive if the loss pulls them towards
        the instance norm, and its norm. The extra forward and backward passes change no state.
        """
        self._learn(self.gates)
        with hold(self.network):
            features = self.network(meta_train.images)
            losses = self.meta_losses(features, meta_train, self.options.meta_train_losses)
            found = {}
            for name, loss in losses.items():
                parts = torch.autograd.grad(loss, self.gates.values(), retain_graph=True)
                gradient = torch.cat(parts)  # (gates of all layers,)
                found |= {f"gradient_mean_{name}": gradient.mean(), f"gradient_norm_{name}": gradient.norm()}
        return found

    def meta_losses(self, features: Tensor, batch: Batch, names: Iterable[Loss]) -> dict[str, Tensor]:
        """Compute the named losses, scalars."""
        options = self.options
        return named_losses(self.network, features, batch, names, options.label_smoothing, options.margin)

    def meta_loss(self, features: Tensor, batch: Batch, weights: Mapping[Loss, float]) -> Tensor:
        """Compute the weighted sum of the named losses, a scalar."""
        return weighted_sum(self.meta_losses(features, batch, weights), weights)

    def inner_step(self, iteration: int) -> float:
        """Return beta at this iteration."""
        options = self.options
        c = cyclic(iteration, options.cycle_low, options.cycle_high, options.cycle_epochs, self.task)
        return c * options.gate_learning_rate if options.inner_step == "relative" else c

    def balance(self) -> dict[str, Tensor]:
        """Return the mean gate and the share of channels whose gates favour the instance norm."""
        gates = torch.cat([gate.detach() for gate in self.gates.values()])
        return {"balance": gates.mean(), "instance_share": (gates < 0.5).float().mean()}

    def _learn(self, only: Mapping[str, nn.Parameter]) -> None:
        """Request gradients of these parameters only, so that the others cost nothing."""
        for group in (self.weights, self.gates):
            for parameter in group.values():
                parameter.requires_grad_(group is only)


METHOD = MetaBIN
