"""Normalisation layers for (N, C, H, W) features, and what converts a network to them.

A file NAME.py with a line `LAYER = ...` is what `method.norm: NAME` means: `LAYER(channels)` makes the layer.
The public names are forwarded when first asked for; code of this package imports the files themselves, so
that a run depends on the norms it executes and on no others.
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "BatchInstanceNorm2d": "bin",
    "HalfInstanceNorm2d": "half",
    "IBN": "ibn",
    "InstanceNorm2d": "instance",
    "SharedBatchInstanceNorm2d": "bin_shared",
    "SwitchableNorm2d": "switchable",
    "convert_norms": "convert",
    "hold": "modes",
    "straight_through_clamp": "gates",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
