"""Means, spreads and paired differences of scores; all scores are percentages.

Three things vary, and an interval covers one of them: the training (seeds: `paired_difference`), the query
images (`resample`), and how a data set is split (`resample` too).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

RESAMPLES = 1000  # from seed to seed, the ends of a 95 % interval then move by about 2 % of its width
DRAWN_AT_ONCE = 2_000_000  # indices, 16 MB


class Spread(NamedTuple):
    """Mean and standard deviation of some scores."""

    mean: float
    deviation: float


class Difference(NamedTuple):
    """Mean of paired differences with its confidence interval; the ends are NaN if there is none."""

    mean: float
    low: float
    high: float
    pairs: int


class Bounds(NamedTuple):
    """The lowest and the highest value that something can have."""

    low: float
    high: float


def single_match_bounds(rank1: float, rank5: float, rank10: float, definition: str = "step") -> Bounds:
    """Compute the mAP that Rank-1, 5 and 10 allow if every query has one match (rule R22); all in percent.

    A match at position r scores 1/r by the step definition and, for r > 1, 1/(2r) by the trapezoid one.
    Between two ranks the positions are unknown, so the best and the worst ones are taken; matches after the
    tenth may be arbitrarily late.

    Args:
        rank1, rank5, rank10: shares of queries whose match is among the first 1, 5, 10, non-decreasing.
        definition: step or trapezoid.

    Raises:
        ValueError: another definition, or decreasing shares.
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
    """Compute mean and population deviation (ddof 0), as MetaBIN's released evaluation does over splits."""
    return Spread(float(np.mean(scores)), float(np.std(scores)))


def over_seeds(scores: Sequence[float]) -> Spread:
    """Compute mean and sample deviation (ddof 1) of repeated trainings; NaN deviation for one."""
    deviation = float(np.std(scores, ddof=1)) if len(scores) > 1 else float("nan")
    return Spread(float(np.mean(scores)), deviation)


def paired_difference(first: Sequence[float], second: Sequence[float], level: float = 0.95) -> Difference:
    """Compute the mean of first - second, pair by pair, with Student's t interval.

    The interval assumes independent pairs. For scores on overlapping random splits it is too narrow.

    Raises:
        ValueError: the two have different lengths, or are empty.
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


def spread_factors(count: int, level: float = 0.95) -> Bounds:
    """Compute within which factors the true standard deviation lies, given that of `count` values.

    The factors follow from the chi-squared distribution of a normal sample's variance: 3 values give 0.5 to
    6.3, 10 values 0.7 to 1.8. With fewer than two values the upper factor is infinite.
    """
    if count < 2:
        return Bounds(0.0, float("inf"))
    tails = stats.chi2.ppf([(1 + level) / 2, (1 - level) / 2], count - 1)
    low, high = np.sqrt((count - 1) / tails)
    return Bounds(float(low), float(high))


def resample(
    gaps: Sequence[float],
    units: Sequence,
    weights: Sequence[float] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> np.ndarray:
    """Compute the bootstrap distribution (resamples,) of a weighted mean of paired gaps, by whole units.

    A query image that is part of several splits or seeds is one unit: its gaps are drawn together, because it
    is equally hard every time. Reordering the gaps changes nothing; negating them negates the distribution.

    Args:
        gaps: (n,) differences of two methods on the same query, or split; NaN (no match) is ignored.
        units: (n,) the unit of each gap, such as the query's image.
        weights: (n,), or None for equal ones; 1 / size of the split gives the mean over split means.
        resamples: how many draws.
        seed: of the draws; the same seed gives the same distribution.

    Raises:
        ValueError: the lengths differ, or every gap is NaN.
    """
    gaps, units = np.asarray(gaps, dtype=float), np.asarray(units)
    weights = np.ones(len(gaps)) if weights is None else np.asarray(weights, dtype=float)
    if gaps.ndim != 1 or not len(gaps) == len(units) == len(weights):
        raise ValueError("a bootstrap needs one unit and one weight for every gap")
    kept = ~np.isnan(gaps)
    if not kept.any():
        raise ValueError("a bootstrap needs at least one gap")
    names, owner = np.unique(units[kept], return_inverse=True)
    total = np.bincount(owner, weights[kept] * gaps[kept])  # (units,)
    weight = np.bincount(owner, weights[kept])  # (units,)
    if len(names) == 1:
        return np.full(resamples, total[0] / weight[0])
    return stats.bootstrap(
        (total, weight),
        lambda total, weight, axis: total.sum(axis) / weight.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, DRAWN_AT_ONCE // len(names)),
        method="percentile",
        rng=seed,
    ).bootstrap_distribution


def percentile_interval(distribution: np.ndarray, level: float = 0.95) -> Bounds:
    """Return the interval that holds the middle `level` of a bootstrap distribution."""
    low, high = np.quantile(distribution, [(1 - level) / 2, (1 + level) / 2])
    return Bounds(float(low), float(high))
