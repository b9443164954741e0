"""Erase a random rectangle (Zhong et al., Random Erasing Data Augmentation, AAAI 2020)."""

import numpy as np
from pydantic import Field, field_validator

from dgreid.images.operations import Operation, chosen

ATTEMPTS = 100  # at a rectangle that fits into the image, as in the released code


class Options(Operation):
    """How often, how large, of what shape and colour.

    The default colour is the one BAU's release fills with: ImageNet's mean, given where pixels are
    normalised already, is the pixel mean + mean x deviation, (0.596, 0.558, 0.497) of 255; rounding moves
    it by less than 0.01 deviations.
    """

    probability: float = Field(0.5, ge=0, le=1)
    area: tuple[float, float] = Field((0.02, 0.4), description="least and greatest, as a share of the image")
    aspect: tuple[float, float] = Field((0.3, 1 / 0.3), description="height / width, least and greatest")
    fill: tuple[int, int, int] = Field((152, 142, 127), description="red, green, blue")

    @field_validator("area", "aspect")
    @classmethod
    def _is_a_range(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1]:
            raise ValueError("give [least, greatest], both above 0")
        return value

    @field_validator("fill")
    @classmethod
    def _is_a_colour(cls, value: tuple[int, int, int]) -> tuple[int, int, int]:
        if not all(0 <= level <= 255 for level in value):
            raise ValueError("give three levels from 0 to 255")
        return value


def apply(images: np.ndarray, options: Options, rng: np.random.Generator) -> np.ndarray:
    """(N, H, W, 3) uint8 -> the same shape; an image that is chosen gets one rectangle of one colour."""
    some = chosen(len(images), options.probability, rng)
    images = images.copy()
    for number in np.flatnonzero(some):
        top, left, height, width = rectangle(images.shape[1], images.shape[2], options, rng)
        images[number, top : top + height, left : left + width] = options.fill
    return images


def rectangle(height: int, width: int, options: Options, rng: np.random.Generator) -> tuple[int, ...]:
    """The top, left, height and width of a random rectangle that is smaller than the image both ways.

    Area and aspect are uniform in their ranges; for those that do not fit others are tried, a hundred at
    most, after which nothing is erased: a rectangle without area.
    """
    for _ in range(ATTEMPTS):
        area, aspect = rng.uniform(*options.area) * height * width, rng.uniform(*options.aspect)
        tall, wide = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if tall < height and wide < width:
            top, left = rng.integers(0, [height - tall + 1, width - wide + 1])
            return int(top), int(left), tall, wide
    return 0, 0, 0, 0
