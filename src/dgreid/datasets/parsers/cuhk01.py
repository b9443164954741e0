"""CUHK01: 971 identities, two images from each of two cameras (3,884). PNG, 160 x 60.

Images 1-2 are camera A, 3-4 camera B. Its identities overlap with CUHK02 (pair 1 has the same counts).

Reference: Li, Zhao and Wang, Human Reidentification with Transferred Metric Learning, ACCV 2012.
"""

import re
from pathlib import Path

from dgreid.datasets.layout import Layout
from dgreid.datasets.names import match_names
from dgreid.datasets.records import Parsed, of_camera_pair

NAME = re.compile(r"^(?P<identity>\d{4})(?P<index>00[1-4])\.png$")
LAYOUT = Layout(
    title="CUHK01",
    tree="campus/0001001.png",
    nestings=("", "CUHK01", "cuhk01", "cuhk01/CUHK01"),
    name=NAME,
    folders=("campus",),
    shares_identities_with=("cuhk02", "cuhk03"),
)


def parse(root: Path, options: dict) -> Parsed:
    """Read the names; the image number gives the camera."""
    rows = match_names(root, "campus", NAME, LAYOUT.title)
    return Parsed([of_camera_pair(path, match, int(int(match["index"]) > 2)) for path, match in rows])
