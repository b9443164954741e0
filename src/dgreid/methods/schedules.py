"""Schedules as pure functions of the iteration, so that there is nothing to checkpoint."""

import math
from collections.abc import Sequence

from dgreid.methods.recipe import RecipeConfig


def rate_share(recipe: RecipeConfig, iteration: int, iterations_per_epoch: int) -> float:
    """Return the share of the full learning rate at `iteration` (0-based): warm-up times decay.

    A warm-up given in iterations changes the rate at each of them; all else follows `recipe.schedule`.
    """
    by_epoch = iteration // iterations_per_epoch * iterations_per_epoch
    moment = iteration if recipe.schedule == "iteration" else by_epoch
    warmup = recipe.warmup_epochs * iterations_per_epoch
    if recipe.warmup_iterations is not None:
        warmup = recipe.warmup_iterations
    warmed = warm_up(moment if recipe.warmup_iterations is None else iteration, warmup, recipe.warmup_factor)
    if recipe.decay == "steps":
        return warmed * steps(moment, iterations_per_epoch, recipe.milestones)
    epoch = moment / iterations_per_epoch
    if recipe.decay == "exponential":
        return warmed * recipe.gamma**epoch
    start = math.ceil(warmup / iterations_per_epoch)
    return warmed * cosine(epoch - start, recipe.epochs - start, recipe.floor)


def warm_up(iteration: int, length: float, factor: float) -> float:
    """Rise linearly from `factor` at iteration 0 to 1 at iteration `length`."""
    rise = iteration / length if iteration < length else 1.0
    return factor * (1 - rise) + rise


def steps(iteration: int, iterations_per_epoch: int, milestones: Sequence[float]) -> float:
    """Return 0.1 to the power of the milestones (in epochs) that have passed."""
    return 0.1 ** sum(milestone * iterations_per_epoch <= iteration for milestone in milestones)


def cosine(epoch: float, epochs: float, floor: float) -> float:
    """Fall by half a cosine from 1 at epoch 0 to `floor` at the end; 1 before epoch 0."""
    place = min(max(epoch, 0.0), epochs) / epochs if epochs > 0 else 1.0
    return floor + (1 - floor) * (1 + math.cos(math.pi * place)) / 2


def warmed_steps(
    iteration: int,
    iterations_per_epoch: int,
    warmup_epochs: float,
    warmup_factor: float,
    milestones: Sequence[float],
) -> float:
    """Return the share of the base rate at `iteration` (0-based): linear warm-up, then tenfold steps.

    w(it) * 0.1 ** (milestones passed), w rising from `warmup_factor` to 1 over the warm-up
    (MetaBIN 4.1; it = 0 gives 1e-4 of a base rate .01).
    """
    warmed = warm_up(iteration, warmup_epochs * iterations_per_epoch, warmup_factor)
    return warmed * steps(iteration, iterations_per_epoch, milestones)


def triangular(step: int, low: float, high: float, period: int) -> float:
    """Return the cyclic value at `step`: `low` at 0, `high` after half a period, then down (MetaBIN 3.3).

    If the period is odd, the way down is one step longer, as released.
    """
    up = max(1, period // 2)
    down = max(1, period - up)
    place = step % (up + down)
    share = place / up if place <= up else 1 - (place - up) / down
    return low + (high - low) * share
