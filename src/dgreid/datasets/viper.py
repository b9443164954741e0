"""VIPeR: 632 people, one image from each of two cameras (1,264). BMP, 128 x 48.

Identities run 0..873 with gaps. Ten random splits in 316 training and 316 test people; queries are
cam_a, the gallery is cam_b.

Reference: Gray, Brennan and Tao, Evaluating Appearance Models for Recognition, Reacquisition, and
Tracking, PETS 2007.
"""

import re
from pathlib import Path

from dgreid.datasets.records import Image, Parsed, find_root, has_folder, match_names
from dgreid.datasets.splits import generator, random_halves

TITLE = "VIPeR"
TREE = "VIPeR/{cam_a,cam_b}/000_45.bmp"
NESTINGS = ("", "VIPeR", "viper/VIPeR", "viper")
NAME = re.compile(r"^(?P<identity>\d{3})_(?P<angle>\d{1,3})\.bmp$")
SPLIT_SET = "viper/rand10_a2b"


def find(folder: Path) -> Path:
    """The folder that holds cam_a and cam_b."""
    return find_root(folder, lambda path: has_folder(path, "cam_a", "cam_b"), NESTINGS, TITLE, TREE)


def parse(root: Path, options: dict) -> Parsed:
    """Read both camera folders and draw the ten splits; a copy with an empty folder is partial."""
    images, missing = [], []
    for camera, folder in enumerate(("cam_a", "cam_b")):
        rows = match_names(root, folder, NAME, TITLE)
        missing += [] if rows else [folder]
        images += [
            Image(
                path=path,
                person=match["identity"],
                person_raw=match["identity"],
                camera=camera,
                camera_raw=folder,
                view=camera,
                attrs={"angle": match["angle"]},
            )
            for path, match in rows
        ]
    parsed = Parsed(images, {}, tuple(missing))
    if not missing:
        _split(parsed)
    return parsed


def _split(parsed: Parsed) -> None:
    cams = [{i.person: i.path for i in parsed.images if i.camera == camera} for camera in (0, 1)]
    people = sorted(cams[0].keys() & cams[1].keys())
    parsed.generators[SPLIT_SET] = generator()
    for number, (train, test) in enumerate(random_halves(people)):
        parsed.splits[SPLIT_SET, number, "train"] = [cam[person] for person in train for cam in cams]
        parsed.splits[SPLIT_SET, number, "query"] = [cams[0][person] for person in test]
        parsed.splits[SPLIT_SET, number, "gallery"] = [cams[1][person] for person in test]
