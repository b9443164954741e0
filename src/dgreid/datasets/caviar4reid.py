"""CAVIAR4REID: 72 people of a shopping centre, 1,220 images. JPEG, sizes vary widely.

50 people have 20 images: 1-10 from one camera, 11-20 from the other. 22 people have 10 images from
one camera; which one is not documented, so their camera is unknown.

Reference: Cheng et al., Custom Pictorial Structures for Re-identification, BMVC 2011.
"""

import re
from collections import Counter
from pathlib import Path

from dgreid.datasets.records import Image, Parsed, find_root, has_folder, match_names

TITLE = "CAVIAR4REID"
TREE = "CAVIARa/0001001.jpg"
NESTINGS = ("", "CAVIAR4REID", "caviar4reid", "caviar")
NAME = re.compile(r"^(?P<identity>\d{4})(?P<index>0[0-2]\d)\.jpg$")


def find(folder: Path) -> Path:
    """The folder that holds CAVIARa."""
    return find_root(folder, lambda path: has_folder(path, "CAVIARa"), NESTINGS, TITLE, TREE)


def parse(root: Path, options: dict) -> Parsed:
    """Read the names; the number of images of a person decides whether the camera is known."""
    rows = match_names(root, "CAVIARa", NAME, TITLE)
    sizes = Counter(match["identity"] for _, match in rows)
    images = []
    for path, match in rows:
        index = int(match["index"])
        camera = int(index > 10) if sizes[match["identity"]] == 20 else None
        images.append(
            Image(
                path=path,
                person=match["identity"],
                person_raw=match["identity"],
                camera=camera,
                camera_raw=None if camera is None else "AB"[camera],
                view=camera,
                index=index,
            )
        )
    return Parsed(images)
