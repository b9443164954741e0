"""Pillow helpers that several operations share: images of a batch, and affine maps."""

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

NEAREST = Image.Resampling.NEAREST


def change_each(
    images: np.ndarray, chosen: np.ndarray, change: Callable[[Image.Image], Image.Image]
) -> np.ndarray:
    """Change some images of a batch, one after the other: (N, H, W, 3) uint8 -> the same shape, copied.

    Args:
        chosen: (N,) bool, the images to change.
    """
    images = images.copy()
    for number in np.flatnonzero(chosen):
        images[number] = np.asarray(change(Image.fromarray(images[number])))
    return images


def affine(picture: Image.Image, map: tuple[float, ...], **how: Any) -> Image.Image:
    """Set pixel (x, y) of the new picture to the old one's at (ax + by + c, dx + ey + f).

    Args:
        map: a, b, c, d, e, f.
        how: `resample` and `fillcolor` of Pillow's transform; by default nearest neighbour and black.
    """
    return picture.transform(picture.size, Image.Transform.AFFINE, map, **{"resample": NEAREST, **how})


def shear_x(picture: Image.Image, shift: float, **how: Any) -> Image.Image:
    """Shift each row by `shift` times its number."""
    return affine(picture, (1, shift, 0, 0, 1, 0), **how)


def shear_y(picture: Image.Image, shift: float, **how: Any) -> Image.Image:
    """Shift each column by `shift` times its number."""
    return affine(picture, (1, 0, 0, shift, 1, 0), **how)


def translate_x(picture: Image.Image, share: float, **how: Any) -> Image.Image:
    """Shift a picture sideways by a share of its width."""
    return affine(picture, (1, 0, share * picture.width, 0, 1, 0), **how)


def translate_y(picture: Image.Image, share: float, **how: Any) -> Image.Image:
    """Shift a picture up or down by a share of its height."""
    return affine(picture, (1, 0, 0, 0, 1, share * picture.height), **how)
