"""CUHK03 as released: one MATLAB 7.3 file, `cuhk03_release/cuhk-03.mat`.

MATLAB 7.3 is HDF5 with the axes reversed. `detected` and `labeled` are 5 x 1 cells, one per camera pair,
of (identities, 10) cells: images 1-5 from the first view, 6-10 from the second, some of them empty.
`testsets` is a 20 x 1 cell of (n, 2) tables of (pair, identity), from 1.
"""

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from dgreid.miniature.render import Shot, World
from dgreid.miniature.writers import Item, need, random_size, shares

ENCODING = "png"
PAIRS = (843, 440, 77, 58, 49)  # identities per pair of the real data set
SLOTS = 10
README = "Drawn by dgreid in the layout of CUHK03; it shows no real person.\n"


def plan(sizes: dict[str, int], world: World) -> list[Item]:
    """Plan the detected boxes; their paths `pair/identity/slot` name the cell of each image."""
    identities, _ = need(sizes, "identities", "test_identities")
    rng = world.stream("cuhk03 layout")
    items = []
    for pair, count in enumerate(shares(identities, PAIRS)):
        for identity in range(count):
            for slot in range(SLOTS):
                view = slot // 5
                empty = slot % 5 >= 2 and rng.random() < 0.08  # every view has at least two images
                size = random_size(rng, 110, 150)
                if not empty:
                    shot = Shot(f"P{pair + 1} {identity + 1}", 2 * pair + view, slot)
                    items.append(Item(f"{pair}/{identity}/{slot}", shot, size))
    return items


def pack(drawn: list[tuple[Item, bytes]], sizes: dict[str, int], world: World) -> Iterator[tuple[str, bytes]]:
    """Pack the release: the .mat file and its README."""
    counts = shares(sizes["identities"], PAIRS)
    rng = world.stream("cuhk03 boxes")
    detected = [[[None] * SLOTS for _ in range(count)] for count in counts]
    labeled = [[[None] * SLOTS for _ in range(count)] for count in counts]
    for item, content in drawn:
        pair, identity, slot = map(int, item.path.split("/"))
        image = Image.open(io.BytesIO(content))
        detected[pair][identity][slot] = np.asarray(image)
        if slot % 5 == 0 or rng.random() < 0.99:  # the two variants differ in a few images
            labeled[pair][identity][slot] = _by_hand(image, rng)
    people = [(pair + 1, identity + 1) for pair in range(3) for identity in range(counts[pair])]
    tests = [
        np.array(sorted(people[k] for k in rng.permutation(len(people))[: sizes["test_identities"]]), float)
        for _ in range(20)
    ]
    with tempfile.TemporaryDirectory() as room:
        path = Path(room) / "cuhk-03.mat"
        _write(path, detected, labeled, tests)
        yield "cuhk03_release/cuhk-03.mat", path.read_bytes()
    yield "cuhk03_release/README", README.encode()


def _by_hand(image: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """Crop to the box that an annotator would draw: a little tighter than the detector's."""
    width, height = image.size
    left, right = rng.integers(0, 4, 2)
    top, bottom = rng.integers(0, 4, 2)
    return np.asarray(image.crop((left, top, width - right, height - bottom)))


def _write(path: Path, detected: list, labeled: list, tests: list[np.ndarray]) -> None:
    """Write the MATLAB file; object names and times are fixed, so equal content gives equal bytes."""
    with h5py.File(path, "w", userblock_size=512, libver="earliest") as file:
        store = file.create_group("#refs#")

        def put(where, name: str, data: np.ndarray, kind: str, **options) -> h5py.Dataset:
            made = where.create_dataset(name, data=data, track_times=False, **options)
            made.attrs["MATLAB_class"] = np.bytes_(kind)
            return made

        def keep(data: np.ndarray, kind: str) -> h5py.Reference:
            name = f"r{len(store):06d}"
            squeeze = {"compression": "gzip", "compression_opts": 3, "chunks": data.shape}
            return put(store, name, data, kind, **(squeeze if kind == "uint8" else {})).ref

        def image(pixels: np.ndarray | None) -> h5py.Reference:
            if pixels is not None:
                return keep(np.ascontiguousarray(pixels.transpose(2, 1, 0)), "uint8")  # (3, W, H)
            reference = keep(np.zeros(2, np.uint64), "double")  # how MATLAB writes []
            file[reference].attrs["MATLAB_empty"] = np.uint8(1)
            return reference

        def cell(references) -> np.ndarray:
            return np.array(references, dtype=h5py.ref_dtype)

        for name, pairs in (("detected", detected), ("labeled", labeled)):
            tables = []
            for people in pairs:
                table = np.empty((SLOTS, len(people)), dtype=h5py.ref_dtype)  # MATLAB's (people, 10)
                for column, slots in enumerate(people):
                    for row, pixels in enumerate(slots):
                        table[row, column] = image(pixels)
                tables.append(keep(table, "cell"))
            put(file, name, cell([tables]), "cell")
        put(file, "testsets", cell([[keep(test.T.copy(), "double") for test in tests]]), "cell")
    head = "MATLAB 7.3 MAT-file, drawn by dgreid".ljust(116).encode() + bytes(8) + b"\x00\x02IM"
    with open(path, "r+b") as raw:
        raw.write(head)
