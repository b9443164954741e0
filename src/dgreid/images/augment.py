"""Training augmentation: an ordered list of operations on a whole batch of stored pixels.

The operations see images that the pack has resized already. Releases that rotate, shear or change colours
before resizing therefore differ from the same operation here by what the resize does to it.
"""

from collections.abc import Sequence

import numpy as np

from dgreid.images import operations
from dgreid.images.operations import Operation


def augment(images: np.ndarray, steps: Sequence[Operation], rng: np.random.Generator) -> np.ndarray:
    """Apply the operations in their order: (N, H, W, 3) uint8 -> (N, H, W, 3) uint8.

    All randomness comes from `rng`, in that order; `images` are not changed.
    """
    for step in steps:
        images = operations.module(step.operation).apply(images, step, rng)
    return images
