"""MSMT17, version 2: `MSMT17_V2/mask_train_v2/0000/0000_000_01_0303morning_0015_0.jpg` and four lists.

The numbers begin at 0000 in both halves, for other identities. The lines of a list are `path label`. As in
the real data set, most identities are seen by few of the 15 cameras, and a few names end in `_ex`.
"""

from collections.abc import Iterator

from dgreid.miniature.render import Shot, World
from dgreid.miniature.writers import Item, need, random_size

ENCODING = "jpg"
ROOT = "MSMT17_V2"
SIDES = {"train": "mask_train_v2", "val": "mask_train_v2", "query": "mask_test_v2", "gallery": "mask_test_v2"}
CAMERAS = 15
SLOTS = ("morning", "noon", "afternoon")
VAL_EVERY = 10  # one training image in this many is for validation


def plan(sizes: dict[str, int], world: World) -> list[Item]:
    """Plan the shots of both halves; in the test half, the first of each identity and camera is a query."""
    train, per_train, test, per_test = need(
        sizes, "train_identities", "images_per_train_identity", "test_identities",
        "gallery_images_per_test_identity",
    )  # fmt: skip
    rng = world.stream("msmt layout")
    items = []
    for side, people, per_person in (("train", train, per_train), ("test", test, per_test)):
        for identity in range(people):
            # neighbours share cameras, and all fifteen are used
            seen = [(3 * identity + step) % CAMERAS for step in range(max(2, min(4, per_person // 2)))]
            for number in range(per_person + (len(seen) if side == "test" else 0)):
                camera, day = seen[number % len(seen)], int(rng.choice((113, 114, 302, 303)))
                slot, frame = SLOTS[rng.integers(3)], int(rng.integers(10000))
                extra = "_ex" if rng.random() < 0.05 else ""
                name = (
                    f"{identity:04d}_{number:03d}_{camera + 1:02d}_{day:04d}{slot}_{frame:04d}_0{extra}.jpg"
                )
                path = f"{ROOT}/mask_{side}_v2/{identity:04d}/{name}"
                items.append(
                    Item(path, Shot(f"{side} {identity}", camera, number), random_size(rng, 110, 200))
                )
    return items


def pack(drawn: list[tuple[Item, bytes]], sizes: dict[str, int], world: World) -> Iterator[tuple[str, bytes]]:
    """Pack the images and the four lists."""
    lists: dict[str, list[str]] = {role: [] for role in SIDES}
    asked, trained = set(), 0
    for item, content in drawn:
        yield item.path, content
        _, side, identity, name = item.path.split("/")
        if side == SIDES["train"]:
            trained += 1
            role = "train" if trained % VAL_EVERY else "val"
        else:
            pair = item.shot.person, item.shot.camera
            role = "gallery" if pair in asked else "query"
            asked.add(pair)
        lists[role].append(f"{identity}/{name} {int(identity)}\n")
    for role, lines in lists.items():
        yield f"{ROOT}/list_{role}.txt", "".join(lines).encode()
