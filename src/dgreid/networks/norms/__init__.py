"""Normalisation layers for (N, C, H, W) features, one file per family, and what turns a network to them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn

from dgreid.networks.norms.batch_instance import (
    BatchInstanceNorm2d,
    SharedBatchInstanceNorm2d,
    straight_through_clamp,
)
from dgreid.networks.norms.half import IBN, HalfInstanceNorm2d
from dgreid.networks.norms.instance import InstanceNorm2d
from dgreid.networks.norms.switchable import SwitchableNorm2d

__all__ = [
    "IBN",
    "BatchInstanceNorm2d",
    "HalfInstanceNorm2d",
    "InstanceNorm2d",
    "SharedBatchInstanceNorm2d",
    "SwitchableNorm2d",
    "convert_norms",
    "hold",
    "straight_through_clamp",
]


def convert_norms(
    network: nn.Module,
    factory: Callable[[int], nn.Module],
    only: Callable[[str], bool] | None = None,
) -> nn.Module:
    """Replace every `BatchNorm2d` of `network` by `factory(channels)`; in place, except at the root.

    What a new layer takes over from the trained batch norm is its own rule, its method `adopt(norm)`; a layer
    without one starts afresh. Device, type and mode (train, eval) are kept.

    Args:
        network: any network with plain batch norms.
        factory: a norm class, or a function of the channel count.
        only: keeps the norms whose dotted name it rejects.

    Returns:
        The network, or the new layer if `network` is itself a batch norm.
    """
    chosen = [
        (name, module)
        for name, module in network.named_modules()
        if type(module) is nn.BatchNorm2d and (only is None or only(name))
    ]
    for name, norm in chosen:
        layer = factory(norm.num_features).to(norm.weight.device, norm.weight.dtype).train(norm.training)
        if hasattr(layer, "adopt"):
            layer.adopt(norm)
        if not name:
            return layer
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, layer)
    return network


@contextmanager
def hold(network: nn.Module) -> Iterator[None]:
    """Norms in training mode use the statistics of the batch they see, and leave running ones untouched.

    For every norm with running statistics, also plain `BatchNorm1d` and `BatchNorm2d`. Norms in eval mode
    go on using running statistics.
    """
    tracking = [m for m in network.modules() if getattr(m, "track_running_stats", False)]
    for module in tracking:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in tracking:
            module.track_running_stats = True
