"""One file per architecture: `backbones/NAME.py` defines `Options` and `build(options, size)`.

Nothing else registers it. A run's options are validated when it is composed; `build` returns a
`dgreid.networks.backbone.Backbone`.
"""

from typing import Any

from torch import nn

from dgreid import params
from dgreid.errors import UserError
from dgreid.networks.backbone import Backbone
from dgreid.networks.config import BackboneOptions
from dgreid.networks.weights import load
from dgreid.registry import Registry
from dgreid.schema import validate

ARCHITECTURES = Registry("dgreid.networks.backbones", "backbone architecture", ("build", "Options"))
architectures, module = ARCHITECTURES.names, ARCHITECTURES.module

Size = tuple[int, int]  # height and width of the images


def read(node: dict[str, Any], where: str = "") -> BackboneOptions:
    """Validate the values of a backbone by its architecture's options.

    Raises:
        UserError: the architecture is unknown, or an option has no meaning for it.
    """
    if "architecture" not in node:
        raise UserError(f"{where or node.get('name', 'backbone')}: which architecture? {_known()}")
    return validate(module(node["architecture"]).Options, node, where)


def load_backbone(name: str) -> BackboneOptions:
    """Read params/backbone/NAME.yaml."""
    return read(params.read("backbone", name))


def build(options: BackboneOptions, weights: str = "none", size: Size | None = None) -> Backbone:
    """Build a feature extractor, (N, 3, H, W) -> (N, C, h, w).

    Args:
        options: the validated values of a file in params/backbone.
        weights: "none" (random, from torch's global generator), "imagenet", or the path of a .safetensors or
            .pt file; see `dgreid.networks.weights`.
        size: height and width of the images, for networks whose parameters depend on it.

    Raises:
        UserError: weights are missing or do not fit, or the architecture needs a size that is not given.
    """
    network = module(options.architecture).build(options, size)
    load(network, weights, options.name)
    if options.running_statistics == "fresh":
        for layer in network.modules():
            if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
                layer.reset_running_stats()
    return network


def _known() -> str:
    return f"Set `architecture` to one of: {', '.join(architectures())}."
