"""Labels of a small training set, for tests of samplers."""

import numpy as np

from dgreid.images.samplers import Labels


def crowd(seed: int, domains: int = 3) -> Labels:
    """Identities with 1..9 images each, in `domains` domains of 5..9 identities, shuffled."""
    rng = np.random.default_rng(seed)
    identities, of, number = [], [], 0
    for domain in range(domains):
        for _ in range(rng.integers(5, 10)):
            count = rng.integers(1, 10)
            identities += [number] * count
            of += [domain] * count
            number += 1
    order = rng.permutation(len(identities))
    identities, of = np.array(identities)[order], np.array(of)[order]
    return Labels(identities, of, identities % 2)
