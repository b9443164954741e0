"""QMUL i-LIDS: `i-LIDS_Pedestrian/Persons/0001003.jpg`, four digits identity, three digits image.

No camera is named. Two to eight images per identity, each count as frequent as in the real data set.
"""

from dgreid.miniature.render import Shot, World
from dgreid.miniature.writers import Item, need, random_size, shares

ENCODING = "jpg"
PER_PERSON = {2: 22, 3: 33, 4: 24, 5: 15, 6: 17, 7: 4, 8: 4}  # images: identities
CAMERAS = 4


def plan(sizes: dict[str, int], world: World) -> list[Item]:
    """Plan the shots of each identity, the first two from different cameras."""
    (identities,) = need(sizes, "identities")
    rng = world.stream("ilids layout")
    people = shares(identities, list(PER_PERSON.values()))
    counts = [count for count, number in zip(PER_PERSON, people, strict=True) for _ in range(number)]
    items = []
    for identity, position in enumerate(rng.permutation(identities), start=1):
        cameras = rng.permutation(CAMERAS)
        for index in range(1, counts[position] + 1):
            size = random_size(rng, 100, 160)
            shot = Shot(
                identity, int(cameras[(index - 1) % 2] if index < 3 else rng.integers(CAMERAS)), index
            )
            items.append(Item(f"i-LIDS_Pedestrian/Persons/{identity:04d}{index:03d}.jpg", shot, size))
    return items
