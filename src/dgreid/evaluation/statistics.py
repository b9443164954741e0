"""Means, spreads and paired differences of scores; all scores are percentages."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class Spread(NamedTuple):
    """Mean and standard deviation of some scores."""

    mean: float
    deviation: float


class Difference(NamedTuple):
    """Mean of paired differences with its confidence interval; the ends are NaN for a single pair."""

    mean: float
    low: float
    high: float
    pairs: int


def over_splits(scores: Sequence[float]) -> Spread:
    """Mean and population standard deviation (ddof 0), as MetaBIN's released evaluation reports splits."""
    return Spread(float(np.mean(scores)), float(np.std(scores)))


def over_seeds(scores: Sequence[float]) -> Spread:
    """Mean and sample standard deviation (ddof 1) of repeated trainings; NaN for a single one."""
    deviation = float(np.std(scores, ddof=1)) if len(scores) > 1 else float("nan")
    return Spread(float(np.mean(scores)), deviation)


def paired_difference(first: Sequence[float], second: Sequence[float], level: float = 0.95) -> Difference:
    """Mean of first - second, pair by pair, with Student's t interval.

    The interval takes the pairs as independent. Scores on overlapping random splits are not quite, so it is
    rather too narrow.

    Raises:
        ValueError: the two have different lengths, or none.
    """
    gaps = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    if gaps.ndim != 1 or len(first) != len(second) or not len(gaps):
        raise ValueError("paired differences need two score lists of the same length")
    mean = float(gaps.mean())
    if len(gaps) == 1:
        return Difference(mean, float("nan"), float("nan"), 1)
    error = float(stats.sem(gaps))
    if error == 0:
        return Difference(mean, mean, mean, len(gaps))
    low, high = stats.t.interval(level, len(gaps) - 1, loc=mean, scale=error)
    return Difference(mean, float(low), float(high), len(gaps))
