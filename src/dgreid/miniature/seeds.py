"""Random streams that depend on names alone: no order, process count or hash seed can change them.

The same names shall give the same bytes on another processor, too. Sums and products of float32 are the
same everywhere; sines, powers and matrix products are not. The renderer therefore takes the former in
float64, rounded afterwards, and avoids the latter.
"""

import hashlib

import numpy as np


def generator(*key: int | str) -> np.random.Generator:
    """The random stream of a name such as `(benchmark seed, domain, "person", 7)`.

    Every thing that is drawn owns a stream, so replacing one leaves all others bit-identical.
    """
    digest = hashlib.blake2b(repr(key).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))


def pick(rng: np.random.Generator, weights: dict[str, float]) -> str:
    """One of the names, drawn with the given relative weights."""
    shares = np.array(list(weights.values()), float)
    return list(weights)[int(np.searchsorted(np.cumsum(shares / shares.sum()), rng.random(), "right"))]
