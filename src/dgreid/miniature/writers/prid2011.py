"""PRID2011, single shot: `prid_2011/single_shot/cam_a/person_0001.png`.

Low numbers are the same identities in both cameras; a higher number is another identity in the other camera.
"""

from dgreid.miniature.render import Shot, World
from dgreid.miniature.writers import Item, need

ENCODING = "png"


def plan(sizes: dict[str, int], world: World) -> list[Item]:
    """Plan one shot per identity and camera."""
    shared, *alone = need(sizes, "shared_identities", "only_a_identities", "only_b_identities")
    items = []
    for camera, letter in enumerate("ab"):
        for number in range(1, shared + alone[camera] + 1):
            person = f"{number}" if number <= shared else f"{letter} {number}"
            path = f"prid_2011/single_shot/cam_{letter}/person_{number:04d}.png"
            items.append(Item(path, Shot(person, camera)))
    return items
