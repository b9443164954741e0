"""The norms that a network is converted to, and a batch norm that has been trained."""

import torch
from torch import nn
from torch.nn import functional as F

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


# the parameters of MetaBIN's layer
NAMES = (
    "balance",
    "batch_weight",
    "batch_bias",
    "instance_weight",
    "instance_bias",
)  # parameters of MetaBIN's layer


def random_layer(channels, dtype=torch.float64, kind=BatchInstanceNorm2d):
    layer = kind(channels).to(dtype)
    for tensor in layer.state_dict().values():
        tensor.uniform_(0.1, 0.9)
    return layer


def plain(layer, x, train):
    """Both norms and the mix, by torch's own layers; running statistics untouched."""
    statistics = (None, None) if train else (layer.running_mean, layer.running_var)
    batch_weight, batch_bias, instance_weight, instance_bias = layer.affine(x.shape[-2:].numel() == 1)
    batch = F.batch_norm(x, *statistics, batch_weight, batch_bias, train)
    # by hand: torch's instance norm refuses 1x1 maps
    var, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
    instance = (x - mean) / (var + 1e-5).sqrt() * instance_weight[:, None, None] + instance_bias[
        :, None, None
    ]
    balance = layer.balance[:, None, None]
    return balance * batch + (1 - balance) * instance
