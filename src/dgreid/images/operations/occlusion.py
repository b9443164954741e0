"""Paint a white square into images, as QAConv's released code does (Liao and Shao 2020)."""

import numpy as np
from pydantic import Field

from dgreid.images.operations import Operation, chosen


class Options(Operation):
    """Size and probability of the square."""

    greatest_side: float = Field(
        0.8, gt=0, le=1, description="largest side of the square; 1: the image's shorter side"
    )
    probability: float = Field(1.0, ge=0, le=1, description="that an image is changed")


def apply(images: np.ndarray, options: Options, rng: np.random.Generator) -> np.ndarray:
    """Paint a white square into chosen images, (N, H, W, 3) uint8 -> the same shape.

    Its side is uniform from 1 to below `greatest_side` x min(H, W) pixels. The square lies inside the image,
    at least one pixel from the right and the lower edge.
    """
    count, height, width, _ = images.shape
    some = chosen(count, options.probability, rng)
    sides = rng.integers(1, max(2, int(options.greatest_side * min(height, width))), count)
    tops, lefts = rng.integers(0, [height - sides, width - sides])  # (2, N)
    images = images.copy()
    for number in np.flatnonzero(some):
        side, top, left = sides[number], tops[number], lefts[number]
        images[number, top : top + side, left : left + side] = 255
    return images
