"""Schedules as pure functions of the iteration: nothing to checkpoint, nothing to restart on resume."""

from collections.abc import Sequence


def warmed_steps(
    iteration: int,
    iterations_per_epoch: int,
    warmup_epochs: float,
    warmup_factor: float,
    milestones: Sequence[float],
) -> float:
    """The share of the base learning rate at `iteration` (0-based): linear warm-up, then tenfold steps.

    w(it) * 0.1 ** (milestones passed), w rising from `warmup_factor` to 1 over the warm-up
    (MetaBIN 4.1; it = 0 gives 1e-4 of a base rate .01).
    """
    warmup = warmup_epochs * iterations_per_epoch
    rise = iteration / warmup if iteration < warmup else 1.0
    passed = sum(milestone * iterations_per_epoch <= iteration for milestone in milestones)
    return (warmup_factor * (1 - rise) + rise) * 0.1**passed


def triangular(step: int, low: float, high: float, period: int) -> float:
    """The cyclic value at `step`: `low` at 0, up to `high` in half a period, down again (MetaBIN 3.3).

    Where the period is odd the way down is one step longer, as released.
    """
    up = max(1, period // 2)
    down = max(1, period - up)
    place = step % (up + down)
    share = place / up if place <= up else 1 - (place - up) / down
    return low + (high - low) * share
