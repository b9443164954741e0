"""Instance normalisation with an affine map, as a norm of its own."""

from torch import Tensor, nn


class InstanceNorm2d(nn.InstanceNorm2d):
    """Every image's channel normalised by its own statistics, also at test time; affine by default.

    Nothing is taken over from a trained batch norm (as released: weight 1, bias 0).
    """

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__(channels, eps=eps, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W); a 1x1 map has nothing to normalise and becomes 0 (as released)."""
        if x.shape[-2:].numel() == 1:
            return x * 0
        return super().forward(x)


LAYER = InstanceNorm2d
