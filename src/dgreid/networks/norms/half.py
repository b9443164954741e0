"""Norms that give some channels to batch and the others to instance normalisation."""

import torch
from torch import Tensor, nn

from dgreid.errors import UserError
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
        _copy(norm, slice(0, self.split), self.batch)


class IBN(nn.Module):
    """IBN-Net (Pan et al., ECCV 2018): first half of the channels through IN, second half through BN.

    Raises:
        UserError: an odd number of channels, which the original cannot split either.
    """

    def __init__(self, channels: int):
        super().__init__()
        if channels % 2:
            raise UserError(f"IBN: {channels} channels cannot be halved; use it where the width is even.")
        self.split = channels // 2
        self.instance = InstanceNorm2d(self.split)
        self.batch = nn.BatchNorm2d(self.split)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return torch.cat([self.instance(x[:, : self.split]), self.batch(x[:, self.split :])], 1)

    def adopt(self, norm: nn.BatchNorm2d) -> None:
        """Both halves take over their channels' affine map, the batch half also the running statistics."""
        _copy(norm, slice(0, self.split), self.instance)
        _copy(norm, slice(self.split, None), self.batch)


@torch.no_grad()
def _copy(norm: nn.BatchNorm2d, channels: slice, to: nn.Module) -> None:
    for name in ("weight", "bias", "running_mean", "running_var"):
        if getattr(to, name) is not None:  # instance norms have no running statistics
            getattr(to, name).copy_(getattr(norm, name)[channels])
