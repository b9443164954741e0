"""GRID: `underground_reid/{probe,gallery}/0001_1_25004_107_32_106_221.jpeg` and ten partitions.

The name holds identity, camera, frame and the box (x, y, width, height). Identity 0000 in the gallery means
distractors. `features_and_partitions.mat` holds `trainIdxAll`, a 1 x 10 cell of structs whose
third field lists the training identities.
"""

import io
from collections.abc import Iterator

import numpy as np
from scipy.io import savemat

from dgreid.miniature.render import Shot, World
from dgreid.miniature.writers import Item, need, random_size

ENCODING = "jpg"
ROOT = "underground_reid"
PAIRS = {(1, 2): 108, (4, 5): 116, (3, 6): 1, (4, 6): 25}  # cameras of a pair: about their real numbers
STRANGERS = {1: 8, 2: 321, 3: 62, 4: 12, 5: 372}  # camera counts of the real distractors


def plan(sizes: dict[str, int], world: World) -> list[Item]:
    """Plan pairs seen by two different cameras, and the distractors."""
    pairs, distractors = need(sizes, "pairs", "distractors")
    rng = world.stream("grid layout")
    items = []

    def add(folder: str, identity: int, camera: int, frame: int, person: int | str) -> None:
        width, height = random_size(rng, 110, 190)
        x, y = rng.integers(0, 400), rng.integers(0, 200)
        path = f"{ROOT}/{folder}/{identity:04d}_{camera}_{frame}_{x}_{y}_{width}_{height}.jpeg"
        items.append(Item(path, Shot(person, camera - 1), (width, height)))

    for identity in range(1, pairs + 1):
        cameras = list(PAIRS)[
            int(rng.choice(len(PAIRS), p=np.array(list(PAIRS.values())) / sum(PAIRS.values())))
        ]
        first = int(rng.integers(2))
        add("probe", identity, cameras[first], 20000 + identity, identity)
        add("gallery", identity, cameras[1 - first], 40000 + identity, identity)
    for number in range(distractors):
        weights = np.array(list(STRANGERS.values())) / sum(STRANGERS.values())
        camera = int(rng.choice(list(STRANGERS), p=weights))
        add("gallery", 0, camera, 60000 + number, f"stranger {number}")
    return items


def pack(drawn: list[tuple[Item, bytes]], sizes: dict[str, int], world: World) -> Iterator[tuple[str, bytes]]:
    """Pack the images and the partitions: ten random halves of the pairs."""
    for item, content in drawn:
        yield item.path, content
    rng = world.stream("grid partitions")
    partitions = np.empty((1, 10), object)
    for fold in range(10):
        order = 1 + rng.permutation(sizes["pairs"])
        train, test = np.sort(order[: sizes["pairs"] // 2]), np.sort(order[sizes["pairs"] // 2 :])
        partitions[0, fold] = {"fold": fold + 1, "testIdx": test[None], "trainIdx": train[None]}
    buffer = io.BytesIO()
    savemat(buffer, {"trainIdxAll": partitions})
    header = b"MATLAB 5.0 MAT-file, drawn by dgreid".ljust(116)  # in place of the date of writing
    yield f"{ROOT}/features_and_partitions.mat", header + buffer.getvalue()[116:]
