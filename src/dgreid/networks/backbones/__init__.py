"""Feature extractors. A file `backbones/NAME.py` defines `build(config)`; nothing else registers it."""

from importlib import import_module
from pathlib import Path

from torch import nn

from dgreid.errors import unknown
from dgreid.networks.config import BackboneConfig


def architectures() -> list[str]:
    """The modules in this folder that define a backbone."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def build(config: BackboneConfig, weights: str = "none") -> nn.Module:
    """A feature extractor (N, 3, H, W) -> (N, C, h, w) with plain batch norms unless `config.ibn` says more.

    Attributes: `channels`, C; `stages`, a tuple of (submodule name, its output channels) in forward order,
    each fed by the one before, so that a module can be put behind a stage or a stage be replaced, by
    `set_submodule`; the last stage's output is the network's. `shallow_stages`: how many of them count as
    shallow where a paper says "shallow layers".

    Args:
        config: a file of params/backbone.
        weights: "none" (drawn from torch's global generator), "imagenet", or the path of a .safetensors or
            .pt file; see `dgreid.networks.weights`.

    Raises:
        UserError: an unknown architecture or depth, weights that are missing or do not fit.
    """
    from dgreid.networks.weights import load  # late: that module knows the backbones

    if config.architecture not in architectures():
        raise unknown("backbone architecture", config.architecture, architectures())
    network = import_module(f"dgreid.networks.backbones.{config.architecture}").build(config)
    load(network, config, weights)
    if config.running_statistics == "fresh":
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
    return network
