"""3DPeS: `3DPeS/100_3_FRAME_26_RGB.bmp`: identity, sequence, frame. A few names also have a letter.

The cameras are not named. `166_B_1280_FRAME_105_RGB.bmp` is another image of person 166.
"""

from dgreid.miniature.render import Shot, World
from dgreid.miniature.writers import Item, need, random_size

ENCODING = "bmp"
CAMERAS = 8


def plan(sizes: dict[str, int], world: World) -> list[Item]:
    """Plan two or more shots of each identity, with one sequence per camera."""
    identities, most = need(sizes, "identities", "most_images")
    rng = world.stream("3dpes layout")
    items = []
    for identity in range(1, identities + 1):
        cameras = rng.permutation(CAMERAS)
        for number in range(int(rng.integers(2, most + 1))):
            sequence, frame = 10 * identity + number % 2, 20 * number + int(rng.integers(1, 20))
            letter = "_B" if rng.random() < 0.02 else ""
            path = f"3DPeS/{identity}{letter}_{sequence}_FRAME_{frame}_RGB.bmp"
            size = random_size(rng, 90, 200)
            items.append(Item(path, Shot(identity, int(cameras[number % 2]), number), size))
    return items
