"""PRID2011, single-shot version: 385 people in camera A, 749 in camera B, 200 of them in both. PNG, 128 x 64.

The first 200 numbers are the same person in both cameras; from 201 on the same number means
different people, so 934 identities in 1,134 images. Ten random splits of the shared people: 100
train, 100 are searched (A) among 649 (B: those 100 and the 549 seen by B only).

Reference: Hirzer et al., Person Re-identification by Descriptive and Discriminative Classification,
SCIA 2011.
"""

import re
from pathlib import Path

from dgreid.datasets.records import Image, Parsed, Places, find_root, here, match_folders
from dgreid.datasets.splits import across_cameras, generator

TITLE = "PRID2011 (single-shot)"
TREE = "prid_2011/single_shot/{cam_a,cam_b}/person_0001.png"
OPTIONS = ("shared",)
NESTINGS = ("single_shot", "prid_2011/single_shot", "prid2011/prid_2011/single_shot", "prid2011/single_shot")
NAME = re.compile(r"^person_(?P<identity>\d{4})\.png$")
FOLDERS = ("cam_a", "cam_b")
SPLIT_SET = "prid/rand10"


def find(folder: Path) -> Path:
    """The single_shot folder (the multi-shot version has folders of tracks instead of images)."""
    return find_root(folder, places, NESTINGS, TITLE, TREE, [(name, NAME) for name in FOLDERS])


def places(path: Path) -> Places:
    """What makes `path` the root: the folders of both cameras."""
    return here(path, NAME, *FOLDERS, together=True)


def parse(root: Path, options: dict) -> Parsed:
    """Read both camera folders and draw the ten splits; a copy with an empty folder is partial.

    Option `shared` (default 200): the number up to which both cameras show the same people.
    """
    shared = int(options.get("shared", 200))
    rows, missing = match_folders(root, FOLDERS, NAME, TITLE)
    images = [
        Image(
            path=path,
            person=raw if int(raw := match["identity"]) <= shared else f"{'ab'[camera]}:{raw}",
            person_raw=match["identity"],
            camera=camera,
            camera_raw=FOLDERS[camera],
            view=camera,
        )
        for camera, path, match in rows
    ]
    splits = {} if missing else across_cameras(images, SPLIT_SET)
    return Parsed(images, splits, missing, {SPLIT_SET: generator()} if splits else {})
