"""What a feature extractor is."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Backbone(nn.Module):
    """A feature extractor: maps from images, and one feature vector from the maps.

    Attributes:
        channels: C of the maps and of the pooled features.
        stages: (submodule name, its output channels) in forward order, each fed by the one before, so that a
            module can be put behind a stage or a stage be replaced, by `set_submodule`; the last stage's
            output is the network's. Empty if the network has no such stages; methods that need them refuse.
        shallow_stages: how many of them count as shallow where a paper says "shallow layers".
        weight_name: stem of its file in data/weights, `<weight_name>_imagenet.*`; None: the name in params/.
        torchvision_name: of its ImageNet weights; None if torchvision has none.
        weight_hint: where else its ImageNet weights are found, for the sentence that asks for them.
    """

    channels: int
    stages: tuple[tuple[str, int], ...] = ()
    shallow_stages: int = 0
    weight_name: str | None = None
    torchvision_name: str | None = None
    weight_hint: str = ""

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> maps (N, C, h, w); a transformer's tokens stand in a column, (N, C, tokens, 1)."""
        raise NotImplementedError

    def pool(self, maps: Tensor) -> Tensor:
        """Maps -> features (N, C): averages over positions unless a backbone says otherwise."""
        return average(maps)

    def translate(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Rename the tensors of a weight file, in whatever layout it has, to this network's names."""
        return state


def average(maps: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, C), the mean over positions, in float32 or better."""
    return maps.mean((2, 3), dtype=torch.promote_types(maps.dtype, torch.float32))


def rename(state: Mapping[str, Tensor], table: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors under the names that `table` has for their modules; others unchanged."""
    renamed = {}
    for name, value in state.items():
        module, dot, tensor = name.rpartition(".")
        renamed[f"{table.get(module, module)}{dot}{tensor}"] = value
    return renamed
