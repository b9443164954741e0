"""Normalise the input of every network by ImageNet's statistics."""

import torch
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's pixels in [0, 1]; red, green, blue
STD = (0.229, 0.224, 0.225)


def normalise(images: Tensor) -> Tensor:
    """Convert (N, H, W, 3) uint8 -> (N, 3, H, W) float, so that ImageNet has mean 0 and deviation 1."""
    mean = torch.tensor(MEAN, device=images.device).mul_(255).view(3, 1, 1)
    scale = torch.tensor(STD, device=images.device).mul_(255).reciprocal_().view(3, 1, 1)
    planes = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    return planes.sub_(mean).mul_(scale)
