"""MLDG (Li et al., Learning to Generalize: Meta-Learning for Domain Generalization, AAAI 2018).

All parameters take a virtual step down the loss F of some domains; the loss G of the other domains is
computed after that step (algorithm 1 of that paper):

    minimise  F(theta) + b * G(theta - a * dF/dtheta).

The options cover what MetaBIN's table 4 compares: this adaptation to re-identification, which takes a base
step before every meta step, and, with `base_step: joint`, MetaBIN without its separation of episodes.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from dgreid.images.batch import Batch, Sampler
from dgreid.methods.base import Method, MethodOptions, Task
from dgreid.methods.parts.episodes import (
    Loss,
    cyclic,
    meta_train_share,
    split_domains,
    unread_of_cycle,
    weighted_loss,
)
from dgreid.methods.parts.network import Network, unread_of
from dgreid.methods.parts.optimise import descend, gate_optimiser, optimiser, set_rate
from dgreid.methods.recipe import RecipeConfig
from dgreid.networks.config import Norm
from dgreid.networks.norms.convert import has_gates
from dgreid.networks.norms.gates import clamp_gates, gates_of, straight_through_clamp
from dgreid.networks.norms.modes import attention_differentiable_twice, differentiate_twice, hold
from dgreid.schema import Weight

BASE = {"cross_entropy": 1.0, "triplet": 1.0}


class Options(MethodOptions):
    """MLDG's options."""

    norm: Norm = Field("batch", description="norm layer of the backbone, a name in networks/norms")
    base_step: Literal["separate", "none", "joint"] = Field(
        "separate",
        description="separate: before each meta step, on its own batch; none: as MLDG was published; "
        "joint: the base loss of the meta batch replaces F in the objective",
    )
    base_sampler: Literal["pk", "pk_per_domain"] = Field(
        "pk", description="pk: identities of all sources pooled; pk_per_domain: the same number from each"
    )
    first_iteration_base_steps: int = Field(
        10, gt=0, le=1000, description="base updates in iteration 0; later iterations have one"
    )
    order: Literal["first", "second"] = Field(
        "first", description="second: differentiate G also through dF/dtheta"
    )
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="probability of all wrong classes")
    margin: float = Field(0.3, ge=0, le=100, description="of the triplet loss")
    base_losses: dict[Loss, Weight] = Field(BASE, description="weight of each loss", min_length=1)
    meta_train_domains: int | None = Field(
        None, gt=0, le=10_000, description="domains in meta-train; null: half of them, rounded up"
    )
    meta_train_losses: dict[Loss, Weight] = Field(
        BASE, description="F, the weight of each loss", min_length=1
    )
    meta_test_losses: dict[Loss, Weight] = Field(BASE, description="G, the weight of each loss", min_length=1)
    meta_test_weight: float = Field(1.0, ge=0, le=1e6, description="b, the weight of G")
    gate_learning_rate: float = Field(
        0.1, gt=0, le=1000, description="rate of the norm's gates, if it has any"
    )
    cycle_low: float = Field(
        0.001, ge=0, le=1000, description="smallest c; a is c x the parameter's current rate"
    )
    cycle_high: float = Field(
        0.1, ge=0, le=1000, description="largest c; equal to cycle_low for a fixed step"
    )
    cycle_epochs: float = Field(5, gt=0, le=100_000, description="period of c, in epochs")

    def unread(self) -> Iterator[tuple[str, str]]:
        """Name each option that has no effect beside the others, and why."""
        if not has_gates(self.norm):
            yield "gate_learning_rate", f"with {self.norm} norms, which have no gates"
        if self.base_step != "separate":
            for option in ("base_sampler", "first_iteration_base_steps"):
                yield option, f"with method.base_step={self.base_step}"
        base = () if self.base_step == "none" else self.base_losses
        yield from unread_of({*base, *self.meta_train_losses, *self.meta_test_losses})
        yield from unread_of_cycle(self.cycle_low, self.cycle_high)


