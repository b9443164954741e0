"""Shift images: pad them with zeros, then cut out a random window of the old size."""

import numpy as np
from pydantic import Field

from dgreid.images.operations import Operation, chosen


class Options(Operation):
    """The largest shift and its probability."""

    padding: int = Field(
        10, ge=0, le=1024, description="zeros on each side, in pixels; also the largest shift"
    )
    probability: float = Field(1.0, ge=0, le=1, description="that an image is changed")


def apply(images: np.ndarray, options: Options, rng: np.random.Generator) -> np.ndarray:
    """Shift chosen images by -padding to +padding both ways, (N, H, W, 3) uint8 -> the same shape."""
    some = chosen(len(images), options.probability, rng)
    top, left = rng.integers(0, 2 * options.padding + 1, (2, len(images)))
    top[~some] = left[~some] = options.padding  # the window that shifts nothing
    return crop(images, top, left, options.padding)


def crop(images: np.ndarray, top: np.ndarray, left: np.ndarray, padding: int) -> np.ndarray:
    """Pad with zeros and cut the window at (top, left), (N,) each, of the padded image."""
    _, height, width, _ = images.shape
    out = np.zeros_like(images)
    for target, source, y, x in zip(out, images, top - padding, left - padding, strict=True):
        inside = source[max(y, 0) : height + min(y, 0), max(x, 0) : width + min(x, 0)]
        target[max(-y, 0) : height - max(y, 0), max(-x, 0) : width - max(x, 0)] = inside
    return out
