"""Features and layers of the Buffer Bank, in float64."""

import torch

from dgreid.networks.norms.anti import AntiNorm2d
from dgreid.networks.norms.buffer_bank import BufferBankNorm2d

DOMAINS, CHANNELS = 3, 5


LAYERS = (
    BufferBankNorm2d,
    AntiNorm2d,
    lambda c, k: AntiNorm2d(c, k, "pre_bn"),
    lambda c, k: AntiNorm2d(c, k, "pre_mixture"),
)


def features(seed: int, images: int = 6, height: int = 4, width: int = 3, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    scale = torch.rand(images, CHANNELS, 1, 1, generator=random, dtype=dtype) * 3
    x = torch.randn(images, CHANNELS, height, width, generator=random, dtype=dtype)
    return x * scale + 2 * torch.randn(images, CHANNELS, 1, 1, generator=random, dtype=dtype)


def layer(factory, seed: int = 0):
    torch.manual_seed(seed)
    made = factory(CHANNELS, DOMAINS).double()
    with torch.no_grad():
        for tensor in (made.weight, made.bias, made.bank_mean):
            tensor.normal_()
        made.bank_var.uniform_(0.1, 4)
    return made
