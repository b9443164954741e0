"""3DPeS: 193 identities on a campus, 1,012 images. BMP, sizes vary.

Eight cameras filmed them, but the names tell only the sequence, so the camera of an image is
unknown. A few names carry a letter after the identity: `166_B_1280_FRAME_105_RGB.bmp`.

Reference: Baltieri, Vezzani and Cucchiara, 3DPes: 3D People Dataset for Surveillance and Forensics,
J-HGBU 2011.
"""

import re
from pathlib import Path

from dgreid.datasets.layout import Layout
from dgreid.datasets.names import Places, match_name, match_names
from dgreid.datasets.records import Image, Parsed

NAME = re.compile(r"^(?P<identity>\d+)(_(?P<part>[A-Z]))?_(?P<sequence>\d+)_FRAME_(?P<frame>\d+)_RGB\.bmp$")


def _held(root: Path) -> Places:
    """The root holds the images themselves."""
    found = root.is_dir() and any(match_name(NAME, file.name) for file in root.glob("*_RGB.*"))
    return [("", NAME)] if found else []


LAYOUT = Layout(
    title="3DPeS",
    tree="3DPeS/100_3_FRAME_26_RGB.bmp",
    nestings=("3DPeS", "", "3dpes", "3DPeS/RGB", "RGB"),
    name=NAME,
    held=_held,
)


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
        for path, match in match_names(root, "", NAME, LAYOUT.title)
    ]
    return Parsed(images)
