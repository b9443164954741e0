"""Optimisers, learning rates and steps that most methods share."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from dgreid.methods.base import Task
from dgreid.methods.recipe import RecipeConfig
from dgreid.methods.schedules import rate_share

ADAMS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def optimiser(
    parameters: Iterable[tuple[str, nn.Parameter]],
    recipe: RecipeConfig,
    learning_rate: float,
    nesterov: bool | None = None,
) -> torch.optim.Optimizer:
    """Make the recipe's optimiser at `learning_rate` x the recipe's factor.

    Biases have their own rate and, if the recipe says so, their own decay. `initial_lr` of each group is its
    full rate, which `set_rate` scales. `nesterov` affects only SGD; None takes the recipe's.
    """
    rate = learning_rate * recipe.learning_rate_factor
    weights, biases = [], []
    for name, parameter in parameters:
        if parameter.requires_grad:
            (biases if "bias" in name else weights).append(parameter)
    bias_decay = recipe.weight_decay if recipe.bias_decay is None else recipe.bias_decay
    settings = [(rate, recipe.weight_decay), (rate * recipe.bias_factor, bias_decay)]
    groups = [
        {"params": group, "lr": full, "initial_lr": full, "weight_decay": decay}
        for group, (full, decay) in zip([weights, biases], settings, strict=True)
        if group
    ]
    if recipe.optimiser in ADAMS:
        return ADAMS[recipe.optimiser](groups, amsgrad=recipe.amsgrad)
    nesterov = recipe.nesterov if nesterov is None else nesterov
    nesterov = nesterov and recipe.momentum > 0  # torch refuses Nesterov without momentum
    return torch.optim.SGD(groups, momentum=recipe.momentum, nesterov=nesterov)


def set_rate(optimiser: torch.optim.Optimizer, recipe: RecipeConfig, task: Task, iteration: int) -> None:
    """Set every group to its full rate times the recipe's schedule at `iteration`."""
    share = rate_share(recipe, iteration, task.iterations_per_epoch)
    for group in optimiser.param_groups:
        group["lr"] = group["initial_lr"] * share


def descend(loss: Tensor, *optimisers: torch.optim.Optimizer) -> None:
    """Take one step of each optimiser down the gradient of `loss`."""
    for each in optimisers:
        each.zero_grad(set_to_none=True)
    loss.backward()
    for each in optimisers:
        each.step()


def gate_optimiser(gates: Mapping[str, nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
    """Make plain SGD for gates, which stay in [0, 1]: no momentum, no decay, no recipe factor."""
    return torch.optim.SGD(gates.values(), lr=learning_rate)
