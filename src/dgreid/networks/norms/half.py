"""A norm that gives half of the channels to batch and half to instance normalisation."""

import torch
from torch import Tensor, nn

from dgreid.networks.norms.convert import copy_channels
from dgreid.networks.norms.instance import InstanceNorm2d


class HalfInstanceNorm2d(nn.Module):
    """First ceil(C / 2) channels through BN, the others through IN ("BN+IN half" of MetaBIN, table 5)."""

    def __init__(self, channels: int):
        super().__init__()
        self.split = -(-channels // 2)  # ceil: odd widths exist (33, 89)
        self.batch = nn.BatchNorm2d(self.split)
        self.instance = InstanceNorm2d(channels - self.split)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return torch.cat([self.batch(x[:, : self.split]), self.instance(x[:, self.split :])], 1)

    def adopt(self, norm: nn.BatchNorm2d) -> None:
        """The batch half takes over its channels; the instance half keeps weight 1, bias 0."""
        copy_channels(norm, slice(0, self.split), self.batch)


LAYER = HalfInstanceNorm2d
