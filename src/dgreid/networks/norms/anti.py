"""LDA's Anti-Normalisation: replaces an image's style by the one that the bank holds of a domain."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from dgreid.networks.norms.buffer_bank import BankNorm2d


def anti_normalise(x: Tensor, mean: Tensor, var: Tensor, eps: float = 1e-5, unbiased: bool = False) -> Tensor:
    """Apply AN of the LDA poster, (N, C, H, W) -> (N, C, H, W), of the type of x.

    (x - m) / sqrt(v + eps) * sqrt(var + eps) + mean, with m, v the mean and variance of every image's
    channel; gradients flow through them. A constant channel becomes `mean`.

    Args:
        x: features before a norm.
        mean: (N, C), the mean that each image's channels get.
        var: (N, C), likewise; a variance, not a standard deviation.
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

    `replace`: AN replaces the norm, and its output has the scale of domain j's convolution output. If a
    trained convolution's outputs are mostly negative, the next activation zeroes them. `pre_bn`: domain j's
    batch norm (running statistics and affine map) follows AN. Domain j then cancels: together they are an
    instance norm with the shared affine map. `pre_mixture`: the norm after AN uses the bank's averages over
    domains, so that j does not cancel. At test time AN uses these averages too, and this also is an instance
    norm with the shared affine map.
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
        self.partners: Tensor | None = (
            None  # (N,) the domain j of each image; None: the average of all domains
        )

    def align(self, x: Tensor) -> Tensor:
        """Normalise for Network-A, (N, C, H, W) -> (N, C, H, W)."""
        mean, var = self.style(len(x))
        y = anti_normalise(x, mean, var, self.eps, self.unbiased)
        if self.mode == "replace":
            return y
        if self.mode == "pre_mixture":
            mean, var = self.mixture(len(x))
        weight = (self.weight * (var + self.eps).rsqrt())[..., None, None]  # (N, C, 1, 1)
        return ((y - mean[..., None, None]) * weight + self.bias[:, None, None]).to(x.dtype)

    def style(self, images: int) -> tuple[Tensor, Tensor]:
        """Return the mean and variance that each of `images` images gets, two of (N, C).

        They are those of its partner domain, or, without partners (at test time), the average over domains.
        """
        if self.partners is not None:
            return self.bank_mean[self.partners], self.bank_var[self.partners]
        return self.mixture(images)

    def mixture(self, images: int) -> tuple[Tensor, Tensor]:
        """Average the bank's means and variances over domains, repeated for each image, two of (N, C)."""
        return self.bank_mean.mean(0).expand(images, -1), self.bank_var.mean(0).expand(images, -1)


@contextmanager
def towards(network: nn.Module, partners: Tensor) -> Iterator[None]:
    """Let Network-A give the images of a batch the style of the domains `partners` (N,), inside the block."""
    layers = [module for module in network.modules() if isinstance(module, AntiNorm2d)]
    for layer in layers:
        layer.partners = partners
    try:
        yield
    finally:
        for layer in layers:
            layer.partners = None
