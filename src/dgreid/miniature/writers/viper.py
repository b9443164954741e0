"""VIPeR: `VIPeR/cam_a/005_90.bmp`; gaps in the identities, one image per camera, the viewing angle named."""

import numpy as np

from dgreid.miniature.render import Shot, World
from dgreid.miniature.writers import Item, need

ENCODING = "bmp"


def plan(sizes: dict[str, int], world: World) -> list[Item]:
    """Plan one shot per identity and camera; the real data set uses 632 of the numbers 0..873."""
    (identities,) = need(sizes, "identities")
    numbers = world.stream("viper layout").permutation(round(identities * 874 / 632))[:identities]
    items = []
    for identity in sorted(numbers.tolist()):
        for camera, folder in enumerate(("cam_a", "cam_b")):
            shot = Shot(identity, camera)
            angle = int(np.round(world.pose(shot).yaw / (np.pi / 4))) * 45 % 360
            items.append(Item(f"VIPeR/{folder}/{identity:03d}_{angle}.bmp", shot, (48, 128)))
    return items
