"""Normalisation layers for (N, C, H, W) features, and the functions that convert a network to them.

`method.norm: NAME` means the file NAME.py, which has a line `LAYER = ...`: `LAYER(channels)` makes the layer.
The public names below are imported only on first use; code of this package imports the files directly, so
that a run depends only on the norms that it executes.
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
