"""PRID2011, single-shot version: 385 people in camera A, 749 in camera B, 200 of them in both. PNG, 128 x 64.

The first 200 numbers are the same person in both cameras; from 201 on the same number means
different people, so 934 identities in 1,134 images. Ten random splits of the shared people: 100
train, 100 are searched (A) among 649 (B: those 100 and the 549 seen by B only).

Reference: Hirzer et al., Person Re-identification by Descriptive and Discriminative Classification,
SCIA 2011.
"""

import re
from pathlib import Path

from dgreid.datasets.records import Image, Parsed, find_root, has_folder, match_names
from dgreid.datasets.splits import generator, random_halves

TITLE = "PRID2011 (single-shot)"
TREE = "prid_2011/single_shot/{cam_a,cam_b}/person_0001.png"
OPTIONS = ("shared",)
NESTINGS = ("single_shot", "prid_2011/single_shot", "prid2011/prid_2011/single_shot", "prid2011/single_shot")
NAME = re.compile(r"^person_(?P<identity>\d{4})\.png$")
SPLIT_SET = "prid/rand10"


def find(folder: Path) -> Path:
    """The single_shot folder (the multi-shot version has folders of tracks instead of images)."""
    return find_root(folder, _is_root, NESTINGS, TITLE, TREE)


def parse(root: Path, options: dict) -> Parsed:
    """Read both camera folders and draw the ten splits; a copy with an empty folder is partial.

    Option `shared` (default 200): the number up to which both cameras show the same people.
    """
    shared = int(options.get("shared", 200))
    images, missing = [], []
    for camera, folder in enumerate(("cam_a", "cam_b")):
        rows = match_names(root, folder, NAME, TITLE)
        missing += [] if rows else [folder]
        for path, match in rows:
            raw = match["identity"]
            images.append(
                Image(
                    path=path,
                    person=raw if int(raw) <= shared else f"{folder[-1]}:{raw}",
                    person_raw=raw,
                    camera=camera,
                    camera_raw=folder,
                    view=camera,
                )
            )
    parsed = Parsed(images, {}, tuple(missing))
    if not missing:
        _split(parsed)
    return parsed


def _split(parsed: Parsed) -> None:
    cams = [{i.person: i.path for i in parsed.images if i.camera == camera} for camera in (0, 1)]
    people = sorted(cams[0].keys() & cams[1].keys())
    alone = sorted(cams[1].keys() - cams[0].keys())
    parsed.generators[SPLIT_SET] = generator()
    for number, (train, test) in enumerate(random_halves(people)):
        parsed.splits[SPLIT_SET, number, "train"] = [cam[person] for person in train for cam in cams]
        parsed.splits[SPLIT_SET, number, "query"] = [cams[0][person] for person in test]
        parsed.splits[SPLIT_SET, number, "gallery"] = [cams[1][person] for person in (*test, *alone)]


def _is_root(path: Path) -> bool:
    return path.name != "multi_shot" and has_folder(path, "cam_a", "cam_b")
