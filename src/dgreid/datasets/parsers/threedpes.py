"""3DPeS: 193 people on a campus, 1,012 images. BMP, sizes vary.

Eight cameras filmed them, but the names tell only the sequence, so the camera of an image is
unknown. A few names carry a letter after the identity: `166_B_1280_FRAME_105_RGB.bmp`.

Reference: Baltieri, Vezzani and Cucchiara, 3DPes: 3D People Dataset for Surveillance and Forensics,
J-HGBU 2011.
"""

import re
from pathlib import Path

from dgreid.datasets.records import Image, Parsed, Places, find_root, match_name, match_names

TITLE = "3DPeS"
TREE = "3DPeS/100_3_FRAME_26_RGB.bmp"
NESTINGS = ("3DPeS", "", "3dpes", "3DPeS/RGB", "RGB")
NAME = re.compile(r"^(?P<identity>\d+)(_(?P<part>[A-Z]))?_(?P<sequence>\d+)_FRAME_(?P<frame>\d+)_RGB\.bmp$")


def find(folder: Path) -> Path:
    """The folder that holds the images themselves."""
    return find_root(folder, places, NESTINGS, TITLE, TREE)


def places(path: Path) -> Places:
    """What makes `path` the root: images of these names in it."""
    found = path.is_dir() and any(match_name(NAME, file.name) for file in path.glob("*_RGB.*"))
    return [("", NAME)] if found else []


def parse(root: Path, options: dict) -> Parsed:
    """Read the names."""
    images = [
        Image(
            path=path,
            person=f"{int(match['identity']):03d}",
            person_raw=match["identity"],
            sequence=int(match["sequence"]),
            frame=int(match["frame"]),
            attrs={"part": match["part"]} if match["part"] else {},
        )
        for path, match in match_names(root, "", NAME, TITLE)
    ]
    return Parsed(images)
