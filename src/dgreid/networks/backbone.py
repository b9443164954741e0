"""The base class of feature extractors."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from dgreid.errors import UserError

Stage = tuple[str, int]  # submodule name, its output channels
COUNTER = "num_batches_tracked"  # a tensor that norms with a fixed momentum do not use


class Backbone(nn.Module):
    """A feature extractor: computes maps from images, and one feature vector from the maps.

    A network of a stem and stages defines `enter`; one without stages defines `forward`.

    Attributes:
        channels: C of the pooled features, and of the maps unless `pool` changes it (`map_channels`).
        stages: in forward order. Each takes the output of the one before, and the last one's output is the
            network's, so that `set_submodule` can replace a stage or put a module after it. Empty if the
            network has no such stages; methods that need them refuse it.
        pool_layers: submodules that only `pool` runs; a method that takes the maps alone drops them.
        shallow_stages: number of stages that a paper's "shallow layers" means; 0: none are declared.
        style_places: identities at which DualNorm puts the norms that remove style, each with its channels;
            empty: DualNorm refuses the network.
        style_stem: the stem's convolution and norm, if DualNorm also removes style there.
        weight_name: its weight files are data/weights/<weight_name>_imagenet.* and other words; None: its
            name in params/.
        torchvision_name: torchvision's name of the network; None if torchvision has no weights for it.
        weight_hint: another source of its ImageNet weights, for the message that asks for them.
        classifiers: prefixes of the tensors in a weight file that only tell its classes apart; they are never
            used.
    """

    channels: int
    stages: tuple[Stage, ...] = ()
    pool_layers: tuple[str, ...] = ()
    shallow_stages: int = 0
    style_places: tuple[tuple[str, int], ...] = ()
    style_stem: tuple[str, str] | None = None
    weight_name: str | None = None
    torchvision_name: str | None = None
    weight_hint: str = ""
    classifiers: tuple[str, ...] = ("fc.", "classifier.")

    def enter(self, images: Tensor) -> Tensor:
        """Compute the first stage's input, (N, 3, H, W) -> (N, C', h, w)."""
        raise NotImplementedError

    def through(self, maps: Tensor, stages: Iterable[Stage]) -> Tensor:
        """Compute stages that follow one another, (N, C, h, w) -> (N, C', h', w').

        With `enter`, a method gets the network in parts, or, stage by stage, features of several levels.
        """
        for name, _ in stages:
            maps = self.get_submodule(name)(maps)
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """Compute maps, (N, 3, H, W) -> (N, C, h, w); a transformer's are its tokens, (N, C, tokens, 1)."""
        return self.through(self.enter(images), self.stages)

    def pool(self, maps: Tensor) -> Tensor:
        """Pool maps to features (N, C), by default by averages over positions.

        It may use parameters of its own, such as the exponent of a generalised mean.
        """
        return average(maps)

    def translate(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Rename the tensors of a weight file, in any known layout, to this network's names."""
        return state


def initialise(network: nn.Module) -> None:
    """Initialise convolutions by He et al. 2015, mode fan_out, from torch's global generator."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def stages_of(network: nn.Module, least: int = 1) -> tuple[Stage, ...]:
    """Return the stages of a network, for a method that needs `least` of them.

    Raises:
        UserError: it has fewer, so the method would be another than its name says.
    """
    stages = getattr(network, "stages", ())
    if len(stages) < least:
        raise UserError(
            f"{type(network).__name__} has {len(stages) or 'no'} stages, and this method needs {least} or "
            "more: choose another backbone."
        )
    return stages


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
