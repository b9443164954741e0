from itertools import combinations

import numpy as np
import pytest

from dgreid.miniature.canvas import Canvas
from dgreid.miniature.looks import Look
from dgreid.miniature.things import KINDS, Stand

LOOK = Look(
    "hoops", np.array([0.9, 0.1, 0.1], np.float32), np.array([0.1, 0.1, 0.9], np.float32), 0.07,
    np.zeros((16, 24), np.uint8),
)  # fmt: skip


def painted(kind: str, look: Look = LOOK) -> Canvas:
    pixels = np.full((128, 64, 3), 0.5, np.float32)
    canvas = Canvas(pixels, np.ones((128, 64), np.float32), 0.3)
    KINDS[kind](Stand(canvas, x=32, y=120, scale=90, wide=0.7, yaw=0.4), look)
    return canvas


@pytest.mark.parametrize("kind", KINDS)
def test_a_thing_shows_both_its_colours(kind):
    canvas = painted(kind)
    shown = canvas.pixels[canvas.mask]
    assert len(shown) > 100
    assert (shown[:, 0] > 2 * shown[:, 2]).any()
    assert (shown[:, 2] > 2 * shown[:, 0]).any()


def test_kinds_differ_in_shape():
    masks = {kind: painted(kind).mask for kind in KINDS}
    for one, other in combinations(masks, 2):
        common, either = masks[one] & masks[other], masks[one] | masks[other]
        assert common.sum() < 0.9 * either.sum(), (one, other)
