"""A norm that normalises half of the channels by batch and half by instance."""

import torch
from torch import Tensor, nn

from dgreid.networks.norms.convert import copy_channels
from dgreid.networks.norms.instance import InstanceNorm2d


class HalfInstanceNorm2d(nn.Module):
    """Normalises the first ceil(C / 2) channels by BN, the others by IN (MetaBIN, table 5: BN+IN half)."""

    def __init__(self, channels: int):
        super().__init__()
        self.split = -(-channels // 2)  # ceil: odd widths exist (33, 89)
        self.batch = nn.BatchNorm2d(self.split)
        self.instance = InstanceNorm2d(channels - self.split)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W) -> (N, C, H, W)."""
        return torch.cat([self.batch(x[:, : self.split]), self.instance(x[:, self.split :])], 1)

    def adopt(self, norm: nn.BatchNorm2d) -> None:
        """Take over a trained batch norm for the batch half; the instance half keeps weight 1, bias 0."""
        copy_channels(norm, slice(0, self.split), self.batch)


LAYER = HalfInstanceNorm2d
