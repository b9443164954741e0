"""Training augmentation: an ordered list of operations on a whole batch of stored pixels.

The operations get images that the pack has already resized. In releases that rotate, shear or change colours
before resizing, the results of the same operations therefore differ slightly.
"""

from collections.abc import Sequence

import numpy as np

from dgreid.images import operations
from dgreid.images.operations import Operation


def augment(images: np.ndarray, steps: Sequence[Operation], rng: np.random.Generator) -> np.ndarray:
    """Apply the operations in their order: (N, H, W, 3) uint8 -> (N, H, W, 3) uint8.

    All random numbers come from `rng`, in that order; `images` itself does not change.
    """
    for step in steps:
        images = operations.module(step.operation).apply(images, step, rng)
    return images
