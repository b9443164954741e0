"""The base class of feature extractors."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Backbone(nn.Module):
    """A feature extractor: computes maps from images, and one feature vector from the maps.

    Attributes:
        channels: C of the pooled features, and of the maps unless `pool` changes it (`map_channels`).
        stages: (submodule name, its output channels) in forward order. Each stage takes the output of the one
            before, and the last stage's output is the network's, so that `set_submodule` can replace a stage
            or put a module after it. Empty if the network has no such stages; methods that need them refuse
            it.
        pool_layers: submodules that only `pool` runs; a method that takes the maps alone drops them.
        shallow_stages: number of stages that a paper's "shallow layers" means.
        weight_name: its weight files are data/weights/<weight_name>_imagenet.* and other words; None: its
            name in params/.
        torchvision_name: torchvision's name of the network; None if torchvision has no weights for it.
        weight_hint: another source of its ImageNet weights, for the message that asks for them.
    """

    channels: int
    stages: tuple[tuple[str, int], ...] = ()
    pool_layers: tuple[str, ...] = ()
    shallow_stages: int = 0
    weight_name: str | None = None
    torchvision_name: str | None = None
    weight_hint: str = ""

    def forward(self, images: Tensor) -> Tensor:
        """Compute maps, (N, 3, H, W) -> (N, C, h, w); a transformer's are its tokens, (N, C, tokens, 1)."""
        raise NotImplementedError

    def pool(self, maps: Tensor) -> Tensor:
        """Pool maps to features (N, C), by default by averages over positions."""
        return average(maps)

    def translate(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Rename the tensors of a weight file, in any known layout, to this network's names."""
        return state


def average(maps: Tensor) -> Tensor:
    """Average over positions in float32 or better, (N, C, h, w) -> (N, C)."""
    return maps.mean((2, 3), dtype=torch.promote_types(maps.dtype, torch.float32))


def map_channels(backbone: nn.Module) -> int:
    """Return C of a network's maps: that of the last stage, or of the features if it has no stages."""
    return backbone.stages[-1][1] if backbone.stages else backbone.channels


def rename(state: Mapping[str, Tensor], table: Mapping[str, str]) -> dict[str, Tensor]:
    """Rename tensors whose modules have a new name in `table`; other names stay."""
    renamed = {}
    for name, value in state.items():
        module, dot, tensor = name.rpartition(".")
        renamed[f"{table.get(module, module)}{dot}{tensor}"] = value
    return renamed
