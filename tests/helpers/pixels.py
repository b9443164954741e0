"""Random images."""

import numpy as np


def pixels(count: int = 5, height: int = 8, width: int = 6) -> np.ndarray:
    """(count, height, width, 3) uint8, nowhere 0 or 255: what is padded or saturated can be told."""
    return np.random.default_rng(0).integers(1, 255, (count, height, width, 3)).astype(np.uint8)
