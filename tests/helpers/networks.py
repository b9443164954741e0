"""Backbones of the architectures that are shipped, by name."""

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
