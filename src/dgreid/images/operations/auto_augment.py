"""AutoAugment by the ImageNet policy (Cubuk et al., CVPR 2019), as META, ACL and ReNorm released it.

The pairs of the policy are the published ones; the map from a change's level to its strength is that of these
releases. Interpolation is bilinear or bicubic at random; uncovered areas become grey. The releases change the
original picture and then resize it; here the picture is already resized, so that angles and shears apply to
the resized one.
"""

from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from pydantic import Field

from dgreid.images.operations import Operation, chosen
from dgreid.images.pillow import change_each, shear_x

GREY = (128, 128, 128)
RESAMPLE = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)

# each pair: change, its probability, its level; a level of None has no effect
FIRST = (
    (("posterise", 0.4, 8), ("rotate", 0.6, 9)),
    (("solarise", 0.6, 5), ("autocontrast", 0.6, None)),
    (("equalise", 0.8, None), ("equalise", 0.6, None)),
    (("posterise", 0.6, 7), ("posterise", 0.6, 6)),
    (("equalise", 0.4, None), ("solarise", 0.2, 4)),
    (("equalise", 0.4, None), ("rotate", 0.8, 8)),
    (("solarise", 0.6, 3), ("equalise", 0.6, None)),
    (("posterise", 0.8, 5), ("equalise", 1.0, None)),
    (("rotate", 0.2, 3), ("solarise", 0.6, 8)),
    (("equalise", 0.6, None), ("posterise", 0.4, 6)),
    (("rotate", 0.8, 8), ("colour", 0.4, 0)),
    (("rotate", 0.4, 9), ("equalise", 0.6, None)),
    (("equalise", 0.0, None), ("equalise", 0.8, None)),
    (("invert", 0.6, None), ("equalise", 1.0, None)),
    (("colour", 0.6, 4), ("contrast", 1.0, 8)),
    (("rotate", 0.8, 8), ("colour", 1.0, 2)),
    (("colour", 0.8, 8), ("solarise", 0.8, 7)),
    (("sharpness", 0.4, 7), ("invert", 0.6, None)),
    (("shear_x", 0.6, 5), ("equalise", 1.0, None)),
    (("colour", 0.4, 0), ("equalise", 0.6, None)),
)
POLICY = (*FIRST, *(FIRST[number - 1] for number in (5, 2, 14, 15, 3)))  # 25 pairs; five of them occur twice


class Options(Operation):
    """The share of images to change."""

    probability: float = Field(0.1, ge=0, le=1, description="that an image is changed")


def apply(images: np.ndarray, options: Options, rng: np.random.Generator) -> np.ndarray:
    """Change chosen images by one pair of the policy each, (N, H, W, 3) uint8 -> the same shape."""
    some = chosen(len(images), options.probability, rng)
    return change_each(images, some, lambda picture: by_policy(picture, rng))


def by_policy(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Apply a random pair to one picture, each change with its own probability."""
    for name, probability, level in POLICY[rng.integers(0, len(POLICY))]:
        if rng.random() < probability:
            sign = 1 if rng.random() < 0.5 else -1
            resample = RESAMPLE[rng.integers(0, len(RESAMPLE))]
            picture = change(picture, name, level, sign, resample=resample, fillcolor=GREY)
    return picture


def change(picture: Image.Image, name: str, level: int | None, sign: int = 1, **how: Any) -> Image.Image:
    """Change one picture at a level from 0 to 10.

    Args:
        name: of the change, as in `POLICY`.
        sign: 1 or -1, the direction of a rotation or a shear.
        how: Pillow's `resample` and `fillcolor` for rotation and shear.
    """
    match name:
        case "autocontrast":
            return ImageOps.autocontrast(picture)
        case "equalise":
            return ImageOps.equalize(picture)
        case "invert":
            return ImageOps.invert(picture)
        case "posterise":
            return ImageOps.posterize(picture, int(0.4 * level) + 4)
        case "solarise":
            return ImageOps.solarize(picture, int(25.6 * level))
        case "colour":
            return ImageEnhance.Color(picture).enhance(0.18 * level + 0.1)
        case "contrast":
            return ImageEnhance.Contrast(picture).enhance(0.18 * level + 0.1)
        case "sharpness":
            return ImageEnhance.Sharpness(picture).enhance(0.18 * level + 0.1)
        case "rotate":
            return picture.rotate(sign * 3 * level, **how)
        case "shear_x":
            return shear_x(picture, sign * 0.03 * level, **how)
    raise ValueError(f"no change '{name}'")
