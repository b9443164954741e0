"""CAVIAR4REID: `CAVIARa/0001001.jpg`; identities of two cameras have 20 images, those of one camera 10."""

import numpy as np

from dgreid.miniature.render import Shot, World
from dgreid.miniature.writers import Item, need

ENCODING = "jpg"
PER_CAMERA = 10


def plan(sizes: dict[str, int], world: World) -> list[Item]:
    """Plan ten shots per identity and camera, of very different heights."""
    both, alone = need(sizes, "two_camera_identities", "one_camera_identities")
    rng = world.stream("caviar layout")
    items = []
    for identity in range(1, both + alone + 1):
        first = int(rng.integers(2))  # identities of one camera: which one is not told
        for index in range(1, PER_CAMERA * (2 if identity <= both else 1) + 1):
            camera = int(index > PER_CAMERA) if identity <= both else first
            height = int(np.exp(rng.uniform(np.log(40), np.log(144))))
            size = (round(height * rng.uniform(0.38, 0.5)), height)
            items.append(Item(f"CAVIARa/{identity:04d}{index:03d}.jpg", Shot(identity, camera, index), size))
    return items
