"""Count the columns about networks in table S1 of MetaBIN's supplement (table 6 of the paper)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch.overrides import TorchFunctionMode

from dgreid.networks.backbones import build, load_backbone
from dgreid.networks.config import BackboneOptions
from dgreid.networks.norms.bin import BatchInstanceNorm2d
from dgreid.networks.norms.convert import convert_norms


class Specification(NamedTuple):
    """The columns of table S1."""

    dimension: int  # of the feature, before and after the neck
    norm_layers: int
    balance_parameters: int  # one gate for every normalised channel
    parameters: int  # all of the backbone but the gates


def specify(backbone: str | BackboneOptions) -> Specification:
    """Count a backbone whose every norm is MetaBIN's batch-instance norm, without allocating memory for it.

    `parameters` follows the column All Params: it includes the convolutions and two affine maps per norm, one
    for each branch, and leaves out the gates (with them ResNet-50 would have 23.59 M instead of 23.56 M), the
    neck and the classifier.

    Args:
        backbone: a name in params/backbone, or a configuration.

    Raises:
        UserError: an unknown name or architecture.
    """
    config = load_backbone(backbone) if isinstance(backbone, str) else backbone
    with torch.device("meta"), _Uninitialised():
        network = convert_norms(build(config), BatchInstanceNorm2d)
    norms = [module for module in network.modules() if isinstance(module, BatchInstanceNorm2d)]
    gates = sum(norm.balance.numel() for norm in norms)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Specification(network.channels, len(norms), gates, parameters - gates)


class _Uninitialised(TorchFunctionMode):
    """Skip the initialisation by `normal_`, which on the meta device imports torch's compiler for seconds."""

    def __torch_function__(
        self, function: Callable, types: Sequence, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        if getattr(function, "__name__", "") == "normal_":
            return args[0]
        return function(*args, **kwargs or {})
