"""Compute learning rates from the iteration alone, so that a checkpoint needs no state of a schedule."""

import math
from collections.abc import Sequence

from dgreid.methods.recipe import RecipeConfig


def rate_share(recipe: RecipeConfig, iteration: int, iterations_per_epoch: int) -> float:
    """Return the share of the full learning rate at `iteration` (0-based): warm-up times decay.

    The decay follows `recipe.schedule`, the warm-up `recipe.warmup_schedule`; a warm-up given in iterations
    changes the rate at each of them. Milestones and exponential decay count from iteration 0, as in M3L's and
    MetaBIN's releases; no release is known that counts them from the end of the warm-up. The cosine is that
    of fast-reid, META and ACL; see `cosine_steps`.
    """
    unit = 1 if recipe.schedule == "iteration" else iterations_per_epoch
    moment, length = iteration // unit * unit, warmup_length(recipe, iterations_per_epoch)
    warmed = warm_up(_warmup_moment(recipe, iteration, iterations_per_epoch), length, recipe.warmup_factor)
    if recipe.decay == "steps":
        return warmed * steps(moment, iterations_per_epoch, recipe.milestones)
    if recipe.decay == "exponential":
        return warmed * recipe.gamma ** (moment / iterations_per_epoch)
    total = recipe.epochs * iterations_per_epoch
    return warmed * cosine(*cosine_steps(iteration, total, length, unit), recipe.floor)


def warmup_length(recipe: RecipeConfig, iterations_per_epoch: int) -> float:
    """Return the length of the warm-up in iterations."""
    if recipe.warmup_iterations is not None:
        return recipe.warmup_iterations
    return recipe.warmup_epochs * iterations_per_epoch


def _warmup_moment(recipe: RecipeConfig, iteration: int, iterations_per_epoch: int) -> int:
    """Return the iteration to compute the warm-up from: the first of the epoch if rates change by epoch."""
    schedule = recipe.warmup_schedule or recipe.schedule
    if recipe.warmup_iterations is not None or schedule == "iteration":
        return iteration
    return iteration // iterations_per_epoch * iterations_per_epoch


def warm_up(iteration: int, length: float, factor: float) -> float:
    """Rise linearly from `factor` at iteration 0 to 1 at iteration `length`."""
    rise = iteration / length if iteration < length else 1.0
    return factor * (1 - rise) + rise


def steps(iteration: int, iterations_per_epoch: int, milestones: Sequence[float]) -> float:
    """Return 0.1 to the power of the milestones (in epochs) that have passed."""
    return 0.1 ** sum(milestone * iterations_per_epoch <= iteration for milestone in milestones)


def cosine(step: int, steps: int, floor: float) -> float:
    """Fall by half a cosine from 1 at step 0 to `floor` at step `steps`; constant before and after."""
    place = min(max(step, 0), steps) / steps if steps > 0 else 0.0
    return floor + (1 - floor) * (1 + math.cos(math.pi * place)) / 2


def cosine_steps(iteration: int, total: int, warmup: float, unit: int) -> tuple[int, int]:
    """Return how many steps the cosine has taken at `iteration`, and how many it takes in all.

    As in fast-reid, it steps at the end of each epoch that ends with or after the warm-up, and takes as many
    steps as there are epochs behind the one in which the warm-up ends: with a warm-up inside epoch 0 of 120,
    epoch 1 has step 1 of 119 (META); with one of 10 epochs of 60, epoch 10 has step 1 of 50 (ACL). Without a
    warm-up epoch 0 has step 0 of all epochs (torch, torchreid's OSNet-AIN). No release is known that steps at
    every iteration after a warm-up, or by epoch after a warm-up by epoch; here the same rule holds for both.

    Args:
        total: iterations of the training.
        warmup: its length in iterations.
        unit: iterations between two steps, those of an epoch or 1.
    """
    first = math.ceil(round(warmup / unit, 9))  # epochs that the warm-up touches; rounded: 0.1 * 30 > 3
    return iteration // unit + 1 - max(first, 1), total // unit - first


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
