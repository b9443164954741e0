"""DukeMTMC-reID: `DukeMTMC-reID/bounding_box_train/0001_c2_f0046182.jpg`: sparse identity, camera, frame.

One query per identity and camera; some identities occur in the gallery only.
"""

from dgreid.miniature.render import Shot, World
from dgreid.miniature.writers import Item, need, random_size

ENCODING = "jpg"
ROOT = "DukeMTMC-reID"
CAMERAS = 8


def plan(sizes: dict[str, int], world: World) -> list[Item]:
    """Plan the shots of bounding_box_train, query and bounding_box_test."""
    train, per_train, test, per_test, strangers = need(
        sizes, "train_identities", "images_per_train_identity", "test_identities",
        "gallery_images_per_test_identity", "gallery_only_identities",
    )  # fmt: skip
    rng = world.stream("duke layout")
    people = train + test + strangers
    numbers = 1 + rng.permutation(4 * people)[:people]  # the real numbers reach 7140 for 1,812 identities
    items = []

    def add(folder: str, identity: int, camera: int, number: int) -> None:
        frame = 40000 + 997 * number + int(rng.integers(900))
        path = f"{ROOT}/{folder}/{identity:04d}_c{camera + 1}_f{frame:07d}.jpg"
        items.append(Item(path, Shot(identity, camera, number), random_size(rng, 110, 200)))

    for position, identity in enumerate(numbers.tolist()):
        per_person = per_train if position < train else per_test
        seen = rng.permutation(CAMERAS)[: max(2, min(CAMERAS, per_person // 2))].tolist()
        folder, queries = "bounding_box_train" if position < train else "bounding_box_test", 0
        if train <= position < train + test:
            queries = len(seen)
            for number, camera in enumerate(seen):
                add("query", identity, camera, number)
        for number in range(queries, queries + per_person):
            add(folder, identity, seen[number % len(seen)], number)
    return items
