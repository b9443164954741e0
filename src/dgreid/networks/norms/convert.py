"""Convert the batch norms of a network to other norms."""

import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from dgreid.errors import UserError, unknown


def names() -> list[str]:
    """List the values of `method.norm`: `batch`, and the files in this folder with a line `LAYER = ...`."""
    files = Path(__file__).parent.glob("[a-z]*.py")
    return sorted(
        [
            "batch",
            *(path.stem for path in files if re.search(r"^LAYER = ", path.read_text(encoding="utf-8"), re.M)),
        ]
    )


def module(name: str) -> ModuleType:
    """Import the module of a norm by name, so that only runs that use a norm depend on its file.

    Raises:
        UserError: there is no norm of this name.
    """
    if name not in names():
        raise unknown("method.norm", name, names())
    return import_module(f"dgreid.networks.norms.{name}")


def has_gates(name: str) -> bool:
    """Whether the norm of this name mixes by gates, such as `bin`."""
    return name != "batch" and hasattr(module(name).LAYER(2), "balance")


def plain_norms(
    network: nn.Module, only: Callable[[str], bool] | None = None
) -> Iterator[tuple[str, nn.BatchNorm2d]]:
    """Yield a network's plain `BatchNorm2d`s with their dotted names, except those that `only` rejects."""
    for name, norm in network.named_modules():
        if type(norm) is nn.BatchNorm2d and (only is None or only(name)):
            yield name, norm


def convert_norms(
    network: nn.Module,
    factory: Callable[[int], nn.Module],
    only: Callable[[str], bool] | None = None,
) -> nn.Module:
    """Replace every `BatchNorm2d` of `network` by `factory(channels)`; in place, except at the root.

    A new layer's method `adopt(norm)`, if it has one, takes over values of the trained batch norm; other
    layers start afresh. Device, type and mode (train, eval) are kept.

    Args:
        network: any network with plain batch norms.
        factory: a norm class, or a function of the channel count.
        only: takes a dotted name; norms for which it is false are not replaced.

    Returns:
        The network, or the new layer if `network` is itself a batch norm.

    Raises:
        UserError: there is no batch norm to convert; a run would be trained under another norm's name.
    """
    chosen = list(plain_norms(network, only))
    if not chosen:
        raise UserError(
            f"{type(network).__name__} has no batch norm to convert: choose a backbone that has some, or a "
            "method that leaves norms as they are (method.norm=batch)."
        )
    for name, norm in chosen:
        layer = factory(norm.num_features).to(norm.weight.device, norm.weight.dtype).train(norm.training)
        if hasattr(layer, "adopt"):
            layer.adopt(norm)
        if not name:
            return layer
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, layer)
    return network


@torch.no_grad()
def copy_channels(norm: nn.BatchNorm2d, channels: slice, to: nn.Module) -> None:
    """Copy some channels' affine map and, if the norm `to` has any, running statistics."""
    for name in ("weight", "bias", "running_mean", "running_var"):
        if getattr(to, name) is not None:  # instance norms have no running statistics
            getattr(to, name).copy_(getattr(norm, name)[channels])
