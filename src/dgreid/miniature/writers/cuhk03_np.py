"""CUHK03 as the ready-made new-protocol folders: `cuhk03-np/detected/query/0001_c1_1.png`.

Detected and labeled boxes of the same images; the identities are the global ones, 1-1467, in five pairs.
One query per identity and view.
"""

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

from dgreid.miniature.render import Shot, World
from dgreid.miniature.writers import Item, need, random_size, shares

ENCODING = "png"
OFFSETS, PAIRS = (0, 843, 1283, 1360, 1418), (843, 440, 77, 58, 49)  # of the real data set
PER_VIEW = 3


def plan(sizes: dict[str, int], world: World) -> list[Item]:
    """Plan the detected boxes; identities are assigned at random to training or test."""
    train, test = need(sizes, "train_identities", "test_identities")
    rng = world.stream("cuhk03 np layout")
    people = [
        (pair, offset + 1 + number)
        for pair, (offset, count) in enumerate(zip(OFFSETS, shares(train + test, PAIRS), strict=True))
        for number in range(count)
    ]
    trains = set(rng.permutation(len(people))[:train].tolist())
    items = []
    for position, (pair, identity) in enumerate(people):
        for index in range(1, 2 * PER_VIEW + 1):
            view = int(index > PER_VIEW)
            number = index + (5 - PER_VIEW) * view  # numbered 1-5 in the first view, 6-10 in the second
            first = index == 1 + PER_VIEW * view
            folder = "bounding_box_train" if position in trains else "query" if first else "bounding_box_test"
            path = f"cuhk03-np/detected/{folder}/{identity:04d}_c{view + 1}_{number}.png"
            items.append(Item(path, Shot(identity, 2 * pair + view, number), random_size(rng, 110, 150)))
    return items


def pack(drawn: list[tuple[Item, bytes]], sizes: dict[str, int], world: World) -> Iterator[tuple[str, bytes]]:
    """Pack the detected images and the labeled ones, which are a little tighter."""
    rng = world.stream("cuhk03 np boxes")
    for item, content in drawn:
        yield item.path, content
        image, buffer = Image.open(io.BytesIO(content)), io.BytesIO()
        cut = np.array(rng.integers(0, 4, 4))
        image.crop((cut[0], cut[1], image.width - cut[2], image.height - cut[3])).save(buffer, "png")
        yield item.path.replace("/detected/", "/labeled/"), buffer.getvalue()
