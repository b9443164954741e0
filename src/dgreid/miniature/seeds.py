"""Random streams that depend on names alone, not on order, number of processes or hash seed.

The same names must also give the same bytes on another processor. Sums and products in float32 are the same
everywhere; sines, powers and matrix products are not. The renderer therefore computes sines and powers in
float64, rounded afterwards, and avoids matrix products.
"""

import hashlib

import numpy as np


def generator(*key: int | str) -> np.random.Generator:
    """The random stream of a name such as `(benchmark seed, domain, "person", 7)`.

    Everything drawn has its own stream, so replacing one thing leaves all others bit-identical.
    """
    digest = hashlib.blake2b(repr(key).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))


def pick(rng: np.random.Generator, weights: dict[str, float]) -> str:
    """Draw one of the names with the given relative weights."""
    shares = np.array(list(weights.values()), float)
    return list(weights)[int(np.searchsorted(np.cumsum(shares / shares.sum()), rng.random(), "right"))]
