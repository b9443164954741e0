"""Market-1501: train, query and gallery folders, distractors (0000) and junk (-1).

`Market-1501-v15.09.15/bounding_box_train/0002_c1s1_000451_03.jpg`: identity, camera 1-6, sequence, frame,
box. One query per identity and camera; each query has gallery images from other cameras.
"""

from dgreid.miniature.render import Shot, World
from dgreid.miniature.writers import Item, need

ENCODING = "jpg"
ROOT = "Market-1501-v15.09.15"
CAMERAS = 6


def plan(sizes: dict[str, int], world: World) -> list[Item]:
    """Plan the shots of bounding_box_train, query and bounding_box_test."""
    train, per_train, test, per_test, distractors, junk = need(
        sizes, "train_identities", "images_per_train_identity", "test_identities",
        "gallery_images_per_test_identity", "distractors", "junk",
    )  # fmt: skip
    rng = world.stream("market layout")
    order = 1 + rng.permutation(train + test)
    items = []

    def name(folder: str, identity: str, camera: int, sequence: int, number: int) -> str:
        frame = int(rng.integers(1, 1000)) * 100 + number  # the last digits keep names distinct
        box = int(rng.integers(1, 5))
        return f"{ROOT}/{folder}/{identity}_c{camera + 1}s{sequence}_{frame:06d}_{box:02d}.jpg"

    for identity in sorted(order[:train].tolist()):
        seen = rng.permutation(CAMERAS)[: max(2, min(CAMERAS, per_train // 2))]
        for number in range(per_train):
            camera, sequence = int(seen[number % len(seen)]), int(rng.integers(1, 7))
            path = name("bounding_box_train", f"{identity:04d}", camera, sequence, number)
            items.append(Item(path, Shot(identity, camera, number)))
    tested = sorted(order[train:].tolist())
    for identity in tested:
        seen = rng.permutation(CAMERAS)[: max(2, min(CAMERAS, per_test // 2))]
        for number in range(per_test + len(seen)):
            folder = "query" if number < len(seen) else "bounding_box_test"
            camera, sequence = int(seen[number % len(seen)]), int(rng.integers(1, 7))
            path = name(folder, f"{identity:04d}", camera, sequence, number)
            items.append(Item(path, Shot(identity, camera, number)))
    for number in range(distractors):  # backgrounds and bad boxes of identities that are never queries
        camera, box = int(rng.integers(CAMERAS)), "empty" if rng.random() < 0.6 else "loose"
        path = name("bounding_box_test", "0000", camera, 1 + number // 100 % 6, number % 100)
        items.append(Item(path, Shot(f"distractor {number}", camera, 0, box)))
    for number in range(junk):  # bad boxes of test identities
        camera, person = int(rng.integers(CAMERAS)), int(rng.choice(tested))
        path = name("bounding_box_test", "-1", camera, 1 + number // 100 % 6, number % 100)
        items.append(Item(path, Shot(person, camera, 1000 + number, "loose")))
    return items
