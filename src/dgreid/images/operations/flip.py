"""Mirror images left to right."""

import numpy as np
import torch
from pydantic import Field

from dgreid.images.operations import Operation


class Options(Operation):
    """The share of images to mirror."""

    probability: float = Field(0.5, ge=0, le=1, description="that an image is changed")


def apply(images: np.ndarray, options: Options, rng: np.random.Generator) -> np.ndarray:
    """Mirror each image with the given probability, (N, H, W, 3) uint8 -> the same shape."""
    flipped = rng.random(len(images)) < options.probability  # (N,)
    images = images.copy()
    images[flipped] = torch.from_numpy(images[flipped]).flip(2).numpy()  # NumPy's flip is three times slower
    return images
