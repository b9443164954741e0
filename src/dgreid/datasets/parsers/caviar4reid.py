"""CAVIAR4REID: 72 identities in a shopping centre, 1,220 images. JPEG, sizes vary widely.

50 identities have 20 images: 1-10 from one camera, 11-20 from the other. 22 identities have 10 images from
one camera; which one is not documented, so their camera is unknown.

Reference: Cheng et al., Custom Pictorial Structures for Re-identification, BMVC 2011.
"""

import re
from collections import Counter
from pathlib import Path

from dgreid.datasets.layout import Layout
from dgreid.datasets.names import match_names
from dgreid.datasets.records import Parsed, of_camera_pair

NAME = re.compile(r"^(?P<identity>\d{4})(?P<index>0[0-2]\d)\.jpg$")
LAYOUT = Layout(
    title="CAVIAR4REID",
    tree="CAVIARa/0001001.jpg",
    nestings=("", "CAVIAR4REID", "caviar4reid", "caviar"),
    name=NAME,
    folders=("CAVIARa",),
)


def parse(root: Path, options: dict) -> Parsed:
    """Read the names; an identity's number of images decides whether its cameras are known."""
    rows = match_names(root, "CAVIARa", NAME, LAYOUT.title)
    sizes = Counter(match["identity"] for _, match in rows)
    images = []
    for path, match in rows:
        camera = int(int(match["index"]) > 10) if sizes[match["identity"]] == 20 else None
        images.append(of_camera_pair(path, match, camera))
    return Parsed(images)
