"""Modes of a network: running statistics of its norms held, or layers twice differentiable."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def hold(network: nn.Module) -> Iterator[None]:
    """Make norms in training mode use batch statistics without updating running ones, inside the block.

    This holds for every norm with running statistics, also plain `BatchNorm1d` and `BatchNorm2d`. Norms in
    eval mode still use their running statistics.
    """
    tracking = [m for m in network.modules() if getattr(m, "track_running_stats", False)]
    for module in tracking:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in tracking:
            module.track_running_stats = True


def differentiate_twice(network: nn.Module, twice: bool = True) -> None:
    """Set whether gradients of gradients are needed; fused layers then compute by plain operations."""
    for module in network.modules():
        if hasattr(module, "double_differentiable"):
            module.double_differentiable = twice


@contextmanager
def attention_differentiable_twice(twice: bool = True) -> Iterator[None]:
    """Compute attention by plain operations inside the block, if gradients of gradients are needed.

    torch chooses the kernel in the forward pass, and its fused ones have no second derivative.
    """
    if not twice:
        yield
        return
    with sdpa_kernel(SDPBackend.MATH):
        yield
