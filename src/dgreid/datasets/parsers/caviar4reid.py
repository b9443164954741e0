"""CAVIAR4REID: 72 people of a shopping centre, 1,220 images. JPEG, sizes vary widely.

50 people have 20 images: 1-10 from one camera, 11-20 from the other. 22 people have 10 images from
one camera; which one is not documented, so their camera is unknown.

Reference: Cheng et al., Custom Pictorial Structures for Re-identification, BMVC 2011.
"""

import re
from collections import Counter
from pathlib import Path

from dgreid.datasets.records import Parsed, Places, find_root, here, match_names, of_camera_pair

TITLE = "CAVIAR4REID"
TREE = "CAVIARa/0001001.jpg"
NESTINGS = ("", "CAVIAR4REID", "caviar4reid", "caviar")
NAME = re.compile(r"^(?P<identity>\d{4})(?P<index>0[0-2]\d)\.jpg$")


def find(folder: Path) -> Path:
    """The folder that holds CAVIARa."""
    return find_root(folder, places, NESTINGS, TITLE, TREE)


def places(path: Path) -> Places:
    """What makes `path` the root."""
    return here(path, NAME, "CAVIARa")


def parse(root: Path, options: dict) -> Parsed:
    """Read the names; the number of images of a person decides whether the camera is known."""
    rows = match_names(root, "CAVIARa", NAME, TITLE)
    sizes = Counter(match["identity"] for _, match in rows)
    images = []
    for path, match in rows:
        camera = int(int(match["index"]) > 10) if sizes[match["identity"]] == 20 else None
        images.append(of_camera_pair(path, match, camera))
    return Parsed(images)
