"""Change brightness, contrast, saturation and hue, in random order, by Pillow's arithmetic.

This equals torchvision's ColorJitter on Pillow images, which also skips changes of strength 0.
"""

from typing import Annotated, Any

import numpy as np
from PIL import Image, ImageEnhance
from pydantic import BeforeValidator, Field

from dgreid.images.operations import Operation, chosen
from dgreid.images.pillow import change_each

FACTORS = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)


def _strength(value: Any) -> float | tuple[float, float]:
    try:
        low, high = value if isinstance(value, list | tuple) else (value, value)
        if {type(low), type(high)} - {int, float}:
            raise TypeError("a strength is a number")
    except (TypeError, ValueError):
        low, high = 0.0, -1.0
    if not 0 <= low <= high < float("inf"):
        raise ValueError("give a strength such as 0.15, or a range of factors such as [0.5, 2]")
    return (low, high) if isinstance(value, list | tuple) else value


Factor = Annotated[float, Field(ge=0, le=100)]
Strength = Annotated[Factor | tuple[Factor, Factor], BeforeValidator(_strength)]


class Options(Operation):
    """Strengths of the changes; factors are uniform in 1 -+ strength, or in a range [low, high]."""

    brightness: Strength = Field(0.0, description="strength or range of the factor")
    contrast: Strength = Field(0.0, description="strength or range of the factor")
    saturation: Strength = Field(0.0, description="strength or range of the factor")
    hue: float = Field(
        0.0, ge=0, le=0.5, description="largest shift either way, as a share of the full circle"
    )
    probability: float = Field(1.0, ge=0, le=1, description="that an image is changed")


def apply(images: np.ndarray, options: Options, rng: np.random.Generator) -> np.ndarray:
    """Make all four changes to chosen images, (N, H, W, 3) uint8 -> the same shape."""
    some = chosen(len(images), options.probability, rng)
    return change_each(images, some, lambda picture: jitter(picture, options, rng))


def jitter(picture: Image.Image, options: Options, rng: np.random.Generator) -> Image.Image:
    """Make the four changes to one picture, in random order."""
    strengths = options.brightness, options.contrast, options.saturation, options.hue
    shares = rng.uniform(-1, 1, 4)
    for kind in rng.permutation(4):
        strength, share = strengths[kind], shares[kind]
        if strength == 0:  # even a hue shifted by 0 would be rounded
            continue
        if kind == 3:
            picture = shift_hue(picture, share * strength)
        elif isinstance(strength, tuple):
            low, high = strength
            picture = FACTORS[kind](picture).enhance(low + (high - low) * (1 + share) / 2)
        else:
            picture = FACTORS[kind](picture).enhance(1 + share * strength)
    return picture


def shift_hue(picture: Image.Image, shift: float) -> Image.Image:
    """Turn the hue of a picture by a share of the full circle."""
    hue, saturation, value = picture.convert("HSV").split()
    shifted = np.asarray(hue) + np.int16(shift * 255).astype(np.uint8)  # wraps around
    return Image.merge("HSV", (Image.fromarray(shifted), saturation, value)).convert("RGB")
