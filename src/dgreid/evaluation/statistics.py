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


class Bounds(NamedTuple):
    """The lowest and the highest value something can have."""

    low: float
    high: float


def single_match_bounds(rank1: float, rank5: float, rank10: float, definition: str = "step") -> Bounds:
    """What Rank-1, 5 and 10 allow mAP to be where every query has one match (rule R22); all in percent.

    A match at position r scores 1/r by the step definition and, for r > 1, 1/(2r) by the trapezoid one.
    Between two ranks nothing is known of the positions, so the best and the worst are taken; matches
    after the tenth may be as late as one likes.

    Args:
        rank1, rank5, rank10: shares of queries whose match is among the first 1, 5, 10, non-decreasing.
        definition: step or trapezoid.

    Raises:
        ValueError: another definition, or shares that fall.
    """
    if definition not in ("step", "trapezoid"):
        raise ValueError(f"average precision is step or trapezoid, not {definition!r}")
    if not 0 <= rank1 <= rank5 <= rank10 <= 100:
        raise ValueError(f"Rank-1, 5, 10 of {rank1}, {rank5}, {rank10} % are not non-decreasing shares")
    weight = 1.0 if definition == "step" else 0.5
    early, middle, late = rank5 - rank1, rank10 - rank5, 100 - rank10
    low = rank1 + weight * (early / 5 + middle / 10)
    high = rank1 + weight * (early / 2 + middle / 6 + late / 11)
    return Bounds(low, high)


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
