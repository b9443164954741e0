"""Tiny data sets in the published layouts; every image is a few random pixels of its own."""

import hashlib
import io
import zipfile

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from dgreid.datasets.config import DatasetConfig
from dgreid.datasets.records import Parsed
from helpers.parsed import image


def picture(name: str, size: tuple[int, int]) -> bytes:
    """The encoded image file `name`; its pixels depend on the name alone."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(
        buffer, {"bmp": "bmp", "png": "png"}.get(name.rsplit(".", 1)[1].lower(), "jpeg")
    )
    return buffer.getvalue()


@pytest.fixture
def draw():
    """draw(folder, paths, size): write an image at each path below a folder; returns the folder."""

    def write(folder, paths, size=(6, 12)):
        for path in paths:
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(picture(path, size))
        return folder

    return write


MARKET = [
    *(
        f"bounding_box_train/{person:04d}_c{camera}s1_{person:04d}{camera}0_01.jpg"
        for person in (2, 7, 10)
        for camera in (1, 2)
    ),
    *(
        f"{folder}/{person:04d}_c{camera}s3_{person:04d}{camera}{shot}_02.jpg"
        for folder, shot in (("query", 1), ("bounding_box_test", 2))
        for person in (3, 5)
        for camera in (4, 6)
    ),
    "bounding_box_test/0000_c1s1_000001_01.jpg",
    "bounding_box_test/0000_c2s1_000001_01.jpg",
    "bounding_box_test/-1_c3s6_000451_03.jpg",
]
VIPER = [f"cam_{c}/{p:03d}_{a}.bmp" for p in (0, 3, 4, 873, 500, 501) for c, a in (("a", 45), ("b", 90))]
PRID = [f"cam_a/person_{p:04d}.png" for p in range(1, 10)] + [
    f"cam_b/person_{p:04d}.png" for p in range(1, 13)
]
GRID = [
    *(f"probe/{p:04d}_1_25004_107_32_106_221.jpeg" for p in range(1, 7)),
    *(f"gallery/{p:04d}_2_25010_-3_32_90_180.jpeg" for p in range(1, 7)),
    "gallery/0000_5_25698_101_16_87_246.jpeg",
    "gallery/0000_5_25699_101_16_87_246.jpeg",
]
ILIDS = [f"Persons/{p:04d}{i:03d}.jpg" for p in range(1, 8) for i in range(1, 3 + p % 3)]
CUHK02 = [
    f"P{pair}/cam{cam}/{p:03d}_{i}.png"
    for pair in range(1, 6)
    for cam in (1, 2)
    for p in (1, 2)
    for i in (1, 2)
]


def folds(folder, count=10):
    """GRID's partitions as the released file has them: structs whose third field lists the identities."""
    cells = np.empty((1, count), object)
    for fold in range(count):
        ids = sorted({1 + fold % 6, 1 + (fold // 6 + fold + 1) % 6, 1 + (fold + 2 + fold // 6) % 6})
        cells[0, fold] = {"a": 0, "b": 0, "trainIdx": np.array([ids], np.uint8)}
    folder.mkdir(parents=True, exist_ok=True)
    savemat(folder / "features_and_partitions.mat", {"trainIdxAll": cells})


@pytest.fixture
def layouts(draw, tmp_path):
    """layouts(name, nesting): a tiny copy of a data set below tmp_path/name; returns tmp_path/name."""
    members = {"market1501": MARKET, "viper": VIPER, "prid2011": PRID, "grid": GRID, "ilids": ILIDS}
    members |= {"cuhk02": CUHK02}

    def write(name, nesting=""):
        root = tmp_path / name / nesting
        draw(root, members[name])
        if name == "grid":
            folds(root)
        return tmp_path / name

    return write


@pytest.fixture
def config():
    """config(parser, **changes): a data set without expectations, small enough for the layouts."""

    def make(parser, **changes):
        options = {"prid2011": {"shared": 6}}.get(parser, {})
        node = {"name": parser, "title": parser, "parser": parser, "access": "open", "options": options}
        return DatasetConfig(**(node | changes))

    return make


@pytest.fixture
def pack():
    """pack(folder, file, name): write a zip of what is in a folder, members called name(path); the file."""

    def write(folder, file, name=lambda path: path):
        file.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(file, "w") as target:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    target.writestr(name(path.relative_to(folder).as_posix()), path.read_bytes())
        return file

    return write


@pytest.fixture
def market(layouts, pack, tmp_path):
    """A zip of the tiny Market-1501."""
    return pack(layouts("market1501", "Market-1501-v15.09.15"), tmp_path / "Market-1501-v15.09.15.zip")


@pytest.fixture
def nothing_left():
    """nothing_left(raw): whether a refused adoption left no trace."""
    return lambda raw: not raw.exists() or list(raw.iterdir()) == []


@pytest.fixture
def roles():
    """roles(parsed, split_set, number): the paths of train, query and gallery of a split."""
    return lambda parsed, split_set, number: [
        parsed.splits[split_set, number, role] for role in ("train", "query", "gallery")
    ]


@pytest.fixture
def published_zip(layouts, tmp_path, pack):
    """The tiny Market-1501 as an archive in a folder of its own."""
    return pack(layouts("market1501", "Market-1501-v15.09.15"), tmp_path / "downloads/Market.zip")


@pytest.fixture
def parsed():
    """Person 1 trains, 2 is searched among 2 and a distractor."""
    images = [
        image("t1", "1", 0, role="train"),
        image("t2", "1", 1, role="train"),
        image("q", "2", 0, role="query"),
        image("g", "2", 1, role="gallery"),
        image("d", None, 0, kind="distractor", role="gallery"),
        image("j", None, 0, kind="junk", role="gallery"),
    ]
    splits = {("m/official", 0, "train"): ["t1", "t2"]}
    splits |= {("m/official", 0, "query"): ["q"], ("m/official", 0, "gallery"): ["g", "d"]}
    return Parsed(images, splits)
