"""RandAugment as in the release of BAU (Cho et al., NeurIPS 2024), with its 16 changes and their ranges.

Every change uses the same share of its range, magnitude / 30; the direction, if there is one, is random.
Interpolation is nearest neighbour; uncovered areas become black. The release changes the original picture and
then resizes it; here it is already resized, so that angles and shears apply to the resized one.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from pydantic import Field

from dgreid.images.operations import Operation, chosen
from dgreid.images.pillow import NEAREST, change_each, shear_x, shear_y, translate_x, translate_y

FULL = 30  # the largest magnitude, at the end of every range


class Options(Operation):
    """Probability, number and strength of the changes."""

    probability: float = Field(0.5, ge=0, le=1, description="that an image is changed")
    count: int = Field(2, gt=0, le=100, description="changes of an image; the same one may occur twice")
    magnitude: float = Field(10, ge=0, le=FULL, description=f"strength of the changes; {FULL} is the largest")


def solarise_add(picture: Image.Image, addition: float) -> Image.Image:
    """Brighten every pixel, then invert values of 128 or more."""
    brighter = np.clip(np.asarray(picture).astype(np.int64) + addition, 0, 255).astype(np.uint8)
    return ImageOps.solarize(Image.fromarray(brighter), 128)


Change = Callable[[Image.Image, float], Image.Image]

# change, its value at magnitude 0 and at FULL, whether its sign is random
CHANGES: tuple[tuple[Change, float, float, bool], ...] = (
    (lambda picture, _: picture, 0, 1, False),
    (translate_x, 0, 0.45, True),
    (translate_y, 0, 0.45, True),
    (shear_x, 0, 0.3, True),
    (shear_y, 0, 0.3, True),
    (lambda picture, degrees: picture.rotate(degrees, NEAREST), 0, 30, True),
    (lambda picture, _: ImageOps.autocontrast(picture), 0, 1, False),
    (lambda picture, _: ImageOps.equalize(picture), 0, 1, False),
    (lambda picture, bits: ImageOps.posterize(picture, int(bits)), 2, 2, False),
    (lambda picture, factor: ImageEnhance.Color(picture).enhance(factor), 0.1, 1.9, False),
    (lambda picture, factor: ImageEnhance.Contrast(picture).enhance(factor), 0.1, 1.9, False),
    (lambda picture, factor: ImageEnhance.Brightness(picture).enhance(factor), 0.1, 1.9, False),
    (lambda picture, factor: ImageEnhance.Sharpness(picture).enhance(factor), 0.1, 1.9, False),
    (lambda picture, _: ImageOps.invert(picture), 0, 1, False),
    (lambda picture, threshold: ImageOps.solarize(picture, threshold), 0, 256, False),
    (solarise_add, 0, 110, False),
)


def apply(images: np.ndarray, options: Options, rng: np.random.Generator) -> np.ndarray:
    """Make `count` changes to each chosen image, (N, H, W, 3) uint8 -> the same shape."""
    some = chosen(len(images), options.probability, rng)
    return change_each(images, some, lambda picture: change(picture, options, rng))


def change(picture: Image.Image, options: Options, rng: np.random.Generator) -> Image.Image:
    """Make `count` random changes to one picture, one after the other."""
    for number in rng.integers(0, len(CHANGES), options.count):
        one, low, high, signed = CHANGES[number]
        value = options.magnitude / FULL * (high - low) + low
        if signed and rng.random() < 0.5:
            value = -value
        picture = one(picture, value)
    return picture
