import numpy as np
import pandas as pd
import pytest

from dgreid.protocols import Protocol
from helpers.colours import frame


@pytest.fixture
def protocol():
    rng = np.random.default_rng(0)
    splits = []
    for _ in range(3):
        identities = rng.permutation(20)[:8]
        splits.append((frame("a", 2 * identities, 0), frame("a", 2 * identities[::-1] + 1, 1)))
    mixed = pd.concat([frame("a", np.arange(1, 9, 2), 1), frame("b", np.arange(4), 1)], ignore_index=True)
    targets = {"A": splits, "B": [(frame("a", np.arange(0, 8, 2), 0), mixed)]}
    return Protocol("toy", "miniature", pd.DataFrame(), targets, [], {})


@pytest.fixture
def packs():
    rng = np.random.default_rng(1)
    return {name: rng.integers(0, 256, (40, 6, 4, 3), dtype=np.uint8) for name in ("a", "b")}
