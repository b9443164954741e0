"""PRID2011, single shot: `prid_2011/single_shot/cam_a/person_0001.png`.

The low numbers are the same people in both cameras; the same higher number in the other camera is
somebody else.
"""

from dgreid.miniature.render import Shot, World
from dgreid.miniature.writers import Item, need

ENCODING = "png"


def plan(sizes: dict[str, int], world: World) -> list[Item]:
    """One shot per person and camera."""
    shared, *alone = need(sizes, "shared_identities", "only_a_identities", "only_b_identities")
    items = []
    for camera, letter in enumerate("ab"):
        for number in range(1, shared + alone[camera] + 1):
            person = f"{number}" if number <= shared else f"{letter} {number}"
            path = f"prid_2011/single_shot/cam_{letter}/person_{number:04d}.png"
            items.append(Item(path, Shot(person, camera)))
    return items
