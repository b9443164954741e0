"""LDA's Buffer Bank: one norm layer for two networks, with the statistics of every source domain.

Network-E (expert) and Network-A (domain-aligned) share convolutions and affine maps; `as_expert` tells a
layer which of the two it works for. E normalises a domain's batch by its own statistics and keeps running
ones for each domain, the bank, which only E writes. A reads the bank in Anti-Normalisation (anti.py); its
other norms are plain batch norms with their own running statistics.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BankNorm2d(nn.Module):
    """The base of both layers: affine map, bank, Network-E's batch norm.

    Parameters `weight`, `bias` (C,), shared by all domains and by both networks. Buffers `bank_mean`,
    `bank_var` (domains, C): running mean and unbiased variance. The expert's norm obeys `train()`
    (statistics of the batch, its domain's row updated), `hold(network)` (statistics of the batch, nothing
    updated) and `eval()` (its domain's row).
    """

    def __init__(self, channels: int, domains: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        self.channels, self.domains, self.eps, self.momentum = channels, domains, eps, momentum
        self.track_running_stats = True  # `hold` switches this off
        self.domain: int | None = None  # the current expert's domain; None: Network-A
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("bank_mean", torch.zeros(domains, channels))
        self.register_buffer("bank_var", torch.ones(domains, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W) -> (N, C, H, W); an expert gets a batch of its domain."""
        if self.domain is None:
            return self.align(x)
        return self.batch_norm(x, self.bank_mean[self.domain], self.bank_var[self.domain])

    def align(self, x: Tensor) -> Tensor:
        """Normalise for Network-A, (N, C, H, W) -> (N, C, H, W)."""
        raise NotImplementedError

    def batch_norm(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        """Apply batch norm with running statistics `mean`, `var` (C,), updated in place in training.

        Raises:
            ValueError: the input has one value per channel in training.
        """
        if self.training and not self.track_running_stats:
            mean = var = None
        return F.batch_norm(x, mean, var, self.weight, self.bias, self.training, self.momentum, self.eps)

    @torch.no_grad()
    def adopt(self, norm: nn.BatchNorm2d) -> None:
        """Take over a trained batch norm; every domain starts from its running statistics."""
        self.weight.copy_(norm.weight)
        self.bias.copy_(norm.bias)
        self.bank_mean.copy_(norm.running_mean)  # (C,) into every row
        self.bank_var.copy_(norm.running_var)

    def extra_repr(self) -> str:
        """Describe the layer for print(network)."""
        return f"{self.channels}, domains={self.domains}, eps={self.eps}, momentum={self.momentum}"


class BufferBankNorm2d(BankNorm2d):
    """A plain batch norm in Network-A, with running statistics that Network-E does not change."""

    def __init__(self, channels: int, domains: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__(channels, domains, eps, momentum)
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def align(self, x: Tensor) -> Tensor:
        """Normalise for Network-A, (N, C, H, W) -> (N, C, H, W)."""
        return self.batch_norm(x, self.running_mean, self.running_var)

    @torch.no_grad()
    def adopt(self, norm: nn.BatchNorm2d) -> None:
        """Take over a trained batch norm; Network-A also starts from its running statistics."""
        super().adopt(norm)
        self.running_mean.copy_(norm.running_mean)
        self.running_var.copy_(norm.running_var)


@torch.no_grad()
def share_banks(expert: nn.Module, aligned: nn.Module) -> None:
    """Copy Network-E's bank to Network-A; do nothing if they are one network."""
    if expert is aligned:
        return
    theirs, ours = (
        [module for module in network.modules() if isinstance(module, BankNorm2d)]
        for network in (expert, aligned)
    )
    for one, other in zip(theirs, ours, strict=True):
        other.bank_mean.copy_(one.bank_mean)
        other.bank_var.copy_(one.bank_var)


@contextmanager
def as_expert(network: nn.Module, domain: int) -> Iterator[None]:
    """Make the network Network-E of `domain` inside the block; outside, it is Network-A."""
    layers = [module for module in network.modules() if isinstance(module, BankNorm2d)]
    for layer in layers:
        layer.domain = domain
    try:
        yield
    finally:
        for layer in layers:
            layer.domain = None
