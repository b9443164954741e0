"""CUHK01: 971 people, two images from each of two cameras (3,884). PNG, 160 x 60.

Images 1-2 are camera A, 3-4 camera B. Its people overlap with CUHK02 (pair 1 has the same counts).

Reference: Li, Zhao and Wang, Human Reidentification with Transferred Metric Learning, ACCV 2012.
"""

import re
from pathlib import Path

from dgreid.datasets.records import Parsed, Places, find_root, here, match_names, of_camera_pair

TITLE = "CUHK01"
TREE = "campus/0001001.png"
NESTINGS = ("", "CUHK01", "cuhk01", "cuhk01/CUHK01")
NAME = re.compile(r"^(?P<identity>\d{4})(?P<index>00[1-4])\.png$")


def find(folder: Path) -> Path:
    """The folder that holds campus."""
    return find_root(folder, places, NESTINGS, TITLE, TREE)


def places(path: Path) -> Places:
    """What makes `path` the root."""
    return here(path, NAME, "campus")


def parse(root: Path, options: dict) -> Parsed:
    """Read the names; the image number gives the camera."""
    rows = match_names(root, "campus", NAME, TITLE)
    return Parsed([of_camera_pair(path, match, int(int(match["index"]) > 2)) for path, match in rows])
