"""CUHK02: 1,816 people in five camera pairs, two images per camera (7,264). PNG, 160 x 60.

971 / 306 / 107 / 193 / 239 people per pair; the numbers restart in each pair. A source in the
domain-generalisation papers; the set's own protocol trains on pairs 1-4 and searches pair 5.
Its people overlap with CUHK01 (pair 1 has the same counts) and CUHK03.

Reference: Li and Wang, Locally Aligned Feature Transforms across Views, CVPR 2013.
"""

import re
from pathlib import Path

from dgreid.datasets.records import Image, Parsed, Places, find_root, here, match_folders

TITLE = "CUHK02"
TREE = "Dataset/P{1..5}/cam{1,2}/001_1.png"
NESTINGS = ("Dataset", "", "cuhk02/Dataset", "CUHK02/Dataset", "cuhk02", "CUHK02")
NAME = re.compile(r"^(?P<identity>\d+)_(?P<index>\d+)\.png$")
PAIRS = (1, 2, 3, 4, 5)
FOLDERS = tuple(f"P{pair}/cam{view}" for pair in PAIRS for view in (1, 2))  # in the order of the cameras
SPLIT_SET = "cuhk02/pair5"


def find(folder: Path) -> Path:
    """The folder that holds P1 to P5."""
    return find_root(folder, places, NESTINGS, TITLE, TREE)


def places(path: Path) -> Places:
    """What makes `path` the root."""
    return here(path, NAME, *FOLDERS)


def parse(root: Path, options: dict) -> Parsed:
    """Read the ten camera folders; a copy without one of them is partial."""
    rows, missing = match_folders(root, FOLDERS, NAME, TITLE)
    images = [
        Image(
            path=path,
            person=f"{PAIRS[camera // 2]}:{match['identity']}",
            person_raw=match["identity"],
            camera=camera,
            camera_raw=FOLDERS[camera],
            view=camera % 2,
            index=int(match["index"]),
        )
        for camera, path, match in rows
    ]
    splits = {} if missing else _split(images)
    return Parsed(images, splits, missing)


def _split(images: list[Image]) -> dict[tuple[str, int, str], list[str]]:
    """Pairs 1-4 train, camera 1 of pair 5 is searched in its camera 2."""
    last = 2 * (PAIRS[-1] - 1)
    return {
        (SPLIT_SET, 0, "train"): [image.path for image in images if image.camera < last],
        (SPLIT_SET, 0, "query"): [image.path for image in images if image.camera == last],
        (SPLIT_SET, 0, "gallery"): [image.path for image in images if image.camera == last + 1],
    }
