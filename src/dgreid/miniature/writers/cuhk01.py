"""CUHK01: `campus/0001001.png`, four digits identity, three digits image; 1-2 camera A, 3-4 camera B."""

from dgreid.miniature.render import Shot, World
from dgreid.miniature.writers import Item, need

ENCODING = "png"


def plan(sizes: dict[str, int], world: World) -> list[Item]:
    """Plan two shots per identity and camera."""
    (identities,) = need(sizes, "identities")
    return [
        Item(f"campus/{identity:04d}{index:03d}.png", Shot(identity, int(index > 2), index), (60, 160))
        for identity in range(1, identities + 1)
        for index in range(1, 5)
    ]
