"""CUHK-SYSU as ready crops: `cropped_image/p00001_n01_s00001_hard0.png` (identity, appearance, scene)."""

from dgreid.miniature.render import Shot, World
from dgreid.miniature.writers import Item, need, random_size

ENCODING = "png"
PLACES = 16  # cameras that stand for the many street snapshots


def plan(sizes: dict[str, int], world: World) -> list[Item]:
    """Plan two or more appearances of each identity, each in another scene."""
    identities, scenes, most = need(sizes, "identities", "scenes", "most_appearances")
    rng = world.stream("sysu layout")
    items = []
    for identity in range(1, identities + 1):
        count = int(rng.integers(2, most + 1))
        for index, scene in enumerate(sorted(rng.permutation(scenes)[:count] + 1), start=1):
            hard = rng.random() < 0.1
            size = random_size(rng, *((60, 80) if hard else (100, 170)))
            path = f"cropped_image/p{identity:05d}_n{index:02d}_s{scene:05d}_hard{int(hard)}.png"
            items.append(Item(path, Shot(identity, int(scene) % PLACES, index), size))
    return items
