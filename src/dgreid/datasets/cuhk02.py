"""CUHK02: 1,816 people in five camera pairs, two images per camera (7,264). PNG, 160 x 60.

971 / 306 / 107 / 193 / 239 people per pair; the numbers restart in each pair. A source in the
domain-generalisation papers; the set's own protocol trains on pairs 1-4 and searches pair 5.
Its people overlap with CUHK01 (pair 1 has the same counts) and CUHK03.

Reference: Li and Wang, Locally Aligned Feature Transforms across Views, CVPR 2013.
"""

import re
from pathlib import Path

from dgreid.datasets.records import Image, Parsed, find_root, has_folder, match_names

TITLE = "CUHK02"
TREE = "Dataset/P{1..5}/cam{1,2}/001_1.png"
NESTINGS = ("Dataset", "", "cuhk02/Dataset", "CUHK02/Dataset", "cuhk02", "CUHK02")
NAME = re.compile(r"^(?P<identity>\d+)_(?P<index>\d+)\.png$")
PAIRS = (1, 2, 3, 4, 5)
SPLIT_SET = "cuhk02/pair5"


def find(folder: Path) -> Path:
    """The folder that holds P1 to P5."""
    return find_root(folder, _is_root, NESTINGS, TITLE, TREE)


def parse(root: Path, options: dict) -> Parsed:
    """Read the ten camera folders; a copy without one of them is partial."""
    images, missing = [], []
    for pair in PAIRS:
        for view in (0, 1):
            folder = f"P{pair}/cam{view + 1}"
            rows = match_names(root, folder, NAME, TITLE)
            missing += [] if rows else [folder]
            images += [
                Image(
                    path=path,
                    person=f"{pair}:{match['identity']}",
                    person_raw=match["identity"],
                    camera=2 * (pair - 1) + view,
                    camera_raw=folder,
                    view=view,
                    index=int(match["index"]),
                )
                for path, match in rows
            ]
    splits = {} if missing else _split(images)
    return Parsed(images, splits, tuple(missing))


def _split(images: list[Image]) -> dict[tuple[str, int, str], list[str]]:
    """Pairs 1-4 train, camera 1 of pair 5 is searched in its camera 2."""
    last = 2 * (PAIRS[-1] - 1)
    return {
        (SPLIT_SET, 0, "train"): [image.path for image in images if image.camera < last],
        (SPLIT_SET, 0, "query"): [image.path for image in images if image.camera == last],
        (SPLIT_SET, 0, "gallery"): [image.path for image in images if image.camera == last + 1],
    }


def _is_root(path: Path) -> bool:
    return any(has_folder(path, f"P{pair}/cam1") or has_folder(path, f"P{pair}/cam2") for pair in PAIRS)
