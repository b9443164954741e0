"""Backbones of the architectures that are shipped, by name."""

import torch
from torch import nn

from dgreid.networks import backbones

CONFIGS = {
    "mobilenet_v2_x1_4": {"architecture": "mobilenet_v2", "width": 1.4},
    "mobilenet_v2_x1_0": {"architecture": "mobilenet_v2", "width": 1.0},
    "mobilenet_v2_x0_25": {"architecture": "mobilenet_v2", "width": 0.25},
    **{f"resnet{depth}": {"architecture": "resnet", "depth": depth} for depth in (18, 34, 50, 101, 152)},
    "resnet_tiny": {"architecture": "resnet_tiny", "last_stride": 2},
    "osnet_x0_25": {"architecture": "osnet", "width": 0.25},
    "osnet_ain_x0_25": {"architecture": "osnet", "width": 0.25, "variant": "ain"},
}


def config(name, **changes):
    return backbones.read({"name": name, **CONFIGS[name], **changes})


MOBILE = backbones.read(dict(name="mobilenet_v2_x1_0", architecture="mobilenet_v2", last_stride=2))


def randomise_norms(network):
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for name in ("weight", "bias", "running_mean", "running_var"):
                getattr(module, name).data.uniform_(0.5, 1.5)
    return network


def same_outputs(ours, theirs, size=(64, 32)):
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        expected = theirs.eval()(x)
        torch.testing.assert_close(
            ours.eval()(x), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item()
        )
