"""Nam and Kim's batch-instance normalisation, with one affine map for both branches."""

import torch
from torch import Tensor, nn

from dgreid.networks.norms.batch_instance import BatchInstance
from dgreid.networks.norms.convert import copy_channels


class SharedBatchInstanceNorm2d(BatchInstance):
    """Nam and Kim (NeurIPS 2018): y = weight * (balance * x_B + (1 - balance) * x_I) + bias.

    x_B is normalised by batch, x_I by instance. The gate, `balance`, starts at 1.
    """

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__(channels, eps, momentum)
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def affine(self, one_pixel: bool = False) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the same map for both branches; autograd adds their gradients."""
        return self.weight, self.bias, self.weight, self.bias

    def adopt(self, norm: nn.BatchNorm2d) -> None:
        """Take over a trained batch norm."""
        copy_channels(norm, slice(None), self)


LAYER = SharedBatchInstanceNorm2d
