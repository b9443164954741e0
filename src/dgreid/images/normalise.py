"""Normalise the input of every network by ImageNet's statistics."""

import torch
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's pixels in [0, 1]; red, green, blue
STD = (0.229, 0.224, 0.225)


def normalise(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Convert (N, H, W, 3) uint8 -> (N, 3, H, W) of `dtype`, so that ImageNet has mean 0 and deviation 1."""
    mean = torch.tensor(MEAN, dtype=dtype, device=images.device).mul_(255).view(3, 1, 1)
    scale = torch.tensor(STD, dtype=dtype, device=images.device).mul_(255).reciprocal_().view(3, 1, 1)
    planes = images.permute(0, 3, 1, 2).to(dtype, memory_format=torch.contiguous_format)
    return planes.sub_(mean).mul_(scale)