class MLDG(Method):
    """Updates all parameters by the gradient of F + b * G, after a base step if there is one."""

    def __init__(self, options: Options, backbone: nn.Module, recipe: RecipeConfig, task: Task):
        super().__init__(options, recipe, task)
        self.meta_train_domains = meta_train_share(options.meta_train_domains, task.domains)
        self.network = Network(backbone, options.norm, recipe, task.classes)
        if options.order == "second":
            differentiate_twice(self.network)
        self.gates = gates_of(self)
        # theta: all trained parameters, by the names that functional_call uses
        self.learned = {name: p for name, p in self.named_parameters() if p.requires_grad}
        weights = [(name, p) for name, p in self.learned.items() if name not in self.gates]
        self.optimisers = {"main": optimiser(weights, recipe, options.learning_rate)}
        if self.gates:
            self.optimisers["gates"] = gate_optimiser(self.gates, options.gate_learning_rate)
        self.samplers = {"meta": Sampler("pk_per_domain")}
        if options.base_step == "separate":
            self.samplers = {"base": Sampler(options.base_sampler), **self.samplers}

    def draws(self, iteration: int) -> dict[str, int]:
        """Take one batch for each update; iteration 0 warms up the base model with several."""
        several = {"base": self.options.first_iteration_base_steps if iteration == 0 else 1, "meta": 1}
        return {name: several[name] for name in self.samplers}

    def step(self, batches: Mapping[str, Sequence[Batch]], iteration: int) -> dict[str, Tensor]:
        """Take a base step, if there is one, then the meta step."""
        set_rate(self.optimisers["main"], self.recipe, self.task, iteration)
        losses = {}
        for batch in batches.get("base", ()):
            losses["base"] = self(batch, self.options.base_losses)
            descend(losses["base"], *self.optimisers.values())
            clamp_gates(self.gates)
        losses |= self.update(batches["meta"][0], self.ratio(iteration))
        return {name: loss.detach() for name, loss in losses.items()}

    def update(self, batch: Batch, ratio: float) -> dict[str, Tensor]:
        """Take the meta step: every optimiser moves down the gradient of F(theta) + b * G(theta').

        G normalises by its own batch and does not update running statistics; F updates them only if no other
        loss would.
        """
        options, second = self.options, self.options.order == "second"
        meta_train, meta_test = split_domains(batch, self.meta_train_domains, self.task.domains)
        held = nullcontext() if options.base_step == "none" else hold(self.network)
        with held, attention_differentiable_twice(second):
            train_loss = self(meta_train, options.meta_train_losses)  # F
        here = self.gradient(train_loss, self.learned, create_graph=second)  # dF/dtheta
        moved = self.moved(here, ratio)  # theta'
        with hold(self.network):
            test_loss = functional_call(self, moved, (meta_test, options.meta_test_losses))  # G
        # first order: d theta' / d theta is taken as the identity, so G's gradient is the one at theta'
        there = self.gradient(options.meta_test_weight * test_loss, self.learned if second else moved)
        losses = {"meta_train": train_loss, "meta_test": test_loss}
        if options.base_step == "joint":
            losses["base"] = self(batch, options.base_losses)
            here = self.gradient(losses["base"], self.learned)
        for name, parameter in self.learned.items():
            parameter.grad = here[name].detach() + there[name]
        for each in self.optimisers.values():
            each.step()
        clamp_gates(self.gates)
        return losses

    def forward(self, batch: Batch, weights: Mapping[Loss, float]) -> Tensor:
        """Compute the weighted loss of a batch; `functional_call` evaluates it at moved parameters."""
        options, features = self.options, self.network(batch.images)
        return weighted_loss(self.network, features, batch, weights, options.label_smoothing, options.margin)

    def gradient(
        self, loss: Tensor, at: Mapping[str, Tensor], create_graph: bool = False
    ) -> dict[str, Tensor]:
        """Compute the gradient by name; zero if the loss does not depend on a parameter."""
        gradients = torch.autograd.grad(loss, at.values(), create_graph=create_graph, materialize_grads=True)
        return dict(zip(at, gradients, strict=True))

    def moved(self, gradient: Mapping[str, Tensor], ratio: float) -> dict[str, Tensor]:
        """Compute theta' = theta - a * gradient, with a = ratio x the current rate; gates stay in [0, 1].

        As in MetaBIN, the clamp changes only values: gates at a bound keep their gradient.
        """
        rates = {
            id(parameter): group["lr"]
            for each in self.optimisers.values()
            for group in each.param_groups
            for parameter in group["params"]
        }
        moved = {}
        for name, parameter in self.learned.items():
            there = parameter - ratio * rates[id(parameter)] * gradient[name]
            moved[name] = straight_through_clamp(there) if name in self.gates else there
        if self.options.order == "first":
            moved = {name: there.detach().requires_grad_() for name, there in moved.items()}
        return moved

    def ratio(self, iteration: int) -> float:
        """Return c, the inner step relative to the current rate."""
        options = self.options
        return cyclic(iteration, options.cycle_low, options.cycle_high, options.cycle_epochs, self.task)


METHOD = MLDG
