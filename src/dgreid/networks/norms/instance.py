"""Instance normalisation with an affine map."""

from torch import Tensor, nn


class InstanceNorm2d(nn.InstanceNorm2d):
    """Normalises every image's channel by its own statistics, also at test time, with an affine map.

    It takes over nothing from a trained batch norm (as released: weight 1, bias 0).
    """

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__(channels, eps=eps, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, H, W) -> (N, C, H, W); a 1x1 map becomes 0 (as released)."""
        if x.shape[-2:].numel() == 1:
            return x * 0
        return super().forward(x)


LAYER = InstanceNorm2d
