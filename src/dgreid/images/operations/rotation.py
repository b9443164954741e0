"""Turn images about their centre, as torchvision's RandomRotation does by default.

Nearest neighbour, black corners, the size kept.
"""

import numpy as np
from pydantic import Field

from dgreid.images.operations import Operation, chosen
from dgreid.images.pillow import NEAREST, change_each


class Options(Operation):
    """How far and how often."""

    degrees: float = Field(5.0, gt=0, le=180, description="the angle is uniform in -+ degrees")
    probability: float = Field(1.0, ge=0, le=1)


def apply(images: np.ndarray, options: Options, rng: np.random.Generator) -> np.ndarray:
    """(N, H, W, 3) uint8 -> the same shape; each image that is chosen is turned by an angle of its own."""
    some = chosen(len(images), options.probability, rng)
    return change_each(
        images, some, lambda picture: picture.rotate(rng.uniform(-options.degrees, options.degrees), NEAREST)
    )
