"""The norms that a network is converted to, and a batch norm that has been trained."""

from torch import nn

from dgreid.networks.norms import (
    IBN,
    BatchInstanceNorm2d,
    HalfInstanceNorm2d,
    InstanceNorm2d,
    SharedBatchInstanceNorm2d,
    SwitchableNorm2d,
)

# each makes a layer of so many channels, in place of a batch norm
FACTORIES = (
    BatchInstanceNorm2d,
    SharedBatchInstanceNorm2d,
    HalfInstanceNorm2d,
    IBN,
    InstanceNorm2d,
    SwitchableNorm2d,
)


def trained_norm(channels):
    norm = nn.BatchNorm2d(channels)
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(norm, name).data.uniform_(0.5, 2)
    return norm
