"""Diagonal Gaussians: the statistics of maps, their barycentre and distance (LDA)."""

import torch
from torch import Tensor

EPS = 1e-5  # added to variances, so that a dead channel's standard deviation has a gradient


def statistics(maps: Tensor, over: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Compute mean and standard deviation of maps (N, C, h, w) over some dimensions: (C,) or (N, C) each."""
    wide = maps.to(torch.promote_types(maps.dtype, torch.float32))
    var, mean = torch.var_mean(wide, over, correction=0)
    return mean, (var + EPS).sqrt()


def barycentre(means: Tensor, deviations: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Find the Gaussian with the least weighted sum of squared 2-Wasserstein distances to K diagonal ones.

    Because diagonal covariances commute, its mean and its standard deviation are the weighted means of
    theirs.

    Args:
        means: (K, C).
        deviations: (K, C), standard deviations.
        weights: (..., K), with sum 1.

    Returns:
        Mean and standard deviation, (..., C) each.
    """
    weights = weights.to(means.dtype)
    return weights @ means, weights @ deviations


def wasserstein(mean: Tensor, std: Tensor, other_mean: Tensor, other_std: Tensor) -> Tensor:
    """Divide the squared 2-Wasserstein distance of diagonal Gaussians by their channels, (..., C) -> (...).

    (|mean - other_mean|^2 + |std - other_std|^2) / C.
    """
    return ((mean - other_mean).square() + (std - other_std).square()).mean(-1)
