"""Erase a random rectangle (Zhong et al., Random Erasing Data Augmentation, AAAI 2020)."""

from typing import Annotated

import numpy as np
from pydantic import Field, field_validator

from dgreid.images.operations import Operation, chosen

ATTEMPTS = 100  # to find a rectangle that fits into the image, as in the released code

Share = Annotated[float, Field(gt=0, le=1)]
Aspect = Annotated[float, Field(gt=0, le=100)]
Level = Annotated[int, Field(ge=0, le=255)]


class Options(Operation):
    """Probability, size, shape and colour of the rectangle.

    The default colour is that of BAU's release, which writes ImageNet's mean into normalised pixels. As a
    pixel that is mean + mean x deviation, (0.596, 0.558, 0.497) of 255; rounding moves it by less than 0.01
    deviations.
    """

    probability: float = Field(0.5, ge=0, le=1, description="that an image is changed")
    area: tuple[Share, Share] = Field(
        (0.02, 0.4), description="smallest and largest, as a share of the image"
    )
    aspect: tuple[Aspect, Aspect] = Field((0.3, 1 / 0.3), description="height / width, smallest and largest")
    fill: tuple[Level, Level, Level] = Field(
        (152, 142, 127), description="colour: red, green, blue from 0 to 255"
    )

    @field_validator("area", "aspect")
    @classmethod
    def _is_a_range(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("give [smallest, largest]")
        return value


def apply(images: np.ndarray, options: Options, rng: np.random.Generator) -> np.ndarray:
    """Fill a rectangle of chosen images with one colour, (N, H, W, 3) uint8 -> the same shape."""
    some = chosen(len(images), options.probability, rng)
    images = images.copy()
    for number in np.flatnonzero(some):
        top, left, height, width = rectangle(images.shape[1], images.shape[2], options, rng)
        images[number, top : top + height, left : left + width] = options.fill
    return images


def rectangle(height: int, width: int, options: Options, rng: np.random.Generator) -> tuple[int, ...]:
    """Choose top, left, height and width of a random rectangle that is lower and narrower than the image.

    Area and aspect are uniform in their ranges. If a rectangle does not fit, another is tried; after a
    hundred attempts nothing is erased: all four numbers are 0.
    """
    for _ in range(ATTEMPTS):
        area, aspect = rng.uniform(*options.area) * height * width, rng.uniform(*options.aspect)
        tall, wide = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if tall < height and wide < width:
            top, left = rng.integers(0, [height - tall + 1, width - wide + 1])
            return int(top), int(left), tall, wide
    return 0, 0, 0, 0
