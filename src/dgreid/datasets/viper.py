"""VIPeR: 632 people, one image from each of two cameras (1,264). BMP, 128 x 48.

Identities run 0..873 with gaps. Ten random splits in 316 training and 316 test people; queries are
cam_a, the gallery is cam_b.

Reference: Gray, Brennan and Tao, Evaluating Appearance Models for Recognition, Reacquisition, and
Tracking, PETS 2007.
"""

import re
from pathlib import Path

from dgreid.datasets.records import Image, Parsed, Places, find_root, here, match_folders
from dgreid.datasets.splits import across_cameras, generator

TITLE = "VIPeR"
TREE = "VIPeR/{cam_a,cam_b}/000_45.bmp"
NESTINGS = ("", "VIPeR", "viper/VIPeR", "viper")
NAME = re.compile(r"^(?P<identity>\d{3})_(?P<angle>\d{1,3})\.bmp$")
FOLDERS = ("cam_a", "cam_b")
SPLIT_SET = "viper/rand10_a2b"


def find(folder: Path) -> Path:
    """The folder that holds cam_a and cam_b."""
    return find_root(folder, places, NESTINGS, TITLE, TREE, [(name, NAME) for name in FOLDERS])


def places(path: Path) -> Places:
    """What makes `path` the root: the folders of both cameras."""
    return here(path, NAME, *FOLDERS, together=True)


def parse(root: Path, options: dict) -> Parsed:
    """Read both camera folders and draw the ten splits; a copy with an empty folder is partial."""
    rows, missing = match_folders(root, FOLDERS, NAME, TITLE)
    images = [
        Image(
            path=path,
            person=match["identity"],
            person_raw=match["identity"],
            camera=camera,
            camera_raw=FOLDERS[camera],
            view=camera,
            attrs={"angle": match["angle"]},
        )
        for camera, path, match in rows
    ]
    splits = {} if missing else across_cameras(images, SPLIT_SET)
    return Parsed(images, splits, missing, {SPLIT_SET: generator()} if splits else {})
