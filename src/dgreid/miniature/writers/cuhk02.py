"""CUHK02: five camera pairs, `Dataset/P1/cam1/001_1.png`; the identities restart in each pair."""

from dgreid.miniature.render import Shot, World
from dgreid.miniature.writers import Item, need, shares

ENCODING = "png"
PAIRS = (971, 306, 107, 193, 239)  # identities per pair of the real data set


def plan(sizes: dict[str, int], world: World) -> list[Item]:
    """Plan two shots per identity and camera; the pairs have the shares of the real data set."""
    (identities,) = need(sizes, "identities")
    items = []
    for pair, count in enumerate(shares(identities, PAIRS), start=1):
        for identity in range(1, count + 1):
            for camera in (1, 2):
                for index in (1, 2):
                    path = f"Dataset/P{pair}/cam{camera}/{identity:03d}_{index}.png"
                    shot = Shot(f"P{pair} {identity}", 2 * (pair - 1) + camera - 1, index)
                    items.append(Item(path, shot, (60, 160)))
    return items
