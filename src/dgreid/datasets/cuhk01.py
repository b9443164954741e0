"""CUHK01: 971 people, two images from each of two cameras (3,884). PNG, 160 x 60.

Images 1-2 are camera A, 3-4 camera B. Its people overlap with CUHK02 (pair 1 has the same counts).

Reference: Li, Zhao and Wang, Human Reidentification with Transferred Metric Learning, ACCV 2012.
"""

import re
from pathlib import Path

from dgreid.datasets.records import Image, Parsed, find_root, has_folder, match_names

TITLE = "CUHK01"
TREE = "campus/0001001.png"
NESTINGS = ("", "CUHK01", "cuhk01", "cuhk01/CUHK01")
NAME = re.compile(r"^(?P<identity>\d{4})(?P<index>00[1-4])\.png$")


def find(folder: Path) -> Path:
    """The folder that holds campus."""
    return find_root(folder, lambda path: has_folder(path, "campus"), NESTINGS, TITLE, TREE)


def parse(root: Path, options: dict) -> Parsed:
    """Read the names; the image number gives the camera."""
    images = []
    for path, match in match_names(root, "campus", NAME, TITLE):
        index = int(match["index"])
        camera = int(index > 2)
        images.append(
            Image(
                path=path,
                person=match["identity"],
                person_raw=match["identity"],
                camera=camera,
                camera_raw="AB"[camera],
                view=camera,
                index=index,
            )
        )
    return Parsed(images)
