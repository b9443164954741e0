"""Switchable normalisation (Luo et al., ICLR 2019)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dgreid.errors import unknown

COMPONENTS = ("in", "ln", "bn")


class SwitchableNorm2d(nn.Module):
    """Mixes instance, layer and batch statistics by a softmax per layer.

    y = weight * (x - mean) / sqrt(var + eps) + bias, where mean and var are convex combinations of the
    components' moments, weighted by the softmax of `mean_logits` and `var_logits` (K,), all initially 1. The
    instance variance is unbiased; layer and batch moments are derived from the instance ones. Running
    statistics start at 0, keep 90 % of their value in an update, and replace only the batch component at test
    time.

    Args:
        channels: C.
        components: those of "in", "ln", "bn" to mix; ("in", "bn") is the two-way form.
        eps: added to the variance.
        momentum: share of the new value in the running statistics (the original's 0.9 is the share kept).
    """

    def __init__(
        self, channels: int, components: Sequence[str] = COMPONENTS, eps: float = 1e-5, momentum: float = 0.1
    ):
        super().__init__()
        for component in components:
            if component not in COMPONENTS:
                raise unknown("component of SwitchableNorm2d", component, COMPONENTS)
        self.components, self.eps, self.momentum = tuple(components), eps, momentum
        self.track_running_stats = True  # `hold` switches this off
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.mean_logits = nn.Parameter(torch.ones(len(components)))
        self.var_logits = nn.Parameter(torch.ones(len(components)))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W) -> (N, C, H, W)."""
        wide = x if x.dtype == torch.float64 else x.float()  # statistics never in half precision
        own_mean = wide.mean((2, 3))  # (N, C)
        centred = wide - own_mean[..., None, None]
        positions = x.shape[2] * x.shape[3]
        own_var = centred.square().sum((2, 3)) / max(1, positions - 1)  # a 1x1 map has variance 0, not NaN
        moments = self._moments(own_mean, own_var)
        mean_shares, var_shares = self.mean_logits.softmax(0), self.var_logits.softmax(0)  # (K,)
        mean = sum(mean_shares[i] * moments[k][0] for i, k in enumerate(self.components))
        var = sum(var_shares[i] * moments[k][1] for i, k in enumerate(self.components))
        scale = self.weight * (var + self.eps).rsqrt()  # (N, C)
        shift = scale * (own_mean - mean) + self.bias
        return (centred * scale[..., None, None] + shift[..., None, None]).to(x.dtype)

    def _moments(self, mean: Tensor, var: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Compute each component's mean and variance from those of each map; they broadcast to (N, C)."""
        square = var + mean.square()
        layer = mean.mean(1, keepdim=True)  # (N, 1)
        moments = {"in": (mean, var), "ln": (layer, square.mean(1, keepdim=True) - layer.square())}
        if not self.training:
            return moments | {"bn": (self.running_mean, self.running_var)}
        batch = mean.mean(0)  # (C,)
        moments["bn"] = (batch, square.mean(0) - batch.square())
        if self.track_running_stats:
            with torch.no_grad():
                for running, new in zip((self.running_mean, self.running_var), moments["bn"], strict=True):
                    running.lerp_(new.to(running.dtype), self.momentum)
        return moments

    @torch.no_grad()
    def adopt(self, norm: nn.BatchNorm2d) -> None:
        """Take over the affine map of a trained batch norm; running statistics start at 0 as published."""
        self.weight.copy_(norm.weight)
        self.bias.copy_(norm.bias)


LAYER = SwitchableNorm2d
