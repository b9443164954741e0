"""LDA's Anti-Normalisation: an image loses its own style and gets the one the bank has of a domain."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from dgreid.networks.norms.buffer_bank import BankNorm2d


def anti_normalise(x: Tensor, mean: Tensor, var: Tensor, eps: float = 1e-5, unbiased: bool = False) -> Tensor:
    """AN of the LDA poster, (N, C, H, W) -> (N, C, H, W), of the type of x.

    (x - m) / sqrt(v + eps) * sqrt(var + eps) + mean, with m, v the mean and variance of every image's
    channel, through which gradients flow. A constant channel becomes `mean`.

    Args:
        x: features before a norm.
        mean: (N, C), the statistics to give each image, `var` likewise.
        var: a variance, not a standard deviation.
        eps: added to both variances.
        unbiased: v divides by H W - 1.
    """
    values = x.shape[2] * x.shape[3]
    if values == 1:  # a 1x1 map has nothing to normalise
        return (x * 0) + mean[..., None, None].to(x.dtype)
    # with v = V n / (n - 1): v + eps = (V + eps s) / s, s = (n - 1) / n
    s = (values - 1) / values if unbiased else 1.0
    std = (s * (var + eps)).sqrt()  # (N, C)
    # each channel of each image as a channel of one batch norm: fused, statistics in float32 or better
    rows = x.reshape(1, -1, *x.shape[2:])  # (1, N C, H, W)
    return F.batch_norm(rows, None, None, std.flatten(), mean.flatten(), True, 0.0, eps * s).view(x.shape)


class AntiNorm2d(BankNorm2d):
    """In Network-A, Anti-Normalisation towards a domain j of the bank, in one of three readings.

    `replace`: AN takes the place of the norm, and its output has the scale of domain j's convolution output.
    Where trained convolutions put out what lies below 0, an activation behind it cuts it away.
    `pre_bn`: AN is followed by domain j's batch norm, running statistics and affine map, in which j cancels:
    together they are an instance norm with the shared affine map.
    `pre_mixture`: the norm behind it has the bank's averages over domains, in which j does not cancel. At
    test time, where AN has them too, this also is an instance norm with the shared affine map.
    """

    def __init__(
        self,
        channels: int,
        domains: int,
        mode: Literal["replace", "pre_bn", "pre_mixture"] = "replace",
        unbiased: bool = False,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ):
        super().__init__(channels, domains, eps, momentum)
        self.mode, self.unbiased = mode, unbiased
        self.partners: Tensor | None = None  # (N,) the domain j of each image; None: all of them

    def align(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        mean, var = self.style(len(x))
        y = anti_normalise(x, mean, var, self.eps, self.unbiased)
        if self.mode == "replace":
            return y
        if self.mode == "pre_mixture":
            mean, var = self.mixture(len(x))
        weight = (self.weight * (var + self.eps).rsqrt())[..., None, None]  # (N, C, 1, 1)
        return ((y - mean[..., None, None]) * weight + self.bias[:, None, None]).to(x.dtype)

    def style(self, images: int) -> tuple[Tensor, Tensor]:
        """Mean and variance to give to each of `images` images, two of (N, C).

        Those of their partners; without partners, as at test time, the bank averaged over its domains.
        """
        if self.partners is not None:
            return self.bank_mean[self.partners], self.bank_var[self.partners]
        return self.mixture(images)

    def mixture(self, images: int) -> tuple[Tensor, Tensor]:
        """The bank's means and variances averaged over domains, for each of so many images, two of (N, C)."""
        return self.bank_mean.mean(0).expand(images, -1), self.bank_var.mean(0).expand(images, -1)


@contextmanager
def towards(network: nn.Module, partners: Tensor) -> Iterator[None]:
    """Inside, Network-A gives the images of a batch the style of the domains `partners` (N,)."""
    layers = [module for module in network.modules() if isinstance(module, AntiNorm2d)]
    for layer in layers:
        layer.partners = partners
    try:
        yield
    finally:
        for layer in layers:
            layer.partners = None
