"""CUHK02: 1,816 identities in five camera pairs, two images per camera (7,264). PNG, 160 x 60.

971 / 306 / 107 / 193 / 239 identities per pair; the numbers restart in each pair. A source in the
domain-generalisation papers; the set's own protocol trains on pairs 1-4 and tests on pair 5.
Its identities overlap with CUHK01 (pair 1 has the same counts) and CUHK03.

Reference: Li and Wang, Locally Aligned Feature Transforms across Views, CVPR 2013.
"""

import re
from pathlib import Path

from dgreid.datasets.layout import Layout
from dgreid.datasets.names import match_folders
from dgreid.datasets.records import Image, Parsed, Splits

NAME = re.compile(r"^(?P<identity>\d+)_(?P<index>\d+)\.png$")
PAIRS = (1, 2, 3, 4, 5)
FOLDERS = tuple(f"P{pair}/cam{view}" for pair in PAIRS for view in (1, 2))  # in the order of the cameras
SPLIT_SET = "cuhk02/pair5"
LAYOUT = Layout(
    title="CUHK02",
    tree="Dataset/P{1..5}/cam{1,2}/001_1.png",
    nestings=("Dataset", "", "cuhk02/Dataset", "CUHK02/Dataset", "cuhk02", "CUHK02"),
    name=NAME,
    folders=FOLDERS,
    shares_identities_with=("cuhk01", "cuhk03"),
)


def parse(root: Path, options: dict) -> Parsed:
    """Read the ten camera folders; a copy without one of them is partial."""
    rows, missing = match_folders(root, FOLDERS, NAME, LAYOUT.title)
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


def _split(images: list[Image]) -> Splits:
    """Train on pairs 1-4; camera 1 of pair 5 is the query, its camera 2 the gallery."""
    last = 2 * (PAIRS[-1] - 1)
    return {
        (SPLIT_SET, 0, "train"): [image.path for image in images if image.camera < last],
        (SPLIT_SET, 0, "query"): [image.path for image in images if image.camera == last],
        (SPLIT_SET, 0, "gallery"): [image.path for image in images if image.camera == last + 1],
    }
