"""Rotate images about their centre, as torchvision's RandomRotation does by default.

Interpolation is nearest neighbour, corners become black, the size stays.
"""

import numpy as np
from pydantic import Field

from dgreid.images.operations import Operation, chosen
from dgreid.images.pillow import NEAREST, change_each


class Options(Operation):
    """Angle and probability of the rotation."""

    degrees: float = Field(5.0, gt=0, le=180, description="the angle is uniform in -+ degrees")
    probability: float = Field(1.0, ge=0, le=1, description="that an image is changed")


def apply(images: np.ndarray, options: Options, rng: np.random.Generator) -> np.ndarray:
    """Rotate each chosen image by its own random angle, (N, H, W, 3) uint8 -> the same shape."""
    some = chosen(len(images), options.probability, rng)
    return change_each(
        images, some, lambda picture: picture.rotate(rng.uniform(-options.degrees, options.degrees), NEAREST)
    )
