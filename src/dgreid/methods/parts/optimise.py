"""Optimisers, rates and steps that most methods share."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from dgreid.methods.base import Training
from dgreid.methods.recipe import RecipeConfig
from dgreid.methods.schedules import warmed_steps


def optimiser(
    parameters: Iterable[tuple[str, nn.Parameter]],
    recipe: RecipeConfig,
    learning_rate: float,
    nesterov: bool = False,
) -> torch.optim.Optimizer:
    """The recipe's optimiser at `learning_rate` x the recipe's factor; biases learn faster by `bias_factor`.

    `initial_lr` of each group is its full rate, which `set_rate` scales. `nesterov` is about SGD alone.
    """
    rate = learning_rate * recipe.learning_rate_factor
    weights, biases = [], []
    for name, parameter in parameters:
        if parameter.requires_grad:
            (biases if "bias" in name else weights).append(parameter)
    rates = [rate, rate * recipe.bias_factor]
    groups = [
        {"params": group, "lr": full, "initial_lr": full}
        for group, full in zip([weights, biases], rates, strict=True)
        if group
    ]
    adams = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    if recipe.optimiser in adams:
        return adams[recipe.optimiser](groups, weight_decay=recipe.weight_decay)
    nesterov = nesterov and recipe.momentum > 0  # without momentum it is nothing
    return torch.optim.SGD(
        groups, momentum=recipe.momentum, weight_decay=recipe.weight_decay, nesterov=nesterov
    )


def set_rate(
    optimiser: torch.optim.Optimizer, recipe: RecipeConfig, training: Training, iteration: int
) -> None:
    """Set every group to its full rate times the recipe's schedule at `iteration`."""
    each = training.iterations_per_epoch
    share = warmed_steps(
        iteration if recipe.schedule == "iteration" else iteration // each * each,
        each,
        recipe.warmup_epochs,
        recipe.warmup_factor,
        recipe.milestones,
    )
    for group in optimiser.param_groups:
        group["lr"] = group["initial_lr"] * share


def descend(loss: Tensor, *optimisers: torch.optim.Optimizer) -> None:
    """One step of each optimiser down the gradient of `loss`."""
    for each in optimisers:
        each.zero_grad(set_to_none=True)
    loss.backward()
    for each in optimisers:
        each.step()


def gates_of(network: nn.Module) -> dict[str, nn.Parameter]:
    """The balancing parameters of a network's BIN layers, by name."""
    return {name: gate for name, gate in network.named_parameters() if name.endswith(".balance")}


def gate_optimiser(gates: Mapping[str, nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
    """Plain SGD, as gates live in [0, 1] whatever the weights do: no momentum, decay or recipe factor."""
    return torch.optim.SGD(gates.values(), lr=learning_rate)


@torch.no_grad()
def clamp_gates(gates: Mapping[str, nn.Parameter]) -> None:
    """Back into [0, 1] after a step, in place."""
    for gate in gates.values():
        gate.clamp_(0, 1)
