"""Switchable normalisation between instance and batch statistics, without layer statistics."""

from functools import partial

from dgreid.networks.norms.switchable import SwitchableNorm2d

LAYER = partial(SwitchableNorm2d, components=("in", "bn"))
